"""NIGT for models of Keras 3, on TensorFlow, JAX and PyTorch."""

from nigt.missing import explained

try:
    from nigt.keras.callbacks import EvaluateAtIterate
    from nigt.keras.optimizer import NIGT
except ModuleNotFoundError as error:
    if error.name in ("tensorflow", "jax", "torch"):  # Keras is there, and the backend that it was told to take is not
        message = (
            f"nigt.keras needs {error.name}, Keras's backend: install it, or set KERAS_BACKEND to one that is there"
        )
        raise ModuleNotFoundError(message, name=error.name) from None
    raise explained(error, "nigt.keras", "keras") from None

__all__ = ["NIGT", "EvaluateAtIterate"]
