"""η, and α where a method has one, tuned on a grid: chosen on some replicates, measured on others."""

import dataclasses
import itertools

import numpy as np

from nigt.theory import methods
from nigt.theory.oracles import Oracle
from nigt.theory.runs import Trace, run

FACTORS = tuple(2.0**k for k in range(-3, 5))  # on η
ALPHAS = tuple(4.0**-k for k in range(5))  # of methods with momentum; with 1 they have none


@dataclasses.dataclass(frozen=True)
class Point:
    """A point of the grid.

    Attributes:
      factor: On methods.default_rate; with an α, on Theorem 1's η for that α, √(Rα/(TL)).
      alpha: α; None for a method that has none.
    """

    factor: float
    alpha: float | None

    @property
    def at_edge(self) -> bool:
        """Whether a wider grid could have been better; no α is larger than 1."""
        return self.factor in (FACTORS[0], FACTORS[-1]) or self.alpha == ALPHAS[-1]

    def rate(self, name: str, oracle: Oracle, steps: int) -> float:
        """η."""
        if self.alpha is None:
            return self.factor * methods.default_rate(name, oracle, steps)
        return float(self.factor * np.sqrt(self.alpha) * methods.default_rate("nsgd", oracle, steps))


def grid(name: str) -> list[Point]:
    """Every point of a method's grid."""
    alphas = ALPHAS if name in methods.WITH_MOMENTUM else (None,)
    return [Point(factor, alpha) for alpha, factor in itertools.product(alphas, FACTORS)]


def tune(name: str, oracle: Oracle, random: np.random.Generator, steps: int, replicates: int) -> Point:
    """The point with the smallest mean of ‖∇F(w_t)‖ over the run; all are run side by side.

    Args:
      name: Of the method: nsgd, nsgdm, nigt, sgd or igt.
      oracle: Of the gradients.
      random: Of ξ.
      steps: T.
      replicates: Of each point.
    """
    points = grid(name)
    rate = _column([point.rate(name, oracle, steps) for point in points], replicates)
    alpha = None if points[0].alpha is None else _column([point.alpha for point in points], replicates)
    start = np.tile(oracle.objective.start, (len(rate), 1))
    method = methods.make(name, oracle, steps, start, rate, alpha=alpha)
    with np.errstate(over="ignore", invalid="ignore"):
        trace = run(method, oracle, random, steps)
    means = trace.mean_norm[-1].reshape(len(points), replicates).mean(axis=1)
    return points[int(np.argmin(np.where(np.isfinite(means), means, np.inf)))]


def tuned(name: str, oracle: Oracle, seed: list[int], steps: int, replicates: int, trials: int) -> tuple[Point, Trace]:
    """Tunes, then measures on fresh replicates.

    Args: See tune.
      seed: Of both; the replicates that choose and those that measure draw from streams of their own.
      replicates: That measure.
      trials: Replicates of each point that choose.
    """
    choosing, measuring = (np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(2))
    point = tune(name, oracle, choosing, steps, trials)
    start = np.tile(oracle.objective.start, (replicates, 1))
    method = methods.make(name, oracle, steps, start, point.rate(name, oracle, steps), alpha=point.alpha)
    return point, run(method, oracle, measuring, steps)


def _column(values: list, replicates: int) -> np.ndarray:
    """[points · replicates, 1]: each value once a replicate."""
    return np.repeat(np.array(values, np.float64), replicates)[:, np.newaxis]
