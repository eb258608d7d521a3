"""The stochastic gradient oracle ∇f(w, ξ) of section 1, with E‖∇f(w, ξ) − ∇F(w)‖² ≤ σ² (A3).

ξ is drawn apart from the point, so that STORM can evaluate one ξ at two points; the paper's methods may not.
"""

import math

import numpy as np

from nigt.theory.objectives import Objective, RobustRegression


class Oracle:
    """∇f(w, ξ) of an objective.

    Attributes:
      noise: "gaussian", "skewed" or "finite_sum".
      objective: F.
      sigma: σ of one gradient, of a whole batch if batch > 1.
      batch: How many samples are averaged into one gradient.
    """

    noise: str

    def __init__(self, objective: Objective, sigma: float, batch: int = 1):
        """
        Args:
          objective: F.
          sigma: σ of one sample; the square root of the whole vector's variance, not of one coordinate's.
          batch: Samples averaged into one gradient.

        Raises:
          ValueError: sigma is negative or batch is not positive.
        """
        if sigma < 0 or batch < 1:
            raise ValueError(f"sigma, batch: {sigma}, {batch}; give sigma ≥ 0 and batch ≥ 1")
        self.objective, self.batch = objective, batch
        self.sigma = sigma / np.sqrt(batch)

    def draw(self, random: np.random.Generator, count: int, replicates: int) -> np.ndarray:
        """ξ of `count` steps, independent: [count, replicates, ...]."""
        raise NotImplementedError

    def gradient(self, points: np.ndarray, sample: np.ndarray) -> np.ndarray:
        """∇f(points, ξ), [n, d], for one step's sample [n, ...]."""
        raise NotImplementedError


class Gaussian(Oracle):
    """∇F plus N(0, σ²/d·I)."""

    noise = "gaussian"

    def draw(self, random: np.random.Generator, count: int, replicates: int) -> np.ndarray:
        shape = (count, replicates, self.objective.dim)
        if self.sigma == 0:
            return np.zeros(shape)
        return random.standard_normal(shape) * (self.sigma / np.sqrt(self.objective.dim))

    def gradient(self, points: np.ndarray, sample: np.ndarray) -> np.ndarray:
        return self.objective.gradient(points) + sample


class Skewed(Oracle):
    """∇F plus a rare large vector along u = (1, …, 1)/√d: p·c·u with probability 1 − p, −(1 − p)·c·u with p.

    c = σ/√(p·(1 − p)). Normalized without momentum, a common gradient weighs as much as a rare one: section 2's case.
    """

    noise = "skewed"

    def __init__(self, objective: Objective, sigma: float, batch: int = 1, rare: float = 0.1):
        """
        Args: See Oracle.
          rare: p, in (0, 1/2).

        Raises:
          ValueError: rare is outside.
        """
        super().__init__(objective, sigma, batch)
        if not 0 < rare < 0.5:
            raise ValueError(f"rare: {rare}; give p in (0, 1/2)")
        self.rare = rare
        self._size = sigma / np.sqrt(rare * (1 - rare)) / np.sqrt(objective.dim)

    @property
    def size(self) -> float:
        """c."""
        return float(self._size * np.sqrt(self.objective.dim))

    @property
    def cumulative(self) -> np.ndarray:
        """P(K ≤ k) of k = 0…B, [B + 1]: K ~ Bin(B, p) rare samples in a batch of B."""
        k = np.arange(self.batch + 1)
        factorials = np.array([math.lgamma(i + 1) for i in k])
        ways = factorials[-1] - factorials - factorials[::-1]
        return np.cumsum(np.exp(ways + k * math.log(self.rare) + k[::-1] * math.log1p(-self.rare)))

    @property
    def plateau(self) -> float:
        """‖∇F‖ = c·|median of K − B·p|/B, the floor of normalized SGD without momentum as η goes to 0.

        Along u a batch's gradient is G + c·(p − K/B) with ∇F = G·u. A normalized step takes its sign alone, and a sign
        is as often up as down where G = c·(median/B − p). It is 0 where B·p is an integer, σ·√(p/(1 − p)) for B = 1,
        and never more than c·ln 2/B (Hamza, 1995: a binomial's median and mean are at most ln 2 apart).
        """
        median = int(np.searchsorted(self.cumulative, 0.5))
        return float(self.size * abs(median / self.batch - self.rare))

    def draw(self, random: np.random.Generator, count: int, replicates: int) -> np.ndarray:
        shape = (count, replicates, 1)
        if self.batch == 1:
            share: np.ndarray = (random.random(shape) < self.rare).astype(np.float64)
        else:
            share = random.binomial(self.batch, self.rare, shape) / self.batch
        return self._size * (self.rare - share)

    def gradient(self, points: np.ndarray, sample: np.ndarray) -> np.ndarray:
        return self.objective.gradient(points) + sample


class FiniteSum(Oracle):
    """The gradient of examples drawn uniformly, with replacement."""

    noise = "finite_sum"
    objective: RobustRegression

    def __init__(self, objective: RobustRegression, batch: int = 1):
        super().__init__(objective, objective.sample_sigma, batch)

    def draw(self, random: np.random.Generator, count: int, replicates: int) -> np.ndarray:
        return random.integers(len(self.objective.rows), size=(count, replicates, self.batch))

    def gradient(self, points: np.ndarray, sample: np.ndarray) -> np.ndarray:
        return self.objective.example_gradient(points, sample)
