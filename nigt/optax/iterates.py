"""From the gradient points x, which the parameters are, to the iterates w."""

from typing import Any

import jax
import optax

from nigt import update
from nigt.optax.state import NigtState


def eval_params(state: Any, params: Any) -> Any:
    """The iterates w of params: evaluate and export these, and go on training with params, which are x. Pure.

    Args:
      state: Of `nigt`, or of anything around it (chain, inject_hyperparams, masked, partition, …). A parameter that no
        `nigt` in it steps is its own iterate.
      params: As the transformation is given them. Where both have an axis of seeds, use jax.vmap(eval_params).

    Raises:
      ValueError: If there is no NigtState in state.
    """

    def is_nigt(node: Any) -> bool:
        return isinstance(node, NigtState)

    def is_masked(node: Any) -> bool:
        return isinstance(node, optax.MaskedNode)

    states = [node for node in jax.tree.leaves(state, is_leaf=is_nigt) if is_nigt(node)]
    if not states:
        raise ValueError("NIGT: eval_params(state, params) found no state of nigt in its first argument")
    for own in states:
        params = jax.tree.map(
            lambda m, x, offset: x if is_masked(m) else update.iterate(x, m, offset),
            own.momentum,
            params,
            own.offset,
            is_leaf=is_masked,
        )
    return params
