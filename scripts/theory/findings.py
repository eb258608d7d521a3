"""The report's sentences and tables: what the records say, in words that follow from the numbers."""

import math
from collections.abc import Sequence

from nigt.theory import methods, problems
from nigt.theory.oracles import Skewed
from scripts import markdown
from scripts.figures.selection import one, pick, slope
from scripts.figures.theory_names import METHODS, NOISES, OBJECTIVES, PROBLEMS, problem
from scripts.theory import acceptance
from scripts.theory.plan import FIXED
from scripts.theory.tasks import Record


def number(record: Record) -> str:
    """Value ± standard error."""
    return f"{record.value:.4g} ± {record.stderr:.1g}" if record.stderr else f"{record.value:.4g}"


def momentum(records: Sequence[Record]) -> str:
    """The counterexample and the plateau."""
    plain = one(records, experiment="drift", quantity="drift", setting="p=0.25 beta=0")
    slow = pick(records, experiment="drift", quantity="drift", method="nsgdm")
    drifts = ", ".join(f"{number(r)} with {r.setting.split()[1].replace('beta=', 'β = ')}" for r in slow)
    last = {"experiment": "rates", "objective": "cos", "noise": "skewed", "quantity": "last_grad_norm"}
    end = pick(records, method="nsgd", **last)[-1]
    return (
        f"Section 2's counterexample has ∇F = 0 everywhere. Normalized SGD walks away by {number(plain)} η a step; "
        f"with momentum by {drifts} (n = {slow[0].replicates}): like √(1 − β), and never 0 for a fixed β.\n\n"
        f"On {problem('cos', 'skewed', ' with ')}, at T = {end.T:,} (n = {end.replicates}), the last iterate of "
        f"normalized SGD without momentum has ‖∇F‖ = {number(end)}: there the common gradient turns around "
        f"(σ√(p/(1 − p)) = {acceptance.PLATEAU:.4g}), whatever T. With Theorem 1's momentum it is "
        f"{number(pick(records, method='nsgdm', **last)[-1])}, with NIGT "
        f"{number(pick(records, method='nigt', **last)[-1])}."
    )


def negative(records: Sequence[Record]) -> list[str]:
    """What does not go the paper's way."""
    return [
        *_sgd(records),
        _gaussian(records),
        _batches(records),
        _exponents(records),
        _slow(records),
        _others(records),
        _loose(records),
    ]


def _sgd(records: Sequence[Record]) -> list[str]:
    lines = []
    for objective, length in acceptance.comparisons(records):
        chosen = pick(records, experiment="tuned", objective=objective, T=length)
        alphas = ", ".join(f"{r.value:g} ({METHODS[r.method]})" for r in chosen if r.quantity == "alpha")
        edge = ", ".join(dict.fromkeys(METHODS[r.method] for r in chosen if "edge" in r.setting))
        edge = f" At the edge of the grid: {edge}." if edge else ""
        means, lasts = (
            _ranked(acceptance.tuned(records, objective, length, quantity))
            for quantity in ("mean_grad_norm", "last_grad_norm")
        )
        lines.append(
            f"**Plain SGD, tuned**, on {OBJECTIVES[objective]}, T = {length:,}, all methods tuned for the smallest "
            f"mean: its mean is {means}. Its last iterate is {lasts}. The best α: {alphas}.{edge}"
        )
    return lines


def _ranked(own: Sequence[Record]) -> str:
    """Where SGD stands among records that are sorted by value, and all of them."""
    values = ", ".join(f"{METHODS[r.method]} {number(r)} (n = {r.replicates})" for r in own)
    near = own[1].value - own[0].value < 2 * math.hypot(own[0].stderr, own[1].stderr)
    tie = ", by less than two standard errors" if near else ""
    rank = "the smallest" if own[0].method == "sgd" else f"not the smallest (but {METHODS[own[0].method]}'s)"
    return f"{rank}{tie}: {values}"


def _gaussian(records: Sequence[Record]) -> str:
    parts = []
    for objective, noise in PROBLEMS:
        if noise == "gaussian":
            plain, moved = (acceptance.rates(records, method, objective, noise) for method in ("nsgd", "nsgdm"))
            common = sorted({r.T for r in plain} & {r.T for r in moved})
            ratios = [one(plain, T=t).value / one(moved, T=t).value for t in common]
            parts.append(f"{min(ratios):.2f}–{max(ratios):.2f} on {OBJECTIVES[objective]}")
    plain = acceptance.rates(records, "nsgd", "robust", "finite_sum")[-2:]
    moved = [one(acceptance.rates(records, "nsgdm", "robust", "finite_sum"), T=r.T) for r in plain]
    last = [math.log(b.value / a.value) / math.log(b.T / a.T) for a, b in (plain, moved)]
    flat = "it flattens there" if last[0] > last[1] else "it does not flatten there"
    return (
        "**Gaussian noise does not break normalized SGD without momentum.** Its mean divided by that of Theorem 1's "
        f"settings, over all T: {', '.join(parts)}. Symmetric noise has no bias of direction at a critical point, and "
        "α = 1 lets η be larger. Skewed noise needs the momentum; single examples of the robust regression, with its "
        f"outliers, are skewed, too: from T = {plain[0].T:,} to {plain[1].T:,} the slope is {last[0]:.2f} without "
        f"momentum and {last[1]:.2f} with Theorem 1's, so {flat}."
    )


def _batches(records: Sequence[Record]) -> str:
    parts = []
    for line in acceptance.batches(records):
        floor, _ = acceptance.floor_and_rest(line[-1])
        parts.append(f"{line[-1].batch}: {number(line[-1])} at T = {line[-1].T:,} (floor {floor:.3g})")
    return (
        "**A fixed batch lowers the plateau of skewed noise and does not remove it**, whatever T; but it need not grow "
        f"like T. ‖∇F(w_T)‖ without momentum by batch size: {'; '.join(parts)}. See “Fixed batches”."
    )


def _exponents(records: Sequence[Record]) -> str:
    near = {"experiment": "near", "method": "adaptive"}
    parts, missed = [], True
    for sigma, name, clean in ((0.0, "−1/2", -1 / 2), (1.0, "−2/7 = −0.286", -2 / 7)):
        fit = slope(pick(records, quantity="mean_grad_norm", sigma=sigma, **near))
        parts.append(f"{fit.value:.3f} at σ = {sigma:g} (Theorem 4: {name})")
        missed = missed and fit.value > clean + 0.02
    # η_t ∝ t^{−3/7}·G_t^{−2/7} with G_t = D + 2g² + g²·t^¼ when there is no noise
    flat = (methods.PRINTED_CONSTANT / 7) ** (7 / 3) + 2
    share = 14 * (0.495 - 3 / 7)  # of t^¼ in G_t when the exponent is within 1 % of −1/2
    reach = (flat * share / (1 - share)) ** 4
    return (
        f"**The clean slopes of Theorem 4 are {'not reached' if missed else 'reached in part'}.** Started near a "
        f"minimum: {' and '.join(parts)}, T ≤ {max(r.T for r in pick(records, **near)):,}. Without noise the reason is "
        f"D: G_t = D + 2g² + g²t^¼ with D + 2g² = {flat:.1f}·g², so the exponent of η_t comes within 1 % of −1/2 only "
        f"from t ≈ {reach:.0e} on."
    )


def _slow(records: Sequence[Record]) -> str:
    own = pick(records, experiment="rates", objective="cos", noise="gaussian", quantity="mean_grad_norm")
    parts = []
    for length in sorted({r.T for r in own}):
        nigt = one(own, method="nigt", T=length)
        both = [one(own, method=name, T=length).value / nigt.value for name in ("adaptive", "adaptive_corrected")]
        parts.append(f"{both[0]:.2f} and {both[1]:.2f} at T = {length:,}")
    return (
        f"**Algorithm 2 is slow at first.** Its mean on {problem('cos', 'gaussian', ' with ')}, divided by NIGT's with "
        f"Theorem 3's settings, with C as printed and with 52: {', '.join(parts)}. D = (26/7)^{{7/3}}·g² or "
        "(52/7)^{7/3}·g² keeps η_t small, and the way to a minimum takes long."
    )


def _others(records: Sequence[Record]) -> str:
    own = [r for r in pick(records, experiment="rates", objective="cos", noise="gaussian", quantity="mean_grad_norm")]
    last = sorted((r for r in own if r.T == max(s.T for s in own)), key=lambda r: r.value)
    values = ", ".join(f"{METHODS[r.method]} {number(r)}" for r in last)
    return (
        f"**Methods outside the paper's theory** on {problem('cos', 'gaussian', ' with ')}, T = {last[0].T:,} (n = "
        f"{last[0].replicates}), smallest mean first: {values}. Near a minimum the cosines are nearly quadratic, which "
        "is what Arnold et al.'s transport was made for; no bound covers it off quadratics, and at t = 10 its momentum "
        "is biased there (acceptance table)."
    )


def _loose(records: Sequence[Record]) -> str:
    parts = []
    for method, theorem in (("nsgdm", "Theorem 1"), ("nigt", "Theorem 3")):
        ratios = []
        for r in pick(records, experiment="rates", method=method, quantity="mean_grad_norm"):
            oracle = problems.oracle(r.objective, r.noise, r.sigma)
            ratios.append((methods.bound_of(method, oracle, r.T) or 0.0) / r.value)
        parts.append(f"{min(ratios):.0f}–{max(ratios):.0f} times the measured mean for {theorem}")
    constants = "Lemma 2's constants 3 and 8 could be 1 and 2 (docs/errata.md)."
    return f"**The bounds are loose**: {' and '.join(parts)}. {constants}"


def rates(records: Sequence[Record]) -> str:
    """Slopes, and Theorem 3 over Theorem 1."""
    lines = []
    for objective, noise in PROBLEMS:
        own = {m: acceptance.rates(records, m, objective, noise) for m in ("nsgd", "nsgdm", "nigt")}
        fits = {method: slope(line) for method, line in own.items()}
        ratios = [a.value / b.value for a, b in zip(own["nigt"], own["nsgdm"], strict=True)]
        cells = [f"{fit.value:.3f} ± {fit.stderr:.1g}" for fit in fits.values()]
        longest = f"{own['nigt'][-1].T:,}"
        if own["nsgd"][-1].T != own["nigt"][-1].T:
            longest += f"; without momentum {own['nsgd'][-1].T:,}"
        lines.append([problem(objective, noise), *cells, f"{ratios[0]:.2f} → {ratios[-1]:.2f}", longest])
    header = (
        "problem",
        "slope without momentum",
        "Theorem 1",
        "Theorem 3",
        "Theorem 3/Theorem 1, from T = 100",
        "to T",
    )
    return markdown.table(header, lines)


def comparison(records: Sequence[Record]) -> str:
    """The means at every T on cos."""
    lines = []
    for noise in ("gaussian", "skewed"):
        own = pick(records, experiment="rates", objective="cos", noise=noise, quantity="mean_grad_norm")
        steps = sorted({r.T for r in own})
        for method in dict.fromkeys(r.method for r in own):
            cells = [number(*r) if (r := [s for s in own if (s.method, s.T) == (method, t)]) else "" for t in steps]
            lines.append([NOISES[noise], METHODS[method], *cells])
    return markdown.table(("cosines with", "method", *(f"T = {t:,}" for t in steps)), lines)


def adaptivity(records: Sequence[Record]) -> str:
    """The means of Algorithm 2 and of NIGT over σ, and how much each grows."""
    lines, grown, growths = [], [], []
    for method, fixed, name in (
        ("adaptive", False, METHODS["adaptive"]),
        ("adaptive_corrected", False, METHODS["adaptive_corrected"]),
        ("nigt", False, "NIGT, told σ"),
        ("nigt", True, f"NIGT, {FIXED}"),
    ):
        own = acceptance.order(records, method, fixed)
        lines.append([name, *(number(r) for r in own)])
        value, error = acceptance.growth(records, method, fixed)
        growths.append(value)
        grown.append(f"{value:.3g} ± {error:.1g} times ({name})")
    header = (f"cosines, T = {own[0].T:,}, n = {own[-1].replicates}", *(f"σ = {r.sigma:g}" for r in own))
    return (
        f"{markdown.table(header, lines)}\n\nFrom σ = {own[1].sigma:g} to {own[-1].sigma:g} the mean grows by "
        f"{', '.join(grown)}. The last does not adapt; Algorithm 2, which is told g and not σ, gains "
        f"{'more' if min(growths[:2]) > growths[-1] else 'no more'} than it where there is little noise, though g does "
        "not bound this noise and Theorem 4 does not cover it."
    )


def batches(records: Sequence[Record]) -> str:
    """Measured and predicted ‖∇F(w_T)‖ of fixed batches, with their floors."""
    lines, steps = [], sorted({r.T for own in acceptance.batches(records) for r in own})
    for own in acceptance.batches(records):
        at = {r.T: f"{number(r)} ({acceptance.floor_and_rest(r)[1]:.3g})" for r in own}
        floor, _ = acceptance.floor_and_rest(own[0])
        lines.append([str(own[0].batch), f"{floor:.3g}", *(at.get(t, "") for t in steps)])
    source = Skewed(problems.objective("cos"), own[0].sigma)
    return (
        f"{markdown.table(('B', 'floor', *(f'T = {t:,}' for t in steps)), lines)}\n\n‖∇F(w_T)‖ of normalized SGD "
        f"without momentum on {problem('cos', 'skewed', ' with ')}, n = {own[0].replicates}; in brackets, what is "
        "predicted for this T. Along u the gradient of a batch is G + c·(p − K/B), K ~ Bin(B, p), c = σ/√(p(1 − p)) = "
        f"{source.size:.3g}. A normalized step takes its sign, which is as often up as down where G = c·(median of K/B "
        "− p). So the floor is c·|median − B·p|/B: 0 where B·p is an integer (B = 20, the control), and at most c·ln "
        "2/B. A gradient below ε needs a batch that grows like 1/ε for this noise: no fixed batch is enough but by "
        "chance, and none has to grow like T. The floor shows once η is small enough; until then G, a walk of ±η, "
        "spreads around it (the prediction is the mean of this walk)."
    )
