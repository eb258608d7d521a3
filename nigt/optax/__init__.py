"""NIGT for JAX, as an optax gradient transformation."""

from nigt.missing import explained

try:
    from nigt.optax.iterates import eval_params
    from nigt.optax.state import NigtState, more_than_one_dimension
    from nigt.optax.transformation import nigt
except ModuleNotFoundError as error:
    raise explained(error, "nigt.optax", "jax") from None

__all__ = ["NigtState", "eval_params", "more_than_one_dimension", "nigt"]
