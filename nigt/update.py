"""One step of NIGT on one variable: the mathematics, on tensors, without any state.

Symbols as in the paper: w is the iterate, x the point where the gradient g is taken, m the momentum, η the learning
rate, β the momentum parameter. The model's variable holds x. The iterate is kept as one scalar beside m,

    offset = β/(1−β) · s      with s the last step's scale, so that      w = x + offset · m,

because x_t = w_t + β/(1−β)·(w_t − w_{t−1}) (Algorithm 1) and w_t − w_{t−1} = −s·m_{t−1}. The scalar remembers the scale
that the last step really took; recomputing it from this step's η or norms would give a wrong w whenever they change.
"""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Coefficients:
    """What one step needs besides the variable's own state; each a scalar tensor of the variable's dtype.

    Attributes:
      learning_rate: η of this step, times the multiplier of an excluded variable.
      beta: β of this step.
      next_transport: β/(1−β) of the step to come, 0 without implicit gradient transport.
      weight_decay: λ, the coupled decay: λ·x is added to the gradient before the momentum.
    """

    learning_rate: tf.Tensor
    beta: tf.Tensor
    next_transport: tf.Tensor
    weight_decay: float


def iterate(x: tf.Tensor, momentum: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """The iterate w that belongs to the gradient point x. All three as in the module's docstring."""
    return x + offset * momentum


def norm(values: tf.Tensor) -> tf.Tensor:
    """The 2-norm of a whole tensor, free of over- and underflow: the largest magnitude is divided out first."""
    largest = tf.reduce_max(tf.abs(values))
    safe = tf.where(largest > 0, largest, tf.ones_like(largest))
    return largest * tf.sqrt(tf.reduce_sum(tf.square(values / safe)))


def norm_ratio(weight_norm: tf.Tensor, momentum_norm: tf.Tensor, scale_by_weight_norm: bool) -> tf.Tensor:
    """‖x‖/‖m‖ (section 5.1, as in LARS), or 1/‖m‖ (Algorithm 1); 1 where a norm that it needs is 0, as released."""
    if not scale_by_weight_norm:
        weight_norm = tf.ones_like(momentum_norm)
    usable = tf.logical_and(weight_norm > 0, momentum_norm > 0)
    divisor = tf.where(usable, momentum_norm, tf.ones_like(momentum_norm))
    return tf.where(usable, weight_norm / divisor, tf.ones_like(momentum_norm))


def averaged(x: tf.Tensor, momentum: tf.Tensor, gradient: tf.Tensor, coefficients: Coefficients) -> tf.Tensor:
    """The next m: β·m + (1−β)·(g + λ·x)."""
    if coefficients.weight_decay:
        gradient = gradient + coefficients.weight_decay * x
    return coefficients.beta * momentum + (1 - coefficients.beta) * gradient


def step(
    x: tf.Tensor,
    momentum: tf.Tensor,
    offset: tf.Tensor,
    gradient: tf.Tensor,
    coefficients: Coefficients,
    *,
    normalize: bool,
    scale_by_weight_norm: bool,
    ratio: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """One step: (x, m, offset) and the gradient at x give the next (x, m, offset).

    m ← β·m + (1−β)·(g + λ·x);  s = η·‖x‖/‖m‖, or η where not normalized;  w ← w − s·m;  x ← w − β/(1−β)·s·m
    (Algorithm 1 with the per-layer scaling of section 5.1; ‖x‖ is taken at the gradient point, as released).

    Args:
      x: The variable, any shape; momentum and gradient have the same.
      offset: Scalar.
      normalize: False for biases, batch-norm and layer-norm parameters (section 5.1).
      scale_by_weight_norm: See norm_ratio.
      ratio: ‖x‖/‖m‖ over all normalized variables (Algorithm 1); None: over this one (section 5.1).
    """
    next_momentum = averaged(x, momentum, gradient, coefficients)
    scale = coefficients.learning_rate
    if normalize:
        if ratio is None:
            ratio = norm_ratio(norm(x), norm(next_momentum), scale_by_weight_norm)
        scale = scale * ratio
    next_offset = coefficients.next_transport * scale
    next_x = iterate(x, momentum, offset) - (scale + next_offset) * next_momentum
    return next_x, next_momentum, next_offset
