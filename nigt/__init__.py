"""NIGT: normalized SGD with implicit gradient transport (Cutkosky & Mehta, 2020).

`nigt.NIGT` is the optimizer for tf_keras, `nigt.keras.NIGT` that for Keras 3,
`nigt.torch.NIGT` that for PyTorch, `nigt.optax.nigt` that for JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nigt.tf_keras import NIGT, EvaluateAtIterate

__all__ = ["NIGT", "EvaluateAtIterate"]
__version__ = "0.1.0"
_PACKAGES = ("betas", "keras", "optax", "tf_keras", "torch")


def __getattr__(name: str) -> Any:
    """Whatever needs a framework, imported when it is asked for: this package brings none."""
    if name in __all__:
        return getattr(importlib.import_module("nigt.tf_keras"), name)
    if name in _PACKAGES:
        return importlib.import_module(f"nigt.{name}")
    raise AttributeError(f"module 'nigt' has no attribute {name!r}")
