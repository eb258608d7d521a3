"""What was released under the name of Algorithm 2, and the distance that Algorithm 2 itself is about."""

from collections.abc import Sequence

import tensorflow as tf

from nigt.tf_keras import norms


def released_rule(
    t: tf.Tensor, norm_sum: tf.Tensor, largest_norm: tf.Tensor, learning_rate: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """(η_t/η, β_t) of the released `use_adaptive`, per variable: one gradient a step, norms that are not squared.

    G = Σ‖g‖ + t^¼·max‖g‖;  η_t = η/(t³·G²)^{1/7};  β_t = 1 − min(1, 1/(t·η_t²·G)).
    Until a first gradient that is not 0, η_t is 0 (as released: infinite, and the variable NaN).

    Args, all float64, whose range the powers need:
      t: Counted from 1.
      norm_sum, largest_norm: Of the gradients so far, this step's included.
      learning_rate: The released learning rate, η.
    """
    total = norm_sum + t**0.25 * largest_norm
    started = total > 0
    divisor = tf.where(started, total, tf.ones_like(total))
    factor = 1 / (t**3 * divisor**2) ** (1 / 7)
    alpha = tf.minimum(tf.ones_like(total), 1 / (t * (learning_rate * factor) ** 2 * divisor))
    return tf.where(started, factor, tf.zeros_like(factor)), 1 - tf.where(started, alpha, tf.ones_like(alpha))


def squared_distance(first: Sequence[tf.Tensor | None], second: Sequence[tf.Tensor | None]) -> tf.Tensor:
    """‖g − g'‖² over all variables together, float64; None (no gradient) on both sides counts as no distance."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    distances = [norms.norm(tf.convert_to_tensor(a) - tf.convert_to_tensor(b)) for a, b in pairs]
    return tf.add_n([tf.square(tf.cast(distance, tf.float64)) for distance in distances])
