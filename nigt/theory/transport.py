"""Arnold et al.'s implicit gradient transport (sections 1 and 3): exact on a quadratic, biased off it."""

import dataclasses

import numpy as np

from nigt.theory.methods import Scheduled, arnold_beta
from nigt.theory.objectives import Cosines, Quadratic
from nigt.theory.oracles import Gaussian
from nigt.theory.problems import DIM, SEED, objective
from nigt.theory.runs import sampler

RATE = 0.1  # η of the plain steps w ← w − η·m


def quadratic() -> Quadratic:
    """½·wᵀHw in ten dimensions, H a random Wishart matrix scaled to L = 1."""
    random = np.random.default_rng(SEED)
    factor = random.normal(size=(DIM, DIM))
    matrix = factor @ factor.T
    return Quadratic(random.normal(size=DIM), matrix / np.linalg.eigvalsh(matrix)[-1])


def printed_beta(t: int) -> float:
    """Section 3 read literally: m_1 is one sample and β_t = t/(t + 1) from t = 2 on."""
    return t / (t + 1) if t > 1 else 0.0


@dataclasses.dataclass(frozen=True)
class Errors:
    """m_t − ∇F(w_t) at t = 0, 1, … (0 for the first gradient), over n replicates.

    Attributes:
      pathwise: The largest |m_t − ∇F(w_t) − mean of the noise up to t| of any coordinate, step and replicate.
      square: Of the error, mean over replicates of ‖m_t − ∇F(w_t)‖², [steps].
      square_error: Its standard error, [steps].
      bias: ‖mean over replicates of m_t − ∇F(w_t)‖, [steps].
      bias_error: Its standard error, along that mean, [steps].
    """

    pathwise: float
    square: np.ndarray
    square_error: np.ndarray
    bias: np.ndarray
    bias_error: np.ndarray


def errors(
    function: Quadratic | Cosines,
    sigma: float,
    random: np.random.Generator,
    steps: int,
    replicates: int,
    transport: bool = True,
    as_printed: bool = False,
) -> Errors:
    """Runs w ← w − η·m with β_t = t/(t + 1) and Gaussian noise.

    Args:
      function: F.
      sigma: σ.
      random: Of the noise.
      steps: How many t.
      replicates: n.
      transport: Whether gradients are taken at x (Arnold et al.) or at w.
      as_printed: Section 3's indexing instead, in which the first sample keeps too much weight.
    """
    source = Gaussian(function, sigma)
    start = np.tile(function.start, (replicates, 1))
    beta = printed_beta if as_printed else arnold_beta
    method = Scheduled(source, start, RATE, beta, normalized=False, transport=transport)
    draw, noise = sampler(source, random, replicates), np.zeros_like(start)
    columns: list[tuple[float, float, float, float]] = []
    pathwise = 0.0
    for t in range(steps):
        xi, w = draw(), method.w
        noise += xi
        method.step(lambda xi=xi: xi)  # type: ignore[misc]
        error = method.m - function.gradient(w)
        pathwise = max(pathwise, float(np.max(np.abs(error - noise / (t + 1)))))
        squares, mean = np.sum(error**2, axis=1), np.mean(error, axis=0)
        bias = float(np.linalg.norm(mean))
        along = error @ (mean / bias) if bias > 0 else np.zeros(replicates)
        root = np.sqrt(replicates)
        columns.append((float(squares.mean()), float(squares.std() / root), bias, float(along.std() / root)))
    return Errors(pathwise, *np.array(columns).T)


def cosines() -> Cosines:
    """`cos`, whose Hessian changes."""
    function = objective("cos")
    assert isinstance(function, Cosines)
    return function
