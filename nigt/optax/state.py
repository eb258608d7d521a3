"""What the transformation keeps, and which parameters it treats apart."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Mask = Any  # a pytree of booleans, a prefix of the parameters', or a function from the parameters to one


class NigtState(NamedTuple):
    """The state of `nigt`.

    Attributes:
      count: Steps taken, int32.
      skipped_steps: Steps that a NaN or Inf in a gradient stopped, int32; `count` leaves them out.
      momentum: m, like the parameters.
      offset: A scalar a parameter (nigt/update.py).
      gradient_sums: Algorithm 2's G_{t−1} and G_t; () without it.
    """

    count: jax.Array
    skipped_steps: jax.Array
    momentum: Any
    offset: Any
    gradient_sums: tuple[jax.Array, ...]


def more_than_one_dimension(params: Any) -> Any:
    """Section 5's rule as a mask: False for biases, batch norm and layer norm, the arrays of one dimension or less."""
    return jax.tree.map(lambda p: jnp.ndim(p) > 1, params)


def flags(mask: Mask | Callable[[Any], Any], params: Any) -> list[bool]:
    """The mask's boolean of each array of params, in the order of jax.tree.leaves."""
    mask = more_than_one_dimension if mask is None else mask
    tree = mask(params) if callable(mask) else mask
    spread = jax.tree.map(lambda flag, part: jax.tree.map(lambda _: bool(flag), part), tree, params)
    return jax.tree.leaves(spread)


def check_parameters(params: Any) -> None:
    """Raises ValueError for a parameter that is neither float32 nor float64, and names it."""
    for path, value in jax.tree_util.tree_leaves_with_path(params):
        if jnp.asarray(value).dtype not in (jnp.float32, jnp.float64):
            raise ValueError(
                f"NIGT: {jax.tree_util.keystr(path)} is {jnp.asarray(value).dtype}: keep float32 (or float64) "
                "parameters, and cast them in the loss to compute in bfloat16"
            )
