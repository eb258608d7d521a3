"""Figure 1 of the paper from our own runs: python -m scripts.figures.figure1 --results=results/laptop/demo.

Reads runs.csv and curves.csv, which scripts.figures.collect makes, and writes figure1.png: same results, same bytes.
Exit status: 0 done, 2 bad input.
"""

import dataclasses
import os
import pathlib

import pandas as pd
from absl import flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from data import command_line
from data.errors import InputError
from scripts.figures import style
from scripts.figures.collect import CURVE_COLUMNS, RUN_COLUMNS, read_rows
from scripts.figures.table import OPTIMIZERS, PAPER_FINAL, TASKS, commits
from trainers.checkout import ROOT


@dataclasses.dataclass(frozen=True)
class Panel:
    """One half of the figure."""

    task: str
    baseline: str
    title: str
    ylabel: str


PANELS = (
    Panel("bert", "adam", "(a) BERT pretraining", "masked LM validation accuracy [%]"),
    Panel("resnet", "sgd", "(b) ResNet", "top-1 validation accuracy [%]"),
)

_LAYOUT: dict = {"rect": (0, 0.05, 0.995, 0.95), "wspace": 0.06}  # below: room for the footer
_MARKED_UP_TO = 40  # evaluations on one line: with more, the marks run together


@dataclasses.dataclass(frozen=True)
class Line:
    """One optimizer's validation accuracy in one panel.

    Attributes:
      eta0: η0.
      accuracy: In %, by step (rows) and seed (columns); runs that reached the end.
      lost: How many further runs diverged or failed.
    """

    eta0: float
    accuracy: pd.DataFrame
    lost: int


@dataclasses.dataclass(frozen=True)
class Results:
    """runs.csv and curves.csv, checked, and the lines of the figure by (task, optimizer)."""

    directory: pathlib.Path
    runs: pd.DataFrame
    curves: pd.DataFrame
    lines: dict[tuple[str, str], Line]


def load(results_dir: str | os.PathLike, partial: bool = False) -> Results:
    """Reads a results directory.

    Args:
      results_dir: With runs.csv and curves.csv.
      partial: Whether optimizers of the figure may be without a run.

    Raises:
      InputError: A file, a column or a run is missing, or the two files do not agree; names it.
    """
    directory = pathlib.Path(results_dir)
    runs = pd.DataFrame(read_rows(directory / "runs.csv", RUN_COLUMNS), columns=list(RUN_COLUMNS))
    curves = pd.DataFrame(read_rows(directory / "curves.csv", CURVE_COLUMNS), columns=list(CURVE_COLUMNS))
    runs = runs.astype({"eta0": float, "seed": int, "steps": int})
    for table, names in ((runs, ["final_value", "wall_s"]), (curves, ["wall_s", "value"])):
        for name in names:
            table[name] = [float(text) if text else float("nan") for text in table[name]]  # pandas' parser rounds
    curves = curves.astype({"step": int, "examples": int})
    lines = {}
    for panel in PANELS:
        for optimizer in ("nigt", panel.baseline):
            chosen = runs[(runs.phase == "final") & (runs.task == panel.task) & (runs.optimizer == optimizer)]
            if len(chosen):
                lines[panel.task, optimizer] = _line(directory, chosen, curves)
            elif not partial:
                raise InputError(
                    f"{directory / 'runs.csv'}: no final run of {panel.task} {optimizer}: train it "
                    f"(`make {panel.task}-{optimizer}`) and collect it, or draw the rest with --partial"
                )
    if not lines:
        raise InputError(f"{directory / 'runs.csv'}: no final run of this figure; collect runs with --phase=final")
    return Results(directory, runs, curves, lines)


def draw(results_dir: str | os.PathLike, partial: bool = False) -> Figure:
    """The figure: (a) BERT, (b) ResNet; NIGT dark blue, the baseline light blue.

    Args and errors: see load.
    """
    results = load(results_dir, partial)
    with style.figure((9.6, 4.1), layout=_LAYOUT, xtick__color="0.3", ytick__color="0.3") as figure:
        for panel, axes in zip(PANELS, figure.subplots(1, 2), strict=True):
            _draw_panel(axes, panel, results)
        figure.text(0.008, 0.014, _footer(results), fontsize=6.5, color="0.45")
    return figure


def end_points(results_dir: str | os.PathLike, partial: bool = False) -> pd.DataFrame:
    """Our validation accuracy after the last step, in %, beside the paper's at its own scale."""
    results = load(results_dir, partial)
    rows = []
    for (task, optimizer), line in results.lines.items():
        last = line.accuracy.iloc[-1] if line.accuracy.size else pd.Series(dtype=float)
        rows.append(
            {
                "task": TASKS[task],
                "optimizer": OPTIMIZERS[optimizer],
                "η0": line.eta0,
                "runs": len(last) + line.lost,
                "diverged or failed": line.lost,
                "steps": int(line.accuracy.index[-1]) if line.accuracy.size else 0,
                "ours, mean [%]": last.mean(),
                "min [%]": last.min(),
                "max [%]": last.max(),
                "the paper's [%]": PAPER_FINAL[task, optimizer],
            }
        )
    return pd.DataFrame(rows)


def _line(directory: pathlib.Path, runs: pd.DataFrame, curves: pd.DataFrame) -> Line:
    """The runs of one optimizer on one task as one line.

    Raises:
      InputError: They are not seeds of one setting, or their curves are missing or contradict runs.csv.
    """
    name = f"{directory / 'runs.csv'}: the final runs of {runs.task.iloc[0]} {runs.optimizer.iloc[0]}"
    for column in ("scale", "eta0", "metric"):
        values = sorted(set(runs[column]))
        if len(values) > 1:
            raise InputError(f"{name} have more than one {column}, {values}; collect one as final, the others as tune")
    twice = runs.seed[runs.seed.duplicated()]
    if len(twice):
        raise InputError(f"{name} have seed {twice.iloc[0]} more than once; keep one row of it")
    seeds = {}
    for run in runs.itertuples():
        if run.status != "ok":
            continue
        own = curves[(curves.run_id == run.run_id) & (curves.split == "validation") & (curves.name == run.metric)]
        curve = own.set_index("step").value.sort_index()
        if curve.empty:
            raise InputError(f"{directory / 'curves.csv'}: no validation {run.metric} of {run.run_id}: collect it")
        if curve.index[-1] != run.steps or curve.iloc[-1] != run.final_value:
            raise InputError(f"{directory}: runs.csv and curves.csv disagree on {run.run_id}'s end: collect it again")
        seeds[run.seed] = 100 * curve
    ends = {int(curve.index[-1]) for curve in seeds.values()}
    if len(ends) > 1:
        raise InputError(f"{name} have different lengths, {sorted(ends)} steps; collect those of one length as final")
    accuracy = pd.DataFrame(seeds).sort_index().dropna()  # the steps at which every seed was evaluated
    return Line(float(runs.eta0.iloc[0]), accuracy, len(runs) - len(seeds))


def _draw_panel(axes: Axes, panel: Panel, results: Results) -> None:
    lines = {name: results.lines.get((panel.task, name)) for name in ("nigt", panel.baseline)}
    scales = set(results.runs.scale[(results.runs.task == panel.task) & (results.runs.phase == "final")])
    axes.set_title(panel.title + (f", {'/'.join(sorted(scales))} scale" if scales else ""), loc="left")
    axes.set(xlabel="training steps", ylabel=panel.ylabel)
    if not any(lines.values()):
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no runs yet", transform=axes.transAxes, ha="center", va="center", color="0.5")
        return
    for zorder, (name, line) in zip((3, 2), lines.items(), strict=True):  # NIGT above the baseline
        if line is not None:
            _draw_line(axes, name, line, zorder)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlim(left=0)
    axes.margins(x=0.02)
    title = "validation accuracy after the last step"
    axes.legend(loc="best", title=title, title_fontsize=8, fontsize=8, alignment="left")


def _draw_line(axes: Axes, optimizer: str, line: Line, zorder: float) -> None:
    """The mean over the seeds, with a band from the lowest to the highest."""
    colour = style.COLOURS["nigt" if optimizer == "nigt" else "baseline"]
    steps, mean = line.accuracy.index.to_numpy(), line.accuracy.mean(axis=1).to_numpy()
    marker = "o" if len(steps) <= _MARKED_UP_TO else None
    axes.plot(steps, mean, color=colour, label=_label(optimizer, line), lw=1.6, marker=marker, ms=3, zorder=zorder)
    if line.accuracy.shape[1] > 1:
        low, high = line.accuracy.min(axis=1).to_numpy(), line.accuracy.max(axis=1).to_numpy()
        axes.fill_between(steps, low, high, color=colour, alpha=0.25, lw=0, zorder=zorder - 1)


def _label(optimizer: str, line: Line) -> str:
    """ "NIGT, η₀ = 0.001: 41.20 %", and with several runs how many."""
    seeds = line.accuracy.shape[1]
    count = f", n = {seeds}" if seeds > 1 or line.lost else ""
    count += f" of {seeds + line.lost}" if line.lost else ""
    value = f"{line.accuracy.iloc[-1].mean():.2f} %" if seeds else "diverged or failed"
    return f"{OPTIMIZERS[optimizer]}, η₀ = {line.eta0:g}{count}: {value}"


def _footer(results: Results) -> str:
    """Where the figure comes from: the directory, as seen from the repository's root, and the commits of the runs."""
    directory = results.directory.resolve()
    shown = directory.relative_to(ROOT).as_posix() if directory.is_relative_to(ROOT) else directory.name
    shape = results.lines.values()
    band = "; lines: mean, bands: lowest to highest of n seeds" if any(x.accuracy.shape[1] > 1 for x in shape) else ""
    final = results.runs[results.runs.phase == "final"].to_dict("records")
    used = [run for run in final if (run["task"], run["optimizer"]) in results.lines]
    return f"{shown}; runs at {commits(used)}{band}"


def define_flags() -> None:
    """Not when imported: the programs' flags have names in common."""
    flags.DEFINE_string("results", None, "The results directory, e.g. results/laptop/demo.")
    flags.DEFINE_string("output", None, "The PNG file; if not set, figure1.png in the results directory.")
    flags.DEFINE_bool("partial", False, "Draw what there is, although runs of the figure are missing.")


def main() -> None:
    """Draws what the flags name."""
    options = flags.FLAGS
    if not options.results:
        raise InputError("--results is missing, e.g. --results=results/laptop/demo")
    output = options.output or os.path.join(options.results, "figure1.png")
    style.save(draw(options.results, options.partial), output)
    print(output)


if __name__ == "__main__":
    define_flags()
    command_line.run("figure1", "scripts.figures.figure1", main)
