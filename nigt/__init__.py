"""NIGT: normalized SGD with implicit gradient transport (Cutkosky & Mehta, 2020) for tf_keras models."""

from nigt import betas
from nigt.callbacks import EvaluateAtIterate
from nigt.optimizer import NIGT

__all__ = ["NIGT", "EvaluateAtIterate", "betas"]
__version__ = "0.1.0"
