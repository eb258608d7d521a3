"""One arm beside another: the difference of means, its intervals, and the protocol's word for it among its family."""

import dataclasses
import functools
import math
import statistics
from collections.abc import Sequence

import numpy as np
from scipy import stats

MARGIN = 0.5  # points of accuracy
LEVEL = 0.05  # of a family: the chance that any of its tests rejects what is true
RESAMPLES, SEED = 10_000, 0
Interval = tuple[float, float]
_NONE = (math.nan, math.nan)


@dataclasses.dataclass(frozen=True)
class Sample:
    """The final runs of an arm.

    Attributes:
      values: Accuracy in %, of those that reached the end.
      diverged: How many did not.
      planned: How many seeds the arm has.
    """

    values: tuple[float, ...]
    diverged: int
    planned: int

    @property
    def is_complete(self) -> bool:
        """Whether every seed has been run."""
        return len(self.values) + self.diverged == self.planned


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two samples.

    Attributes:
      ours, theirs: The samples.
    """

    ours: Sample
    theirs: Sample

    @property
    def difference(self) -> float:
        """Ours minus theirs; NaN where either has no value."""
        if not (self.ours.values and self.theirs.values):
            return math.nan
        return statistics.fmean(self.ours.values) - statistics.fmean(self.theirs.values)

    @property
    def bootstrap(self) -> Interval:
        """The percentile bootstrap's 95 % interval, which is too narrow with few draws (see `coverage`)."""
        return bootstrap(self.ours.values, self.theirs.values)

    @property
    def welch(self) -> Interval:
        """Welch's 95 % t interval, which keeps its level with few draws, if they are normal."""
        if min(len(self.ours.values), len(self.theirs.values)) < 2:
            return _NONE
        found = stats.ttest_ind(self.ours.values, self.theirs.values, equal_var=False).confidence_interval()
        return float(found.low), float(found.high)

    @property
    def is_complete(self) -> bool:
        """Whether every seed of both has been run."""
        return self.ours.is_complete and self.theirs.is_complete

    @property
    def one_sided_loss(self) -> float:
        """∞ where all of theirs diverged and none of ours, −∞ the other way round, else 0."""
        lost = (self.ours.diverged, self.theirs.diverged)
        return {(0, self.theirs.planned): math.inf, (self.ours.planned, 0): -math.inf}.get(lost, 0.0)

    def p(self, bar: float) -> float:
        """Welch's two-sided p of a difference of `bar` points; 1 where a run is missing or has diverged."""
        if not self.is_complete or self.ours.diverged or self.theirs.diverged or math.isnan(self.welch[0]):
            return 1.0
        return _welch_p(self.ours.values, self.theirs.values, bar)

    @property
    def text(self) -> str:
        """ "+1.05 points [+0.62, +1.47], n = 5 and 5": Welch's 95 % interval, with what diverged."""
        lost = [f"{part.diverged} of {part.planned} diverged" for part in (self.ours, self.theirs) if part.diverged]
        counts = f"n = {len(self.ours.values)} and {len(self.theirs.values)}" + "".join(f", {part}" for part in lost)
        if math.isnan(self.difference):
            return counts
        return f"{self.difference:+.2f} points {shown(self.welch)}, {counts}"


@functools.cache
def _welch_p(ours: tuple[float, ...], theirs: tuple[float, ...], bar: float) -> float:
    return float(stats.ttest_ind([value - bar for value in ours], theirs, equal_var=False).pvalue)


@dataclasses.dataclass(frozen=True)
class Judged:
    """A comparison among its family.

    Attributes:
      comparison: It.
      family: All that are judged together, itself among them, run or not.
    """

    comparison: Comparison
    family: tuple[Comparison, ...]

    def p(self, bar: float = 0.0) -> float:
        """The p of a difference of `bar` points after Holm's correction (Holm, 1979) over the family."""
        own, all_of_them = self.comparison.p(bar), sorted(each.p(bar) for each in self.family)
        corrected = [p * (len(all_of_them) - place) for place, p in enumerate(all_of_them) if p <= own]
        return min(1.0, max(corrected))

    def is_above(self, bar: float) -> bool:
        """Whether ours minus theirs is decidedly above `bar` points."""
        found = self.comparison
        return found.one_sided_loss > 0 or (found.difference > bar and self.p(bar) < LEVEL)

    def is_below(self, bar: float) -> bool:
        """Whether it is decidedly below."""
        found = self.comparison
        return found.one_sided_loss < 0 or (found.difference < bar and self.p(bar) < LEVEL)

    @property
    def word(self) -> str:
        """matches, better, worse or undecided (PROTOCOL.md); "not run" before every seed of both has been run.

        A run that diverged has no accuracy: where some did, nothing is decided, unless it is all of one side and none
        of the other.
        """
        if not self.comparison.is_complete:
            return "not run"
        if self.is_above(-MARGIN) and self.is_below(MARGIN):
            return "matches"
        return "better" if self.is_above(0) else "worse" if self.is_below(0) else "undecided"


def shown(interval: Interval) -> str:
    """ "[+0.75, +1.35]", or "–" where there is none."""
    return "–" if math.isnan(interval[0]) else f"[{interval[0]:+.2f}, {interval[1]:+.2f}]"


def bootstrap(values: Sequence[float], others: Sequence[float] | None = None) -> Interval:
    """The percentile bootstrap's 95 % interval of a mean, or of the difference of two; NaN for less than two values."""
    samples = (values,) if others is None else (values, others)
    if min(map(len, samples)) < 2:
        return _NONE

    def statistic(*parts: np.ndarray, axis: int) -> np.ndarray:
        means = [np.mean(part, axis=axis) for part in parts]
        return means[0] if len(means) == 1 else means[0] - means[1]

    generator = np.random.default_rng(SEED)
    found = stats.bootstrap(samples, statistic, n_resamples=RESAMPLES, method="percentile", rng=generator)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def coverage(ours: int, theirs: int, draws: int = 2000, resamples: int = 1000) -> float:
    """How often the bootstrap's interval holds the difference of two normal means, of so many draws of either.

    With few draws less often than in 95 of 100: simulated here, so that a reader knows by how much.
    """
    generator = np.random.default_rng(SEED)
    held = 0
    for _ in range(draws):
        first, second = generator.normal(size=ours), generator.normal(size=theirs)
        means = first[generator.integers(ours, size=(resamples, ours))].mean(1)
        means = means - second[generator.integers(theirs, size=(resamples, theirs))].mean(1)
        low, high = np.percentile(means, (2.5, 97.5))
        held += low <= 0 <= high
    return held / draws
