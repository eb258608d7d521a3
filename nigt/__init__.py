"""NIGT: normalized SGD with implicit gradient transport (Cutkosky & Mehta, 2020)."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nigt.tf_keras import NIGT, EvaluateAtIterate, betas

__all__ = ["NIGT", "EvaluateAtIterate", "betas"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """What nigt.tf_keras has, imported when it is asked for: the reference and the theory need no TensorFlow."""
    if name in __all__:
        return getattr(importlib.import_module("nigt.tf_keras"), name)
    raise AttributeError(f"module 'nigt' has no attribute {name!r}")
