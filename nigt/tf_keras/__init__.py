"""NIGT for tf_keras models."""

from nigt.tf_keras import betas
from nigt.tf_keras.callbacks import EvaluateAtIterate
from nigt.tf_keras.optimizer import NIGT

__all__ = ["NIGT", "EvaluateAtIterate", "betas"]
