"""Section 2's counterexample: ∇F = 0 everywhere, and normalized SGD walks away; and where batches let it rest.

In one dimension ∇f = p with probability 1 − p and p − 1 with p, so E∇f = 0, and E[∇f/|∇f|] = 1 − 2p.
"""

import numpy as np

from nigt.theory.methods import Scheduled
from nigt.theory.objectives import Quadratic
from nigt.theory.oracles import Skewed
from nigt.theory.runs import mean_and_error, sampler


def predicted(rare: float, beta: float) -> float:
    """The drift per η: 1 − 2p without momentum, and Edgeworth's first term of E[sign m] with it.

    m is a sum of independent gradients with weights (1 − β)·β^k, whose skewness is the gradient's times
    (1 − β²)^{3/2}/(1 − β³); a variable of small skewness γ has E[sign] = −γ/(3√(2π)). It shrinks like √(1 − β).

    Args:
      rare: p.
      beta: β.
    """
    if beta == 0:
        return 1 - 2 * rare
    skewness = (1 - 2 * rare) / np.sqrt(rare * (1 - rare)) * (1 - beta**2) ** 1.5 / (1 - beta**3)
    return float(skewness / (3 * np.sqrt(2 * np.pi)))


def resting(source: Skewed, rate: float) -> float:
    """Mean of ‖∇F‖ where normalized SGD without momentum ends up for a given η, near a minimum with F″ = 1 along u.

    ∇F = G·u, and all noise lies along u, so that G walks by ±η: down if K < B·(p + G/c), K ~ Bin(B, p). The walk's
    stationary law follows from detailed balance; where its lattice lies is averaged out. As η goes to 0 it narrows to
    the source's plateau.

    Args:
      source: Of the gradients.
      rate: η.
    """
    reach = int((source.plateau + 30 * np.sqrt(rate)) / rate)  # both tails are empty long before
    points = rate * (np.arange(-reach, reach + 1) + np.arange(16)[:, np.newaxis] / 16)
    below = np.ceil(source.batch * (source.rare + points / source.size)).astype(int)  # K < below
    down = np.concatenate([[0.0], source.cumulative])[np.clip(below, 0, source.batch + 1)]
    tiny = np.finfo(np.float64).tiny
    ratios = np.log(np.maximum(1 - down[:, :-1], tiny)) - np.log(np.maximum(down[:, 1:], tiny))
    law = np.cumsum(ratios, axis=1)
    law = np.exp(law - law.max(axis=1, keepdims=True))
    return float(np.mean(np.sum(law * np.abs(points[:, 1:]), axis=1) / law.sum(axis=1)))


def measured(rare: float, beta: float, random: np.random.Generator, steps: int, replicates: int) -> tuple[float, float]:
    """The drift of w away from w_1, per step and η, and its standard error over replicates.

    With momentum the mean of m over the steps, whose expectation is 0, serves as a control variate: it explains most of
    the mean of sign m.

    Args:
      rare: p in (0, 1/2).
      beta: β of the momentum, 0 for none.
      random: Of the gradients.
      steps: Measured, after a burn-in of 12/(1 − β).
      replicates: n, at least 3.
    """
    flat = Quadratic(np.zeros(1), np.zeros((1, 1)))
    source = Skewed(flat, np.sqrt(rare * (1 - rare)), rare=rare)  # so that c = 1
    method = Scheduled(source, np.zeros((replicates, 1)), 1.0, lambda t: beta if t > 1 else 0.0)
    draw = sampler(source, random, replicates)
    for _ in range(int(np.ceil(12 / (1 - beta)))):
        method.step(draw)
    before, total = method.w.copy(), np.zeros((replicates, 1))
    for _ in range(steps):
        method.step(draw)
        total += method.m
    drift, control = (before - method.w)[:, 0] / steps, total[:, 0] / steps
    if beta > 0:
        drift = drift - np.cov(drift, control)[0, 1] / np.var(control, ddof=1) * control
    return mean_and_error(drift)
