"""The figures of results/theory, from the records alone: same records, same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nigt.theory import drift, methods, problems
from scripts.figures import style
from scripts.figures.selection import pick, slope

if TYPE_CHECKING:
    from scripts.theory.tasks import Record

LABELS = {
    "nsgd": "normalized SGD, no momentum",
    "nsgdm": "with momentum (Theorem 1)",
    "nigt": "NIGT (Theorem 3)",
    "sgd": "SGD, η tuned",
    "igt": "Arnold's IGT, η tuned",
    "storm": "STORM",
    "adaptive": "Algorithm 2, C as printed",
    "adaptive_corrected": "Algorithm 2, C with 52",
}
COLOURS = {
    "nsgd": "#c44e52",
    "nsgdm": "#6db3e8",
    "nigt": "#0b2f7f",
    "sgd": "#55a868",
    "igt": "#8172b2",
    "storm": "#937860",
    "adaptive": "#e08214",
    "adaptive_corrected": "#fdb863",
}


def momentum(records: Sequence[Record]) -> Figure:
    """One screen: the drift of section 2's counterexample, and where normalized SGD ends with skewed noise."""
    figure, (left, right) = _axes(1, 2, (9.6, 4.6))
    _drift_panel(left, records)
    _rates_panel(right, records, "cos", "skewed", ("nsgd", "nsgdm", "nigt"), "last_grad_norm")
    right.set_title("a rare large gradient (p = 0.1): the last iterate")
    right.set_ylabel("‖∇F(w_T)‖")
    right.axhline(2 * np.sqrt(0.1 / 0.9), color="0.4", linestyle=":", linewidth=1, label="σ√(p/(1 − p))")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncol=2)
    return figure


def rates(records: Sequence[Record]) -> Figure:
    """Theorems 1 and 3: measured, with the bounds dashed above; and the mean over d."""
    problems_ = (
        ("cos", "gaussian"),
        ("cos", "skewed"),
        ("cosill", "gaussian"),
        ("gm", "gaussian"),
        ("robust", "finite_sum"),
    )
    figure, panels = _axes(2, 3, (11.5, 8.4))
    for axes, (objective, noise) in zip(panels.flat, problems_, strict=False):
        _rates_panel(axes, records, objective, noise, ("nsgd", "nsgdm", "nigt"), "mean_grad_norm", bounds=True)
        axes.set_title(f"{objective}, {noise.replace('_', ' ')} noise")
    last = panels.flat[5]
    for method in ("nsgdm", "nigt"):
        own = pick(records, experiment="dimension", method=method, quantity="mean_grad_norm")
        own.sort(key=lambda r: r.dim)
        errors = [2 * r.stderr for r in own]
        line = {"color": COLOURS[method], "label": LABELS[method], "marker": "o", "markersize": 3}
        last.errorbar([r.dim for r in own], [r.value for r in own], errors, **line)
    last.set(xscale="log", xlabel="d", ylabel="mean of ‖∇F(w_t)‖", title=f"cos_equal, R = σ = 1, T = {own[0].T:,}")
    last.set_ylim(bottom=0)
    last.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), fontsize=7)
    return figure


def comparison(records: Sequence[Record]) -> Figure:
    """All methods on `cos`, Gaussian noise."""
    figure, (left, right) = _axes(1, 2, (11, 5.2))
    for axes, noise in ((left, "gaussian"), (right, "skewed")):
        present = {r.method for r in records if r.experiment == "rates" and (r.objective, r.noise) == ("cos", noise)}
        _rates_panel(axes, records, "cos", noise, [name for name in LABELS if name in present], "mean_grad_norm")
        axes.set_title(f"cos, {noise} noise, σ = 2")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncol=2)
    return figure


def adaptivity(records: Sequence[Record]) -> Figure:
    """Algorithm 2: the mean at fixed T over σ, and its own η_t and mean near a minimum."""
    figure, (left, middle, right) = _axes(1, 3, (11.5, 3.9))
    for method in ("adaptive", "adaptive_corrected"):
        own = sorted(pick(records, experiment="order", method=method, quantity="mean_grad_norm"), key=lambda r: r.sigma)
        left.errorbar([r.sigma for r in own], [r.value for r in own], [2 * r.stderr for r in own], marker="o",
                      markersize=3, color=COLOURS[method], label=LABELS[method])  # fmt: skip
    left.set(xlabel="σ, which it is not told", ylabel="mean of ‖∇F(w_t)‖", title=f"cos, T = {own[0].T:,}")
    left.legend()
    for axes, quantity, label in ((middle, "mean_grad_norm", "mean of ‖∇F(w_t)‖"), (right, "eta", "η_t")):
        for sigma, colour in ((0.0, "#e08214"), (1.0, "#7f3b08")):
            own = pick(records, experiment="near", method="adaptive", sigma=sigma, quantity=quantity)
            own = [r for r in own if r.T > 1]
            fit = slope(own)
            name = f"σ = {sigma:g}: slope {fit.value:.3f}"
            axes.loglog([r.T for r in own], [r.value for r in own], marker="o", markersize=3, color=colour, label=name)
        axes.set(xlabel="t", ylabel=label, title="started near a minimum")
        axes.legend()
    return figure


FIGURES: dict[str, Callable[[Sequence[Record]], Figure]] = {
    "momentum": momentum,
    "rates": rates,
    "comparison": comparison,
    "adaptivity": adaptivity,
}


def _axes(rows: int, columns: int, size: tuple[float, float]):
    with style.figure(size, dpi=120, legend__fontsize=7.5) as figure:
        return figure, figure.subplots(rows, columns)


def _drift_panel(axes: Axes, records: Sequence[Record]) -> None:
    own = pick(records, experiment="drift", quantity="drift", method="nsgdm")
    beta = [float(r.setting.split("beta=")[1]) for r in own]
    line = 1 - np.logspace(-0.5, -3.2, 60)
    predicted = [drift.predicted(0.25, float(b)) for b in line]
    axes.loglog(1 - line, predicted, color="0.6", linestyle="--", label="predicted, ∝ √(1 − β)")
    axes.errorbar([1 - b for b in beta], [r.value for r in own], [2 * r.stderr for r in own], fmt="o", markersize=4,
                  color=COLOURS["nsgdm"], label="measured, ± 2 standard errors")  # fmt: skip
    (plain,) = pick(records, experiment="drift", quantity="drift", setting="p=0.25 beta=0")
    axes.axhline(plain.value, color=COLOURS["nsgd"], label=f"without momentum: {plain.value:.3f} (1 − 2p = 0.5)")
    axes.set(xlabel="1 − β", ylabel="drift per step, in η", title="∇F = 0 everywhere, p = 0.25: the walk away")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncol=1)


def _rates_panel(axes, records, objective, noise, names, quantity, bounds=False) -> None:
    for name in names:
        chosen = {"experiment": "rates", "objective": objective, "noise": noise, "method": name}
        own = pick(records, quantity=quantity, **chosen)
        steps = [r.T for r in own]
        fitted = slope(own).value
        axes.errorbar(steps, [r.value for r in own], [2 * r.stderr for r in own], marker="o", markersize=3,
                      color=COLOURS[name], label=f"{LABELS[name]}: slope {fitted:.3f}")  # fmt: skip
        if bounds and name in ("nsgdm", "nigt"):
            oracle = problems.oracle(objective, noise, own[0].sigma)
            line = [methods.bound_of(name, oracle, t) for t in steps]
            axes.plot(steps, line, color=COLOURS[name], linestyle="--", linewidth=1, label=f"{LABELS[name]}: bound")
    axes.set(xscale="log", yscale="log", xlabel="T", ylabel="mean of ‖∇F(w_t)‖, t ≤ T")
    if bounds:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), fontsize=7)
