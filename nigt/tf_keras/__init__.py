"""NIGT for tf_keras models."""

from nigt.missing import explained

try:
    from nigt.tf_keras.callbacks import EvaluateAtIterate
    from nigt.tf_keras.optimizer import NIGT
except ModuleNotFoundError as error:
    raise explained(error, "nigt.tf_keras", "tf") from None

__all__ = ["NIGT", "EvaluateAtIterate"]
