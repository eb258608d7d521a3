"""The figures of results/theory, from the records alone: same records, same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from nigt.theory import drift, methods, problems
from scripts.figures import style
from scripts.figures.selection import pick, slope
from scripts.figures.theory_names import METHODS, OBJECTIVES, PROBLEMS, problem

if TYPE_CHECKING:
    from scripts.theory.tasks import Record

LABELS = METHODS | {
    "nsgd": "normalized SGD, no momentum",
    "nsgdm": "with momentum (Theorem 1)",
    "nigt": "NIGT (Theorem 3)",
    "sgd": "SGD, η tuned",
    "igt": "Arnold et al.'s transport, η tuned",
}
COLOURS = {
    "nsgd": style.VERMILLION,
    "nsgdm": style.SKY,
    "nigt": style.COLOURS["nigt"],
    "sgd": style.GREEN,
    "igt": style.PURPLE,
    "storm": style.COLOURS["other"],
    "adaptive": style.ORANGE,
    "adaptive_corrected": "black",
}
_MEAN, _LAST = r"mean of $\Vert\nabla F(w_t)\Vert$, $t \leq T$", r"$\Vert\nabla F(w_T)\Vert$"


def momentum(records: Sequence[Record]) -> Figure:
    """One screen: the drift of section 2's counterexample, and where normalized SGD ends with skewed noise."""
    with style.figure((9.0, 4.0), legend__fontsize=8) as figure:
        left, right = figure.subplots(1, 2)
        _drift_panel(left, records)
        for method in ("nsgd", "nsgdm", "nigt"):
            own = _rate_records(records, "cos", "skewed", method, "last_grad_norm")
            _line(right, own, method, f"{LABELS[method]}: slope {_signed(slope(own).value)}")
        skewed: Any = problems.oracle("cos", "skewed", 2.0)
        right.axhline(skewed.plateau, color="0.4", linestyle=":", linewidth=1, label="predicted: σ√(p/(1 − p))")
        _scales(right, "$T$", _LAST)
        right.set(title=f"{problem('cos', 'skewed')} (p = 0.1)", ylim=(0.004, 1))
        right.legend(loc="lower left")
    return figure


def rates(records: Sequence[Record]) -> Figure:
    """Theorems 1 and 3: measured, with the bounds dashed above; and the mean over d."""
    with style.figure((9.0, 6.4), font__size=8.5, legend__fontsize=8, axes__titlesize=9) as figure:
        panels = figure.subplots(2, 3)
        for axes, (objective, noise) in zip(panels.flat, PROBLEMS, strict=False):
            slopes = []
            for method in ("nsgd", "nsgdm", "nigt"):
                own = _rate_records(records, objective, noise, method, "mean_grad_norm")
                slopes.append(_line(axes, own, method, f"slope {_signed(slope(own).value)}"))
                oracle = problems.oracle(objective, noise, own[0].sigma)
                if method != "nsgd":
                    line = [methods.bound_of(method, oracle, r.T) for r in own]
                    axes.plot([r.T for r in own], line, "--", color=COLOURS[method], linewidth=1)
            _scales(axes, "$T$", _MEAN)
            axes.set(title=problem(objective, noise, ",\n"), ylim=(axes.get_ylim()[0] / 3, None))  # room for the legend
            axes.legend(handles=slopes, loc="lower left")
        last = panels.flat[-1]
        for method in ("nsgdm", "nigt"):
            own = pick(records, experiment="dimension", method=method, quantity="mean_grad_norm")
            _line(last, own, method, "", across="dim")
        last.set(
            xscale="log", xlabel="dimension $d$", ylabel=_MEAN, title=f"{OBJECTIVES['cos_equal']},\nT = {own[0].T:,}"
        )
        last.set_ylim(bottom=0)
        for method in ("nsgd", "nsgdm", "nigt"):
            last.plot([], [], "o-", markersize=3, color=COLOURS[method], label=LABELS[method])
        for method, theorem in (("nsgdm", "Theorem 1"), ("nigt", "Theorem 3")):
            last.plot([], [], "--", linewidth=1, color=COLOURS[method], label=f"bound of {theorem}")
        figure.legend(
            *last.get_legend_handles_labels(), loc="outside lower center", ncols=5, columnspacing=1.2, handlelength=1.6
        )
    return figure


def comparison(records: Sequence[Record]) -> Figure:
    """All methods on `cos`, Gaussian and skewed noise."""
    with style.figure((9.0, 4.6), legend__fontsize=8) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, noise in ((left, "gaussian"), (right, "skewed")):
            present = {r.method for r in pick(records, experiment="rates", objective="cos", noise=noise)}
            for method in (name for name in LABELS if name in present):
                _line(axes, _rate_records(records, "cos", noise, method, "mean_grad_norm"), method, LABELS[method])
            _scales(axes, "$T$", _MEAN)
            axes.set_title(problem("cos", noise))
            axes.label_outer()
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def adaptivity(records: Sequence[Record]) -> Figure:
    """Algorithm 2 and NIGT: the mean at fixed T over σ; Algorithm 2's own η_t and mean near a minimum."""
    with style.figure((9.0, 3.6), legend__fontsize=8) as figure:
        left, middle, right = figure.subplots(1, 3)
        order = pick(records, experiment="order", quantity="mean_grad_norm")
        for method, setting in dict.fromkeys((r.method, r.setting) for r in order):
            label = LABELS[method] if method != "nigt" else f"NIGT, {setting or 'told σ'}"
            own = pick(order, method=method, setting=setting)
            _line(left, own, method, label, across="sigma", linestyle="--" if setting else "-")
        left.set(yscale="log", xlabel="σ", ylabel=_MEAN, title=f"cosines, T = {order[0].T:,}")
        left.legend(loc="lower right")
        near = pick(records, experiment="near", method="adaptive")
        for axes, quantity, label in (
            (middle, "mean_grad_norm", r"mean of $\Vert\nabla F(w_s)\Vert$, $s \leq t$"),
            (right, "eta", r"$\eta_t$"),
        ):
            for sigma, colour in ((0.0, COLOURS["adaptive"]), (1.0, "black")):
                own = [r for r in pick(near, sigma=sigma, quantity=quantity) if r.T > 1]
                _line(axes, own, "adaptive", f"σ = {sigma:g}: slope {_signed(slope(own).value)}", color=colour)
            _scales(axes, "$t$", label)
            axes.set_title("Algorithm 2 near a minimum")
            axes.legend(loc="lower left")
    return figure


FIGURES: dict[str, Callable[[Sequence[Record]], Figure]] = {
    "momentum": momentum,
    "rates": rates,
    "comparison": comparison,
    "adaptivity": adaptivity,
}


def _drift_panel(axes: Axes, records: Sequence[Record]) -> None:
    own = pick(records, experiment="drift", quantity="drift", method="nsgdm")
    beta = [float(r.setting.split("beta=")[1]) for r in own]
    (plain,) = pick(records, experiment="drift", quantity="drift", setting="p=0.25 beta=0")
    axes.axhline(plain.value, color=COLOURS["nsgd"], label=f"no momentum: {plain.value:.3f} (1 − 2p = 0.5)")
    line = 1 - np.logspace(-0.5, -3.2, 60)
    predicted = [drift.predicted(0.25, float(b)) for b in line]
    axes.plot(1 - line, predicted, color="0.6", linestyle="--", label="predicted, ∝ √(1 − β)")
    axes.errorbar([1 - b for b in beta], [r.value for r in own], [2 * r.stderr for r in own], fmt="o", markersize=4,
                  color=COLOURS["nsgdm"], label="measured, ± 2 standard errors")  # fmt: skip
    _scales(axes, "1 − β", "drift per step, in η")
    axes.set(title="∇F = 0 everywhere (p = 0.25): the walk away", ylim=(0.0015, 1))
    axes.legend(loc="lower right")


def _rate_records(records: Sequence[Record], objective: str, noise: str, method: str, quantity: str) -> list[Record]:
    return pick(records, experiment="rates", objective=objective, noise=noise, method=method, quantity=quantity)


def _line(axes: Axes, own: Iterable[Record], method: str, label: str, across: str = "T", **changes: Any) -> Any:
    """Values with two standard errors over T, or over another field."""
    own = sorted(own, key=lambda r: getattr(r, across))
    look: dict[str, Any] = {"marker": "o", "markersize": 3, "color": COLOURS[method], "label": label} | changes
    return axes.errorbar([getattr(r, across) for r in own], [r.value for r in own], [2 * r.stderr for r in own], **look)


def _scales(axes: Axes, x: str, y: str) -> None:
    """Both logarithmic, with numbers at the powers of ten alone."""
    axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
    axes.yaxis.set_minor_formatter(NullFormatter())


def _signed(value: float) -> str:
    """With a minus sign, not a hyphen."""
    return f"{value:.3f}".replace("-", "−")
