"""The stochastic gradient oracle ∇f(w, ξ) of section 1, with E‖∇f(w, ξ) − ∇F(w)‖² ≤ σ² (A3).

ξ is drawn apart from the point, so that STORM can evaluate one ξ at two points; the paper's methods may not.
"""

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
    def plateau(self) -> float:
        """‖∇F‖ = p·c = σ·√(p/(1 − p)) of one sample: there the common gradient is 0, and it turns around."""
        return float(self.rare * self._size * np.sqrt(self.objective.dim))

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
