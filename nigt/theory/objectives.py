"""Objectives whose L, ρ and R are known: F(w), ∇F(w) and ∇²F(w) in closed form.

Section 1's assumptions: (A1) ∇F is L-Lipschitz, (A2) F ≥ 0, (A4) ∇²F is ρ-Lipschitz in operator norm; R = F(w_1).
"""

import numpy as np

# max |φ'|, |φ''| and |φ'''| of φ(r) = r²/(1 + r²): at r² = 1/3, r = 0 and r² = 1 − 2/√5
_PHI_SLOPE = 3 * np.sqrt(3) / 8
_PHI_CURVATURE = 2.0
_PHI_THIRD = 24 * np.sqrt(1 - 2 / np.sqrt(5)) * (2 / np.sqrt(5)) / (2 - 2 / np.sqrt(5)) ** 4


class Objective:
    """F over R^d, bounded below by 0.

    Attributes:
      name: In results.
      start: w_1, [d].
      smoothness: L of (A1).
      rho: ρ of (A4).
      gradient_bound: sup ‖∇F(w)‖, or inf if it has none.
    """

    name: str
    smoothness: float
    rho: float
    gradient_bound: float

    def __init__(self, start: np.ndarray):
        """
        Args:
          start: w_1, [d].

        Raises:
          ValueError: start is not a vector.
        """
        self.start = np.array(start, np.float64)
        if self.start.ndim != 1 or not self.start.size:
            raise ValueError(f"start: of shape {self.start.shape}; give a vector, [d]")

    @property
    def dim(self) -> int:
        """d."""
        return self.start.size

    @property
    def gap(self) -> float:
        """R = F(w_1), which bounds F(w_1) − inf F."""
        return float(self.value(self.start))

    def value(self, points: np.ndarray) -> np.ndarray:
        """F, [...] of points [..., d]."""
        raise NotImplementedError

    def gradient(self, points: np.ndarray) -> np.ndarray:
        """∇F, [..., d] of points [..., d]."""
        raise NotImplementedError

    def hessian(self, point: np.ndarray) -> np.ndarray:
        """∇²F, [d, d] of one point [d]."""
        raise NotImplementedError


class Cosines(Objective):
    """F = Σ aᵢ·(1 − cos wᵢ): smooth, not convex, with minima at the even multiples of π and L = ρ = max aᵢ."""

    def __init__(self, start: np.ndarray, weights: np.ndarray | None = None, name: str = "cos"):
        """
        Args:
          start: w_1, [d].
          weights: a, [d], positive; None: all 1.
          name: In results.

        Raises:
          ValueError: weights do not fit start, or one is not positive.
        """
        super().__init__(start)
        self.name = name
        self.weights = np.ones(self.dim) if weights is None else np.array(weights, np.float64)
        if self.weights.shape != self.start.shape or np.any(self.weights <= 0):
            raise ValueError(f"weights: give {self.dim} positive numbers, one a coordinate")
        self.smoothness = self.rho = float(self.weights.max())
        self.gradient_bound = float(np.linalg.norm(self.weights))

    def value(self, points: np.ndarray) -> np.ndarray:
        return (1 - np.cos(points)) @ self.weights

    def gradient(self, points: np.ndarray) -> np.ndarray:
        return self.weights * np.sin(points)

    def hessian(self, point: np.ndarray) -> np.ndarray:
        return np.diag(self.weights * np.cos(point))


class GemanMcClure(Objective):
    """F = Σ wᵢ²/(1 + wᵢ²): its gradient vanishes at infinity too, so a step that is too large looks like success."""

    name = "gm"
    smoothness = _PHI_CURVATURE
    rho = float(_PHI_THIRD)

    def __init__(self, start: np.ndarray):
        super().__init__(start)
        self.gradient_bound = float(_PHI_SLOPE * np.sqrt(self.dim))

    def value(self, points: np.ndarray) -> np.ndarray:
        return np.sum(_phi(points), axis=-1)

    def gradient(self, points: np.ndarray) -> np.ndarray:
        return _phi_slope(points)

    def hessian(self, point: np.ndarray) -> np.ndarray:
        return np.diag(_phi_curvature(point))


class Quadratic(Objective):
    """F = ½·wᵀHw: a constant Hessian, ρ = 0, where implicit gradient transport is exact (Arnold et al., 2019)."""

    name = "quadratic"
    rho = 0.0
    gradient_bound = float("inf")

    def __init__(self, start: np.ndarray, matrix: np.ndarray):
        """
        Args:
          start: w_1, [d].
          matrix: H, [d, d], symmetric and positive semidefinite.

        Raises:
          ValueError: It is not.
        """
        super().__init__(start)
        self._matrix = np.array(matrix, np.float64)
        if self._matrix.shape != (self.dim, self.dim) or not np.allclose(self._matrix, self._matrix.T):
            raise ValueError(f"matrix: give a symmetric {self.dim} × {self.dim} matrix")
        eigenvalues = np.linalg.eigvalsh(self._matrix)
        if eigenvalues[0] < -1e-12 * max(1.0, eigenvalues[-1]):
            raise ValueError(f"matrix: has the eigenvalue {eigenvalues[0]:.3g}; F must be bounded below (A2)")
        self.smoothness = float(eigenvalues[-1])

    def value(self, points: np.ndarray) -> np.ndarray:
        return 0.5 * np.sum(points * self.gradient(points), axis=-1)

    def gradient(self, points: np.ndarray) -> np.ndarray:
        return points @ self._matrix

    def hessian(self, point: np.ndarray) -> np.ndarray:
        return self._matrix


class RobustRegression(Objective):
    """F = mean over i of φ(aᵢ·w − bᵢ), φ(r) = r²/(1 + r²): regression with a loss that outliers cannot dominate.

    Attributes:
      rows, targets: a, [N, d], and b, [N].
      sample_sigma: A bound on σ of one uniformly drawn example: E‖∇fᵢ − ∇F‖² ≤ E‖∇fᵢ‖² ≤ max|φ'|²·mean‖aᵢ‖².
    """

    name = "robust"

    def __init__(self, start: np.ndarray, rows: np.ndarray, targets: np.ndarray):
        """
        Args:
          start: w_1, [d].
          rows, targets: a, [N, d], and b, [N].

        Raises:
          ValueError: Their shapes do not fit.
        """
        super().__init__(start)
        self.rows, self.targets = np.array(rows, np.float64), np.array(targets, np.float64)
        if self.rows.ndim != 2 or self.rows.shape != (self.targets.size, self.dim):
            raise ValueError(
                f"rows, targets: of shapes {self.rows.shape}, {self.targets.shape}; give [N, {self.dim}], [N]"
            )
        lengths = np.linalg.norm(self.rows, axis=1)
        spread = float(np.linalg.eigvalsh(self.rows.T @ self.rows / len(self.rows))[-1])
        self.smoothness = _PHI_CURVATURE * spread
        self.rho = float(_PHI_THIRD * lengths.max() * spread)
        self.gradient_bound = float(_PHI_SLOPE * lengths.max())  # of every example's gradient, too
        self.sample_sigma = float(_PHI_SLOPE * np.sqrt(np.mean(lengths**2)))

    def value(self, points: np.ndarray) -> np.ndarray:
        return np.mean(_phi(self._residuals(points)), axis=-1)

    def gradient(self, points: np.ndarray) -> np.ndarray:
        return _phi_slope(self._residuals(points)) @ self.rows / len(self.rows)

    def hessian(self, point: np.ndarray) -> np.ndarray:
        return (self.rows.T * _phi_curvature(self._residuals(point))) @ self.rows / len(self.rows)

    def example_gradient(self, points: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Mean of ∇fᵢ over a batch, [n, d], at points [n, d] of examples chosen [n, batch]."""
        rows = self.rows[chosen]
        residuals = np.einsum("nbd,nd->nb", rows, points) - self.targets[chosen]
        return np.einsum("nb,nbd->nd", _phi_slope(residuals), rows) / chosen.shape[1]

    def sigma_at(self, point: np.ndarray) -> float:
        """σ of one uniformly drawn example at a point [d]: √(mean over i of ‖∇fᵢ − ∇F‖²)."""
        every = np.arange(len(self.rows))[:, np.newaxis]
        examples = self.example_gradient(np.tile(point, (len(every), 1)), every)
        return float(np.sqrt(np.mean(np.sum((examples - self.gradient(point)) ** 2, axis=1))))

    def _residuals(self, points: np.ndarray) -> np.ndarray:
        return points @ self.rows.T - self.targets


def _phi(r: np.ndarray) -> np.ndarray:
    return r**2 / (1 + r**2)


def _phi_slope(r: np.ndarray) -> np.ndarray:
    return 2 * r / (1 + r**2) ** 2


def _phi_curvature(r: np.ndarray) -> np.ndarray:
    return (2 - 6 * r**2) / (1 + r**2) ** 3
