"""A learning rate tuned on a grid: chosen on some replicates, measured on others."""

import numpy as np

from nigt.theory import methods
from nigt.theory.oracles import Oracle
from nigt.theory.runs import Trace, run

FACTORS = tuple(2.0**k for k in range(-3, 5))  # times methods.default_rate


def tune(name: str, oracle: Oracle, random: np.random.Generator, steps: int, replicates: int) -> float:
    """The factor of FACTORS with the smallest mean of ‖∇F(w_t)‖ over the run; all are run side by side.

    Args:
      name: Of the method: nsgd, nsgdm, nigt, sgd or igt; α stays as it is.
      oracle: Of the gradients.
      random: Of ξ.
      steps: T.
      replicates: Of each factor.
    """
    factors = np.repeat(FACTORS, replicates)[:, np.newaxis]
    rate = factors * methods.default_rate(name, oracle, steps)
    method = methods.make(name, oracle, steps, np.tile(oracle.objective.start, (len(factors), 1)), rate)
    with np.errstate(over="ignore", invalid="ignore"):
        trace = run(method, oracle, random, steps)
    means = trace.mean_norm[-1].reshape(len(FACTORS), replicates).mean(axis=1)
    return FACTORS[int(np.argmin(np.where(np.isfinite(means), means, np.inf)))]


def tuned(name: str, oracle: Oracle, seed: int, steps: int, replicates: int, trials: int) -> tuple[float, Trace]:
    """Tunes η, then measures it on fresh replicates: (factor, trace).

    Args: See tune.
      seed: Of both; the replicates that choose and those that measure draw from streams of their own.
      replicates: That measure.
      trials: Replicates of each factor that choose.
    """
    choosing, measuring = (np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(2))
    factor = tune(name, oracle, choosing, steps, trials)
    rate = factor * methods.default_rate(name, oracle, steps)
    method = methods.make(name, oracle, steps, np.tile(oracle.objective.start, (replicates, 1)), rate)
    return factor, run(method, oracle, measuring, steps)
