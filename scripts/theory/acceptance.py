"""The acceptance table: each claim's number, what was to be accepted (set beforehand), and the verdict."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from nigt.theory import drift, methods, problems
from nigt.theory.oracles import Skewed
from scripts.figures.selection import Slope, one, pick, slope
from scripts.figures.theory_names import METHODS, OBJECTIVES, PROBLEMS, problem
from scripts.theory import tables
from scripts.theory.plan import FIXED
from scripts.theory.tasks import Record

COLUMNS = ("kind", "claim", "where", "measured", "stderr", "n", "accepted", "verdict")
# Whose claim the range stands for: the paper's; ours alone; or ours where the paper says otherwise.
PAPER, OURS, AGAINST = "paper", "ours", "against the paper"
PLATEAU = 2 * math.sqrt(0.1 / 0.9)  # σ·√(p/(1 − p)) for σ = 2 and p = 0.1


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of acceptance.csv.

    Attributes:
      claim: What the paper says, or what follows from it.
      where: On which problem.
      measured, stderr: The number and its standard error; 0: deterministic, or the largest or smallest of several.
      n: Replicates.
      low, high: The accepted range.
      accepted: The range in words.
      kind: PAPER, OURS or AGAINST.
      decisive: Whether missing the range can refute the claim, or only mean that n is too small.
    """

    claim: str
    where: str
    measured: float
    stderr: float
    n: int
    low: float
    high: float
    accepted: str
    kind: str = PAPER
    decisive: bool = True

    @property
    def verdict(self) -> str:
        """holds: within the range; fails: outside by 2 standard errors or more; undecided."""
        outside = max(self.low - self.measured, self.measured - self.high)
        if outside <= 0:
            return "holds"
        return "undecided" if outside < 2 * self.stderr or not self.decisive else "fails"

    def cells(self) -> dict[str, str]:
        """As text."""
        return {
            "kind": self.kind,
            "claim": self.claim,
            "where": self.where,
            "measured": f"{self.measured:.4g}",
            "stderr": f"{self.stderr:.2g}" if self.stderr else "",
            "n": str(self.n),
            "accepted": self.accepted,
            "verdict": self.verdict,
        }


def rows(records: Sequence[Record]) -> list[Row]:
    """All of them, from the measurements alone."""
    parts: tuple[Callable[[Sequence[Record]], Iterator[Row]], ...]
    parts = (_drift, _arnold, _theorem1, _theorem3, _dimension, _batches, _theorem4, _sgd)
    return [row for part in parts for row in part(records)]


def counts(rows: Sequence[Row]) -> str:
    """How many rows hold, the paper's claims and ours apart, and how many contradict the paper."""
    held = {kind: [row.verdict == "holds" for row in rows if row.kind == kind] for kind in (PAPER, OURS, AGAINST)}
    return (
        f"{sum(held[PAPER])} of {len(held[PAPER])} rows that test a claim of the paper hold, {sum(held[OURS])} of "
        f"{len(held[OURS])} that test a prediction of ours; {sum(held[AGAINST])} rows contradict the paper"
    )


def _within(claim: str, where: str, fit: Slope, n: int, low: float, high: float, kind: str = PAPER) -> Row:
    return Row(claim, where, fit.value, fit.stderr, n, low, high, f"[{low:g}, {high:g}]", kind)


def _of(record: Record, claim: str, where: str, low: float, high: float, accepted: str, kind: str = PAPER) -> Row:
    return Row(claim, where, record.value, record.stderr, record.replicates, low, high, accepted, kind)


def ratio(first: Record, second: Record) -> tuple[float, float]:
    """first/second and its standard error."""
    value = first.value / second.value
    return value, value * float(np.hypot(first.stderr / first.value, second.stderr / second.value))


def rates(records: Sequence[Record], method: str, objective: str, noise: str) -> list[Record]:
    """The means of ‖∇F(w_t)‖ of rates.csv, by T."""
    return pick(records, experiment="rates", quantity="mean_grad_norm", method=method, objective=objective, noise=noise)


def _fewest(records: Sequence[Record]) -> int:
    return min(r.replicates for r in records)


def _drift(records: Sequence[Record]) -> Iterator[Row]:
    for r in pick(records, experiment="drift", quantity="drift"):
        expected = one(records, experiment="drift", quantity="predicted_drift", setting=r.setting).value
        if r.method == "nsgd":
            allowed, accepted = 4 * r.stderr, f"{expected:.4g} ± 4 stderr"
            yield _of(r, "drift without momentum: 1 − 2p", r.setting, expected - allowed, expected + allowed, accepted)
            continue
        allowed, accepted = max(0.1 * expected, 4 * r.stderr), f"{expected:.4g} ± 10 % or 4 stderr"
        claim = "drift with momentum: the skewness that is left"
        yield _of(r, claim, r.setting, expected - allowed, expected + allowed, accepted, OURS)
        yield Row(
            "… and it is not 0: in standard errors",
            r.setting,
            r.value / r.stderr,
            1.0,
            r.replicates,
            4,
            math.inf,
            "> 4",
            OURS,
            decisive=False,
        )


def _arnold(records: Sequence[Record]) -> Iterator[Row]:
    quadratic = {"experiment": "transport", "objective": "quadratic"}
    r = one(records, quantity="pathwise_error", **quadratic)
    claim = "Arnold et al.: m_t − ∇F(w_t) is the mean of the noise, pathwise"
    yield _of(r, claim, "quadratic, largest difference", 0, 1e-12, "< 1e-12")
    ours = pick(records, quantity="variance_times_t_plus_1", setting="", **quadratic)
    worst = max(ours, key=lambda r: abs(r.value - 1))
    where = f"quadratic, the farthest from 1 of t = {', '.join(str(r.T) for r in ours)}"
    yield _of(worst, "Arnold et al.: variance·(t + 1)/σ² is 1", where, 0.97, 1.03, "1 ± 0.03")
    off = {"experiment": "transport", "objective": "cos", "quantity": "bias", "T": 10}
    moved, still = (one(records, setting=setting, **off) for setting in ("", "no transport"))
    where, low = f"{OBJECTIVES['cos']}, t = 10", moved.value + 10 * still.stderr
    yield _of(moved, "… biased off a quadratic", where, 10 * moved.stderr, math.inf, "> 10 stderr", OURS)
    accepted = f"> {moved.value:.3g} by 10 stderr"
    yield _of(still, "… and more without transport", where, low, math.inf, accepted, OURS)


def _bound_row(records: Sequence[Record], method: str, claim: str) -> Row:
    own = [row for row in tables.rate_rows(records) if row["method"] == method]
    ratios = [float(row["bound"]) / (float(row["mean_grad_norm"]) + 4 * float(row["stderr"])) for row in own]
    fewest = min(int(row["replicates"]) for row in own)
    where = f"the smallest bound/(measured + 4 stderr) of {len(own)} (problem, T)"
    return Row(claim, where, min(ratios), 0.0, fewest, 1, math.inf, "> 1")


def _theorem1(records: Sequence[Record]) -> Iterator[Row]:
    yield _bound_row(records, "nsgdm", "Theorem 1: the bound holds")
    for objective, noise in PROBLEMS:
        own = rates(records, "nsgdm", objective, noise)
        yield _within("Theorem 1: slope", problem(objective, noise), slope(own), _fewest(own), -0.25, -0.22)


def _theorem3(records: Sequence[Record]) -> Iterator[Row]:
    yield _bound_row(records, "nigt", "Theorem 3: the bound holds")
    for objective, noise in PROBLEMS:
        own, other = (rates(records, method, objective, noise) for method in ("nigt", "nsgdm"))
        third, first = slope(own), slope(other)
        where, n = problem(objective, noise), _fewest(own)
        yield _within("Theorem 3: slope", where, third, n, -0.29, -0.26)
        gap, error = first.value - third.value, float(np.hypot(third.stderr, first.stderr))
        yield Row("… steeper than Theorem 1's by", where, gap, error, n, 0.02, math.inf, "≥ 0.02")


def _dimension(records: Sequence[Record]) -> Iterator[Row]:
    for method in ("nsgdm", "nigt"):
        own = pick(records, experiment="dimension", quantity="mean_grad_norm", method=method)
        values = {r.dim: r for r in own}
        far = max((values[d] for d in values if d > 10), key=lambda r: abs(r.value / values[10].value - 1))
        value, error = ratio(far, values[10])
        where = f"{OBJECTIVES['cos_equal']}, {METHODS[method]}, T = {far.T:,}, farthest at d = {far.dim}"
        yield Row("dimension-free: ratio to d = 10", where, value, error, far.replicates, 0.95, 1.05, "1 ± 0.05")


def _batches(records: Sequence[Record]) -> Iterator[Row]:
    last = {"experiment": "rates", "objective": "cos", "noise": "skewed", "quantity": "last_grad_norm"}
    own, skewed = pick(records, method="nsgd", **last), problem("cos", "skewed")
    claim, where = "without momentum ‖∇F(w_T)‖ stays at σ√(p/(1 − p))", f"{skewed}, T = {own[-1].T:,}"
    yield _of(own[-1], claim, where, 0.98 * PLATEAU, 1.02 * PLATEAU, f"{PLATEAU:.4g} ± 2 %", OURS)
    yield _within("… slope of ‖∇F(w_T)‖", f"{skewed}, normalized SGD", slope(own), _fewest(own), -0.02, 0.02, OURS)
    for method in ("nsgdm", "nigt"):
        own = pick(records, method=method, **last)
        fit, where = slope(own), f"{skewed}, {METHODS[method]}"
        claim = "… with momentum it falls: slope"
        yield Row(claim, where, fit.value, fit.stderr, _fewest(own), -math.inf, -0.2, "< −0.2")
    for line in batches(records):
        r, (floor, predicted) = line[-1], floor_and_rest(line[-1])
        allowed = max(0.1 * predicted, 4 * r.stderr)
        claim = "fixed batches without momentum: ‖∇F(w_T)‖ is where the walk along u rests"
        where, accepted = f"{skewed}, B = {r.batch}, T = {r.T:,}", f"{predicted:.3g} ± 10 % or 4 stderr"
        where += f", floor {floor:.3g}"
        yield _of(r, claim, where, predicted - allowed, predicted + allowed, accepted, OURS)
    pairs = [
        (r, one(rates(records, "nsgdm", "cos", "gaussian"), T=r.T)) for r in rates(records, "nsgd", "cos", "gaussian")
    ]
    worst, other = max(pairs, key=lambda pair: pair[0].value / pair[1].value)
    value, error = ratio(worst, other)
    claim, where = "Gaussian noise: no momentum/Theorem 1", f"{OBJECTIVES['cos']}, largest at T = {worst.T:,}"
    yield Row(claim, where, value, error, worst.replicates, 0, 1 - 4 * error, "< 1 by 4 stderr", OURS)


def batches(records: Sequence[Record]) -> list[list[Record]]:
    """‖∇F(w_T)‖ of normalized SGD with skewed noise by T, a list for each batch size."""
    own = pick(records, experiment="batch", quantity="last_grad_norm")
    return [pick(own, batch=batch) for batch in sorted({r.batch for r in own})]


def floor_and_rest(record: Record) -> tuple[float, float]:
    """The floor of its batch, which no T lowers, and where a run of its T is to end up.

    Raises:
      TypeError: Its noise is not the skewed one.
    """
    source = problems.oracle(record.objective, record.noise, record.sigma, batch=record.batch)
    if not isinstance(source, Skewed):
        raise TypeError(f"{record.noise}: has no floor")
    return source.plateau, drift.resting(source, methods.default_rate("nsgd", source, record.T))


def _theorem4(records: Sequence[Record]) -> Iterator[Row]:
    adaptive = [r for r in records if r.method.startswith("adaptive")]
    first, largest = pick(adaptive, quantity="alpha", T=1), pick(adaptive, quantity="largest_alpha")
    where = f"{len(largest)} runs, both values of C"
    worst = max(first, key=lambda r: abs(r.value - 1))
    yield Row("Algorithm 2: α_1 is 1", where, worst.value, 0.0, _fewest(first), 1 - 1e-12, 1 + 1e-12, "1 ± 1e-12")
    worst = max(largest, key=lambda r: r.value)
    yield Row("Algorithm 2: α_t ≤ 1", where, worst.value, 0.0, _fewest(largest), 0, 1 + 1e-12, "≤ 1 + 1e-12")
    control, control_error = growth(records, "nigt", fixed=True)
    for method in ("adaptive", "adaptive_corrected"):
        own = order(records, method)
        steps = [(b.value - a.value) / np.hypot(a.stderr, b.stderr) for a, b in zip(own, own[1:], strict=False)]
        where = f"{OBJECTIVES['cos']}, {METHODS[method]}, T = {own[0].T:,}"
        claim, count = "Theorem 4 adapts: the mean grows with σ, by (in stderr) at least", own[-1].replicates
        between = f", σ = {', '.join(f'{r.sigma:g}' for r in own)}"
        yield Row(claim, where + between, float(min(steps)), 1.0, count, 4, math.inf, "> 4")
        value, error = growth(records, method)
        claim = f"… and more than NIGT's with the {FIXED}: growth/its growth"
        error = value / control * float(np.hypot(error / value, control_error / control))
        between = f", from σ = {own[1].sigma:g} to {own[-1].sigma:g}"
        yield Row(claim, where + between, value / control, error, count, 1 + 4 * error, math.inf, "> 1 by 4 stderr")
    ranges = {0.0: ((-0.48, -0.44), (-0.47, -0.44), "−1/2"), 1.0: ((-0.25, -0.19), (-0.72, -0.69), "−2/7")}
    for sigma, ((low, high), (eta_low, eta_high), printed) in ranges.items():
        near = {"experiment": "near", "method": "adaptive", "sigma": sigma}
        where = f"{OBJECTIVES['cos']}, near a minimum, σ = {sigma:g}, C as printed"
        own, claim = pick(records, quantity="mean_grad_norm", **near), "Algorithm 2: slope of the mean"
        yield _within(claim, f"{where}; Theorem 4: {printed}", slope(own), _fewest(own), low, high, AGAINST)
        own = [r for r in pick(records, quantity="eta", **near) if r.T > 1]
        yield _within("Algorithm 2: slope of η_t", where, slope(own), _fewest(own), eta_low, eta_high, OURS)


def order(records: Sequence[Record], method: str, fixed: bool = False) -> list[Record]:
    """The means of a method at one T, by σ.

    Args:
      records: All.
      method: adaptive, adaptive_corrected or nigt.
      fixed: Whether its settings are those of one σ, whatever the noise.
    """
    own = pick(records, experiment="order", quantity="mean_grad_norm", method=method, setting=FIXED if fixed else "")
    return sorted(own, key=lambda r: r.sigma)


def growth(records: Sequence[Record], method: str, fixed: bool = False) -> tuple[float, float]:
    """The mean at the largest σ over that at the smallest but 0, and its standard error."""
    own = order(records, method, fixed)
    return ratio(own[-1], own[1])


def _sgd(records: Sequence[Record]) -> Iterator[Row]:
    for objective, length in comparisons(records):
        own = tuned(records, objective, length, "mean_grad_norm")
        sgd, best = one(own, method="sgd"), next(r for r in own if r.method != "sgd")
        value, error = ratio(sgd, best)
        claim = "SGD/the best normalized method, η and α tuned: the mean"
        where = f"{OBJECTIVES[objective]}, T = {length:,}, best: {METHODS[best.method]}"
        yield Row(claim, where, value, error, sgd.replicates, 0, 1 + 4 * error, "≤ 1 + 4 stderr", OURS)


def comparisons(records: Sequence[Record]) -> list[tuple[str, int]]:
    """The (objective, T) on which methods are tuned alike."""
    return sorted({(r.objective, r.T) for r in pick(records, experiment="tuned")})


def tuned(records: Sequence[Record], objective: str, length: int, quantity: str) -> list[Record]:
    """A quantity of the methods tuned alike, the smallest first.

    What was best without momentum, α = 1, and with normalized SGD's η, is normalized SGD with other seeds: its
    replicates count as normalized SGD's.
    """
    own = pick(records, experiment="tuned", objective=objective, T=length)
    factors = {r.method: r.value for r in own if r.quantity == "factor"}
    alphas = {r.method: r.value for r in own if r.quantity == "alpha"} | {"nsgd": 1.0}
    own = pick(own, quantity=quantity)
    same = [r for r in own if alphas.get(r.method) == 1 and factors[r.method] == factors["nsgd"]]
    plain = dataclasses.replace(
        one(same, method="nsgd"),
        value=float(np.mean([r.value for r in same])),
        stderr=float(np.sqrt(sum(r.stderr**2 for r in same))) / len(same),
        replicates=sum(r.replicates for r in same),
    )
    return sorted([plain, *(r for r in own if r not in same)], key=lambda r: r.value)
