"""The problems that are measured, by the names that they have in results."""

import numpy as np

from nigt.theory.objectives import Cosines, GemanMcClure, Objective, RobustRegression
from nigt.theory.oracles import FiniteSum, Gaussian, Oracle, Skewed

SEED = 5  # of the starting points and the regression's data
DIM = 10
OBJECTIVES = ("cos", "gm", "cosill", "robust", "cos_equal")
NOISES = ("gaussian", "skewed", "finite_sum")


def objective(name: str, dim: int = DIM) -> Objective:
    """F and w_1, which is drawn once: ±uniform in [1.5, 2.6] (cos, cosill) or [1, 2] (gm).

    Args:
      name: cos: L = ρ = 1. gm: L = 2, ρ = 4.67. cosill: cos weighted from 1 down to 0.01, L = ρ = 1. robust: a
        regression with a fifth of outliers, from 0. cos_equal: cos from equal coordinates such that R = 1.
      dim: d; only cos_equal takes another than 10.

    Raises:
      ValueError: An unknown name, or a dimension that the objective does not have.
    """
    if name not in OBJECTIVES:
        raise ValueError(f"objective: unknown {name}; choose one of {', '.join(OBJECTIVES)}")
    if name == "cos_equal":
        return Cosines(np.full(dim, np.arccos(1 - 1 / dim)), name=name)
    if dim != DIM:
        raise ValueError(f"dim: {dim}; {name} has {DIM}, cos_equal any")
    random = np.random.default_rng(SEED)
    starts = {}
    for key, low, high in (("cos", 1.5, 2.6), ("gm", 1.0, 2.0), ("cosill", 1.5, 2.6)):
        starts[key] = random.uniform(low, high, DIM) * random.choice([-1, 1], DIM)
    if name == "cos":
        return Cosines(starts["cos"])
    if name == "gm":
        return GemanMcClure(starts["gm"])
    if name == "cosill":
        return Cosines(starts["cosill"], np.logspace(0, -2, DIM), "cosill")
    rows = random.normal(size=(200, DIM)) / np.sqrt(DIM)
    targets = rows @ random.normal(size=DIM) + 0.1 * random.normal(size=200)
    targets[:40] += random.choice([-8, 8], 40)
    return RobustRegression(np.zeros(DIM), rows, targets)


def oracle(
    name: str, noise: str, sigma: float = 0.0, dim: int = DIM, batch: int = 1, start_scale: float = 1.0
) -> Oracle:
    """The gradient oracle of a problem.

    Args:
      name, dim: See objective.
      noise: gaussian or skewed (p = 0.1), of size sigma, or finite_sum, whose σ follows from the data (robust only).
      sigma: σ of one sample.
      batch: Samples averaged into one gradient.
      start_scale: On w_1, to start near a minimum at 0.

    Raises:
      ValueError: See objective; an unknown noise, or finite_sum of what is not a finite sum.
    """
    function = objective(name, dim)
    function.start = start_scale * function.start
    if noise == "gaussian":
        return Gaussian(function, sigma, batch)
    if noise == "skewed":
        return Skewed(function, sigma, batch)
    if noise != "finite_sum":
        raise ValueError(f"noise: unknown {noise}; choose one of {', '.join(NOISES)}")
    if not isinstance(function, RobustRegression):
        raise ValueError(f"noise: {name} is not a finite sum; choose robust, or gaussian or skewed")
    return FiniteSum(function, batch)
