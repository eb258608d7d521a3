"""Algorithm 2 of the paper, which sets η and β from two gradients a step, and what was released under its name.

On the numbers of any framework.
"""

import dataclasses
from typing import Any

Number = Any  # a Python float, or a scalar of the framework, in float64 if it can be

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

    def rate(self, t: Number, gradient_sum: Number) -> Number:
        """η_t = C/(G_t²·(t+1)³)^{1/7}, of t counted from 1."""
        return self.c / (gradient_sum**2 * (t + 1) ** 3) ** (1 / 7)

    def beta(self, xp: Any, t: Number, previous_sum: Number) -> Number:
        """β_t = 1 − α_t, α_t = 1/(t·η_{t−1}²·G_{t−1}) ≤ 1, with G_0 = D as the proof has it; so β_1 = 0.

        Args:
          xp: As in nigt/update.py.
          t: Counted from 1.
          previous_sum: G_{t−1}.
        """
        alpha = 1 / (t * self.rate(t - 1, previous_sum) ** 2 * previous_sum)
        return 1 - xp.minimum(alpha, 1.0)

    def next_sum(self, t: Number, gradient_sum: Number, squared_distance: Number) -> Number:
        """G_{t+1} = G_t + ‖∇f(x_t, ξ_t) − ∇f(x_t, ξ'_t)‖² + g²·((t+1)^¼ − t^¼)."""
        return gradient_sum + squared_distance + self.gradient_bound**2 * ((t + 1) ** 0.25 - t**0.25)


def released(
    xp: Any, t: Number, norm_sum: Number, largest_norm: Number, learning_rate: Number
) -> tuple[Number, Number]:
    """(η_t/η, β_t) of the released `use_adaptive`, per variable: one gradient a step, norms that are not squared.

    G = Σ‖g‖ + t^¼·max‖g‖;  η_t = η/(t³·G²)^{1/7};  β_t = 1 − min(1, 1/(t·η_t²·G)); no power leaves float32's range.
    Until a first gradient that is not 0, η_t is 0 (as released: infinite, and the variable NaN).

    Args:
      xp: As in nigt/update.py.
      t: Counted from 1; of the dtype of the others.
      norm_sum, largest_norm: Of the gradients so far, this step's included.
      learning_rate: The released learning rate, η.
    """
    total = norm_sum + t**0.25 * largest_norm
    started = total > 0
    divisor = xp.where(started, total, xp.ones_like(total))
    factor = t ** (-3 / 7) * divisor ** (-2 / 7)
    alpha = 1 / (t * (learning_rate * factor) ** 2 * divisor)
    return xp.where(started, factor, 0.0), xp.where(started & (alpha < 1), 1 - alpha, 0.0)
