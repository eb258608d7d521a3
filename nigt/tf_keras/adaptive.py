"""The rules that set η and β from the gradients: Algorithm 2 of the paper, and what was released under that name."""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from nigt.tf_keras import norms

PRINTED_CONSTANT, CORRECTED_CONSTANT = 26, 52


@dataclasses.dataclass(frozen=True)
class Algorithm2:
    """Algorithm 2 (section 4): η_t and β_t from G_t, the summed squared distance of two independent gradients.

    Attributes:
      gradient_bound: The paper's g, a bound on ‖∇f(w, ξ)‖ for every w and ξ.
      constant: 26 as printed; 52 is what the proof needs (26·C²·g^{6/7}/7 is 1 as printed and must be 1/2).
    """

    gradient_bound: float
    constant: float = PRINTED_CONSTANT

    @property
    def c(self) -> float:
        """C = √(7/(26·g^{6/7}))."""
        return (7 / (self.constant * self.gradient_bound ** (6 / 7))) ** 0.5

    @property
    def d(self) -> float:
        """D = C^{−14/3}."""
        return self.c ** (-14 / 3)

    @property
    def first_sum(self) -> float:
        """G_1 = 3g² + D."""
        return 3 * self.gradient_bound**2 + self.d

    def rate(self, t: tf.Tensor, gradient_sum: tf.Tensor) -> tf.Tensor:
        """η_t = C/(G_t²·(t+1)³)^{1/7}, of t counted from 1; float64."""
        return self.c / (gradient_sum**2 * (t + 1) ** 3) ** (1 / 7)

    def beta(self, t: tf.Tensor, previous_sum: tf.Tensor) -> tf.Tensor:
        """β_t = 1 − α_t, α_t = 1/(t·η_{t−1}²·G_{t−1}) ≤ 1, with G_0 = D as the proof has it; so β_1 = 0.

        Args:
          t: Counted from 1.
          previous_sum: G_{t−1}.
        """
        alpha = 1 / (t * self.rate(t - 1, previous_sum) ** 2 * previous_sum)
        return 1 - tf.minimum(alpha, 1)

    def next_sum(self, t: tf.Tensor, gradient_sum: tf.Tensor, squared_distance: tf.Tensor) -> tf.Tensor:
        """G_{t+1} = G_t + ‖∇f(x_t, ξ_t) − ∇f(x_t, ξ'_t)‖² + g²·((t+1)^¼ − t^¼)."""
        return gradient_sum + squared_distance + self.gradient_bound**2 * ((t + 1) ** 0.25 - t**0.25)


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
