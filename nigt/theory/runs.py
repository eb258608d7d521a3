"""Runs of a method over replicates, and what is measured on the way."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from nigt.reference import last_axis_norm
from nigt.theory.methods import Method
from nigt.theory.oracles import Oracle

_CHUNK = 200_000  # numbers drawn at once, so that drawing costs little and holds little memory


@dataclasses.dataclass(frozen=True)
class Trace:
    """What a run leaves at each of its marks t, [marks, n].

    Attributes:
      marks: The steps t.
      mean_norm: (1/t)·Σ_{s≤t}‖∇F(w_s)‖.
      norm: ‖∇F(w_t)‖.
      rate, alpha: η_t and α_t.
      largest_alpha: The largest α_t of the whole run.
    """

    marks: tuple[int, ...]
    mean_norm: np.ndarray
    norm: np.ndarray
    rate: np.ndarray
    alpha: np.ndarray
    largest_alpha: float


def sampler(oracle: Oracle, random: np.random.Generator, replicates: int) -> Callable[[], np.ndarray]:
    """A function that returns a fresh ξ, [replicates, ...], at every call; drawn many at a time."""
    size = max(1, oracle.draw(random, 1, replicates).size)
    count = max(1, _CHUNK // size)
    chunk, used = oracle.draw(random, count, replicates), 0

    def draw() -> np.ndarray:
        nonlocal chunk, used
        if used == count:
            chunk, used = oracle.draw(random, count, replicates), 0
        used += 1
        return chunk[used - 1]

    return draw


def run(method: Method, oracle: Oracle, random: np.random.Generator, steps: int, marks: Sequence[int] = ()) -> Trace:
    """Steps a method and measures the true gradient at every iterate w_t, before the step from it.

    Args:
      method: At its start.
      oracle: The same that the method has.
      random: Of ξ.
      steps: T.
      marks: Steps to report, besides T.

    Raises:
      ValueError: A mark is outside 1…T.
    """
    replicates = method.w.shape[0]
    wanted = sorted({*marks, steps})
    if steps < 1 or wanted[0] < 1 or wanted[-1] > steps:
        raise ValueError(f"marks: {wanted}; give steps between 1 and steps = {steps}")
    draw, total, largest = sampler(oracle, random, replicates), np.zeros(replicates), 0.0
    rows: dict[str, list[np.ndarray]] = {"mean_norm": [], "norm": [], "rate": [], "alpha": []}
    following = iter(wanted)
    mark = next(following)
    for t in range(1, steps + 1):
        norm = last_axis_norm(oracle.objective.gradient(method.w))[:, 0]
        total += norm
        method.step(draw)
        if isinstance(method.alpha, float):
            largest = max(largest, method.alpha)
        else:
            largest = max(largest, float(np.max(method.alpha)))
        if t == mark:
            for name, value in (
                ("mean_norm", total / t),
                ("norm", norm),
                ("rate", method.rate),
                ("alpha", method.alpha),
            ):
                rows[name].append(np.broadcast_to(np.ravel(value), replicates).copy())
            mark = next(following, 0)
    columns = {name: np.array(column) for name, column in rows.items()}
    return Trace(tuple(wanted), columns["mean_norm"], columns["norm"], columns["rate"], columns["alpha"], largest)


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """The mean over replicates [n] and its standard error; 0 for a single, deterministic one."""
    error = float(np.std(values, ddof=1) / np.sqrt(values.size)) if values.size > 1 else 0.0
    return float(np.mean(values)), error
