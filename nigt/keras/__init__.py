"""NIGT for models of Keras 3, on TensorFlow, JAX and PyTorch."""

from nigt.missing import explained

try:
    from nigt.keras.callbacks import EvaluateAtIterate
    from nigt.keras.optimizer import NIGT
except ModuleNotFoundError as error:
    raise explained(error, "nigt.keras", "keras") from None

__all__ = ["NIGT", "EvaluateAtIterate"]
