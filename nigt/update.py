"""One step of NIGT on one variable: the mathematics, on the arrays of any framework, without any state.

Symbols as in the paper: w is the iterate, x the point where the gradient g is taken, m the momentum, η the learning
rate, β the momentum parameter. The model holds x. The iterate is kept as one scalar beside m,

    offset = β/(1−β) · s      with s the last step's scale, so that      w = x + offset · m,

because x_t = w_t + β/(1−β)·(w_t − w_{t−1}) (Algorithm 1) and w_t − w_{t−1} = −s·m_{t−1}. The scalar remembers the scale
that the last step really took; recomputing it from this step's η or norms would give a wrong w whenever they change.

`step` is written for a compiler that fuses it (XLA, torch.compile) and serves everywhere. Where there is none, in-place
kernels do the same faster (nigt/tf_keras/kernels.py, nigt/torch/moves.py); so does `from_next_momentum` under XLA on a
CPU (nigt/optax/stepping.py).

An argument `xp` is the framework's functions by NumPy's names: numpy, jax.numpy, torch, keras.ops,
or nigt.tf_keras.namespace.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

Array = Any  # of the framework


@dataclasses.dataclass(frozen=True)
class Coefficients:
    """What one step needs besides the variable's own state; each a scalar of the variable's dtype.

    Attributes:
      learning_rate: η of this step, times the multiplier of an excluded variable.
      beta: β of this step.
      next_transport: β/(1−β) of the step to come, 0 without implicit gradient transport.
    """

    learning_rate: Array
    beta: Array
    next_transport: Array


def iterate(x: Array, momentum: Array, offset: Array) -> Array:
    """The iterate w that belongs to the gradient point x. All three as in the module's docstring."""
    return x + offset * momentum


def averaged(momentum: Array, gradient: Array, beta: Array) -> Array:
    """The next m: β·m + (1−β)·g."""
    return beta * momentum + (1 - beta) * gradient


def from_next_momentum(offset: Array, beta: Array, scale: Array, next_offset: Array, safe_beta: Array) -> tuple:
    """The step of x without the old m, which has been written over: x' = x − a·g − b·m', with m the (m' − (1−β)·g)/β.

    Args:
      offset: Of the step before; 0 where β is 0.
      scale, next_offset: s and the offset of this step.
      safe_beta: β, or anything but 0 where it is 0.

    Returns:
      a and b.
    """
    old = offset / safe_beta
    return old * (1 - beta), scale + next_offset - old


# η·β/(1−β) may be this large before a ratio that is finite gives a step that is not.
_ROOM = 1e3


def norm_ratio(xp: Any, weight_norm: Array | None, momentum_norm: Array) -> Array:
    """‖x‖/‖m‖ (section 5.1, as in LARS); None as weight_norm: 1/‖m‖ (Algorithm 1).

    1 where a norm is 0, as released; and where m has decayed so far (no gradient for long) that the ratio overflows.
    """
    one = xp.ones_like(momentum_norm)
    if weight_norm is None:
        weight_norm = one
    usable = (weight_norm > 0) & (momentum_norm > 0)
    quotient = weight_norm / xp.where(usable, momentum_norm, one)
    return xp.where(usable & xp.isfinite(quotient * _ROOM), quotient, one)


def step(
    x: Array,
    momentum: Array,
    offset: Array,
    gradient: Array,
    coefficients: Coefficients,
    ratio: Callable[[Array], Array | None],
) -> tuple[Array, Array, Array]:
    """One step: (x, m, offset) and the gradient at x give the next (x, m, offset).

    m ← β·m + (1−β)·g;  s = η·ratio;  w ← w − s·m;  x ← w − β/(1−β)·s·m
    (Algorithm 1; with ratio = ‖x‖/‖m‖ section 5.1, where ‖x‖ is taken at the gradient point, as released).

    Args:
      x: The variable, any shape; momentum and gradient have the same.
      offset: Scalar.
      ratio: Gives norm_ratio, a scalar, from the next m; or None where nothing is normalized (biases, batch norm, layer
        norm: section 5.1).
    """
    next_momentum = averaged(momentum, gradient, coefficients.beta)
    factor = ratio(next_momentum)
    scale = coefficients.learning_rate if factor is None else coefficients.learning_rate * factor
    next_offset = coefficients.next_transport * scale
    next_x = iterate(x, momentum, offset) - (scale + next_offset) * next_momentum
    return next_x, next_momentum, next_offset
