"""Figure 1 of the paper from our own runs: python -m scripts.figures.figure1 --results=results/laptop/demo.

Reads runs.csv and curves.csv, which scripts.figures.collect makes, and writes figure1.png and figure1.pdf:
same results, same bytes.
Exit status: 0 done, 2 bad input.
"""

import dataclasses
import os
import pathlib
import string
from collections.abc import Iterator
from typing import Any

import pandas as pd
from absl import flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from data import command_line
from data.errors import InputError
from scripts.figures import style
from scripts.figures.collect import CURVE_COLUMNS, RUN_COLUMNS, read_rows
from scripts.figures.start import described, source_of, start_of
from scripts.figures.table import OPTIMIZERS
from trainers.schema.tasks import TASKS, Task


@dataclasses.dataclass(frozen=True)
class Panel:
    """One panel of curves.

    Attributes:
      task: What is trained.
      title: What is written above.
      is_continued: Whether its runs start from another run's checkpoint, though the task's others do not.
    """

    task: type[Task]
    title: str
    is_continued: bool = False

    @property
    def name(self) -> str:
        """Of its place in the figure."""
        return f"{self.task.name} continued" if self.is_continued else self.task.name

    @property
    def is_of_paper(self) -> bool:
        """Whether it is one of the paper's Figure 1, which is not whole without it."""
        return bool(self.task.paper_run) and not self.is_continued

    def runs(self, runs: pd.DataFrame, optimizer: str) -> pd.DataFrame:
        """Those of an optimizer that may be drawn in it."""
        return runs[(runs.task == self.task.name) & (runs.optimizer == optimizer) & (runs.phase != "tune")]


def _panels() -> Iterator[Panel]:
    for task in TASKS.values():
        if task.paper_run and "init_checkpoint" in task.model_fields:
            yield Panel(task, f"{task.short_title()} from scratch")
            yield Panel(task, task.short_title(), is_continued=True)
        else:
            yield Panel(task, task.short_title())


PANELS = tuple(_panels())

_PAPER_SPAN = (69, 78)  # % of the axis of the paper's end points
_MARKED_UP_TO = 40  # evaluations on one line: with more, the marks run together


@dataclasses.dataclass(frozen=True)
class Line:
    """One optimizer's validation accuracy in one panel.

    Attributes:
      eta0: η0.
      accuracy: In %, by step (rows) and seed (columns); runs that reached the end. With a start, its step is the first,
        and steps count on from there.
      lost: How many further runs diverged or failed.
    """

    eta0: float
    accuracy: pd.DataFrame
    lost: int


@dataclasses.dataclass(frozen=True)
class Results:
    """runs.csv and curves.csv, checked.

    Attributes:
      runs, curves: The files.
      lines: By a panel's name and the optimizer.
      start: "from Adam's step 3,000", where the continued runs start; empty without such runs.
      before: The accuracy, in % by step, of the run that they continue, up to there; empty if it was not collected.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame
    lines: dict[tuple[str, str], Line]
    start: str
    before: pd.Series


def load(results_dir: str | os.PathLike, partial: bool = False) -> Results:
    """Reads a results directory.

    Args:
      results_dir: With runs.csv and curves.csv.
      partial: Whether optimizers of the figure may be without a run. Those that continue another run may be always.

    Raises:
      InputError: A file, a column or a run is missing, or the two files do not agree; names it.
    """
    directory = pathlib.Path(results_dir)
    rows = read_rows(directory / "runs.csv", RUN_COLUMNS)
    runs = pd.DataFrame(rows, columns=list(RUN_COLUMNS))
    curves = pd.DataFrame(read_rows(directory / "curves.csv", CURVE_COLUMNS), columns=list(CURVE_COLUMNS))
    runs = runs.astype({"eta0": float, "seed": int, "steps": int})
    for table, names in ((runs, ["final_value", "wall_s"]), (curves, ["wall_s", "value"])):
        for name in names:
            table[name] = [float(text) if text else float("nan") for text in table[name]]  # pandas' parser rounds
    curves = curves.astype({"step": int, "examples": int})
    starts = pd.Series([start_of(row) for row in rows], index=runs.index, dtype=object)
    start = _first_start(runs, starts)
    source = source_of(start, rows) if start else None
    before = pd.Series(dtype=float)
    if start and source:
        before = _curve(source["run_id"], source["metric"], curves).loc[: start[1]]
    lines = {}
    for panel in PANELS:
        for optimizer in ("nigt", panel.task.baseline):
            own = panel.runs(runs, optimizer)
            if panel.is_continued:
                own = own[[starts[i] == start is not None for i in own.index]]
            else:
                own = own[(own.phase == "final") & (starts[own.index].isna() | (not panel.is_of_paper))]
            if len(own):
                line = _line(directory, own, curves)
                lines[panel.name, optimizer] = _moved(line, start[1], before) if panel.is_continued and start else line
            elif not partial and panel.is_of_paper:
                raise InputError(
                    f"{directory / 'runs.csv'}: no final run of {panel.name} {optimizer}: train it "
                    f"(`make {panel.name}-{optimizer}`) and collect it, or draw the rest with --partial"
                )
    if not lines:
        raise InputError(f"{directory / 'runs.csv'}: no final run of this figure; collect runs with --phase=final")
    return Results(runs, curves, lines, described(start, rows) if start else "", before)


def draw(results_dir: str | os.PathLike, partial: bool = False) -> Figure:
    """The figure: the paper's panels, those that there are runs of besides, and the paper's end points.

    Args and errors: see load.
    """
    results = load(results_dir, partial)
    drawn = {panel for panel, _ in results.lines}
    names = [panel.name for panel in PANELS if panel.is_of_paper or panel.name in drawn] + ["paper"]
    is_wide = len(names) % 2  # the paper's fills a row
    mosaic: list[Any] = [(names[place : place + 2] * 2)[:2] for place in range(0, len(names), 2)]
    height, ratios = 3.3 * len(mosaic) - 1.4 * is_wide, [2] * (len(mosaic) - is_wide) + [1] * is_wide
    with style.figure((style.WIDTH, height), layout={"wspace": 0.05, "hspace": 0.05}) as figure:
        axes = figure.subplot_mosaic(mosaic, height_ratios=ratios)
        for panel in PANELS:
            if panel.name in axes:
                _draw_panel(axes[panel.name], panel, results)
        _draw_paper(axes["paper"])
        for letter, name in zip(string.ascii_lowercase, axes, strict=False):
            axes[name].set_title(f"({letter}) {axes[name].get_title(loc='left')}", pad=6 if name == "paper" else 34)
        several = any(line.accuracy.shape[1] > 1 for line in results.lines.values())
        seeds = "; lines: mean over n seeds, bands: lowest to highest" if several else ""
        figure.supxlabel(f"numbers: accuracy after the last step{seeds}", fontsize=8.5, color="0.35")
    return figure


def end_points(results_dir: str | os.PathLike, partial: bool = False) -> pd.DataFrame:
    """Our validation accuracy after the last step, in %, beside the paper's at its own scale."""
    results = load(results_dir, partial)
    rows = []
    for panel in PANELS:
        for optimizer in ("nigt", panel.task.baseline):
            if (panel.name, optimizer) not in results.lines:
                continue
            line = results.lines[panel.name, optimizer]
            last = line.accuracy.iloc[-1] if line.accuracy.size else pd.Series(dtype=float)
            rows.append(
                {
                    "panel": _title(panel, results),
                    "optimizer": OPTIMIZERS[optimizer],
                    "η0": line.eta0,
                    "runs": len(last) + line.lost,
                    "diverged or failed": line.lost,
                    "steps": int(line.accuracy.index[-1]) if line.accuracy.size else 0,
                    "ours, mean [%]": last.mean(),
                    "min [%]": last.min(),
                    "max [%]": last.max(),
                    "the paper's [%]": f"{panel.task.paper_final[optimizer]:.2f}" if panel.is_of_paper else "–",
                }
            )
    return pd.DataFrame(rows)


def in_words(results_dir: str | os.PathLike, partial: bool = False) -> str:
    """What one sees, a line of Markdown a panel: who ends higher, and by how much."""
    results, lines = load(results_dir, partial), []
    for panel in PANELS:
        own = [results.lines.get((panel.name, optimizer)) for optimizer in ("nigt", panel.task.baseline)]
        if len(ends := [line.accuracy.iloc[-1].mean() for line in own if line and line.accuracy.size]) == 2:
            nigt, other = ends
            gap = f"{abs(nigt - other):.2f} points {'above' if nigt > other else 'below'}"
            told = f"NIGT ends at {nigt:.2f} %, {gap} {OPTIMIZERS[panel.task.baseline]}'s {other:.2f} %."
            lines.append(f"- {_title(panel, results)}: {told}")
    return "\n".join(lines)


def _first_start(runs: pd.DataFrame, starts: pd.Series) -> tuple[str, int] | None:
    """The earliest checkpoint that runs of the continued panel start from."""
    panel = next(panel for panel in PANELS if panel.is_continued)
    own = pd.concat([panel.runs(runs, optimizer) for optimizer in ("nigt", panel.task.baseline)])
    return min(starts[own.index].dropna(), key=lambda start: (start[1], start[0]), default=None)


def _curve(run_id: str, metric: str, curves: pd.DataFrame) -> pd.Series:
    """A run's validation accuracy, in % by step."""
    own = curves[(curves.run_id == run_id) & (curves.split == "validation") & (curves.name == metric)]
    return 100 * own.set_index("step").value.sort_index()


def _moved(line: Line, start: int, before: pd.Series) -> Line:
    """The line with the steps before it counted; it begins with what its weights had reached, where that is known."""
    accuracy = line.accuracy.set_axis(line.accuracy.index + start)
    if start in before.index and accuracy.size:
        first = pd.DataFrame(before[start], index=[start], columns=accuracy.columns)
        accuracy = pd.concat([first, accuracy])
    return dataclasses.replace(line, accuracy=accuracy)


def _line(directory: pathlib.Path, runs: pd.DataFrame, curves: pd.DataFrame) -> Line:
    """The runs of one optimizer in one panel as one line.

    Raises:
      InputError: They are not seeds of one setting, or their curves are missing or contradict runs.csv.
    """
    phase = "/".join(sorted(set(runs.phase)))
    name = f"{directory / 'runs.csv'}: the {phase} runs of {runs.task.iloc[0]} {runs.optimizer.iloc[0]}"
    for column in ("scale", "eta0", "metric"):
        values = sorted(set(runs[column]))
        if len(values) > 1:
            raise InputError(f"{name} have more than one {column}, {values}; one alone may be {phase}, the others tune")
    twice = runs.seed[runs.seed.duplicated()]
    if len(twice):
        raise InputError(f"{name} have seed {twice.iloc[0]} more than once; keep one row of it")
    seeds: dict[int, pd.Series] = {}
    run: Any
    for run in runs.itertuples():
        if run.status != "ok":
            continue
        curve = _curve(run.run_id, run.metric, curves)
        if curve.empty:
            raise InputError(f"{directory / 'curves.csv'}: no validation {run.metric} of {run.run_id}: collect it")
        if curve.index[-1] != run.steps or curve.iloc[-1] != 100 * run.final_value:
            raise InputError(f"{directory}: runs.csv and curves.csv disagree on {run.run_id}'s end: collect it again")
        seeds[run.seed] = curve
    ends = {int(curve.index[-1]) for curve in seeds.values()}
    if len(ends) > 1:
        raise InputError(f"{name} have different lengths, {sorted(ends)} steps; collect those of one length as {phase}")
    accuracy = pd.DataFrame(seeds).sort_index().dropna()  # the steps at which every seed was evaluated
    return Line(float(runs.eta0.iloc[0]), accuracy, len(runs) - len(seeds))


def _title(panel: Panel, results: Results) -> str:
    """ "BERT from Adam's step 3,000"."""
    return f"{panel.title} {results.start}" if panel.is_continued else panel.title


def _draw_panel(axes: Axes, panel: Panel, results: Results) -> None:
    lines = {name: results.lines.get((panel.name, name)) for name in ("nigt", panel.task.baseline)}
    scales = set(results.runs.scale[(results.runs.task == panel.task.name) & (results.runs.phase != "tune")])
    axes.set_title(_title(panel, results) + (f", {'/'.join(sorted(scales))} scale" if scales else ""))
    axes.set(xlabel="training steps", ylabel=f"{panel.task.axis} [%]")
    if not any(lines.values()):
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no runs yet", transform=axes.transAxes, ha="center", va="center", color="0.5")
        return
    if panel.is_continued and results.before.size:
        look: dict[str, Any] = {"color": style.COLOURS["other"], "ls": "--", "lw": 1.6, "zorder": 1}
        axes.plot(results.before.index, results.before.to_numpy(), **look)
        place: dict[str, Any] = {
            "transform": axes.transAxes,
            "ha": "left",
            "va": "top",
        }  # accuracy rises: above its start is room
        axes.text(0.03, 0.96, "dashed: the run\nthey start from", color="0.35", **place)
    for zorder, (name, line) in zip((3, 2), lines.items(), strict=True):  # NIGT above the baseline
        if line is not None:
            _draw_line(axes, name, line, zorder)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlim(left=0)
    axes.margins(x=0.02)
    # Above the curves, wherever these go; the title stands on it.
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=9, frameon=False, borderaxespad=0, borderpad=0.2)


def _draw_line(axes: Axes, optimizer: str, line: Line, zorder: float) -> None:
    """The mean over the seeds, with a band from the lowest to the highest."""
    colour = style.COLOURS["nigt" if optimizer == "nigt" else "baseline"]
    steps, mean = line.accuracy.index.to_numpy(), line.accuracy.mean(axis=1).to_numpy()
    marker = "o" if len(steps) <= _MARKED_UP_TO else None
    axes.plot(steps, mean, color=colour, label=_label(optimizer, line), lw=1.8, marker=marker, ms=3.5, zorder=zorder)
    if line.accuracy.shape[1] > 1:
        low, high = line.accuracy.min(axis=1).to_numpy(), line.accuracy.max(axis=1).to_numpy()
        axes.fill_between(steps, low, high, color=colour, alpha=0.25, lw=0, zorder=zorder - 1)


def _draw_paper(axes: Axes) -> None:
    """The paper's end points, on an axis of their own: no accuracy of another scale is to be read beside them."""
    tasks = [task for task in TASKS.values() if task.paper_run]
    for height, task in enumerate(reversed(tasks)):
        points = task.paper_final
        for optimizer, value in points.items():
            ours = optimizer == "nigt"
            look: dict[str, Any] = {"color": style.COLOURS["nigt" if ours else "baseline"], "zorder": 3}
            axes.plot(value, height, "o", ms=7, **look)
            look |= {"textcoords": "offset points", "ha": "center", "va": "bottom" if ours else "top"}
            axes.annotate(f"{OPTIMIZERS[optimizer]} {value:.2f} %", (value, height), (0, 5 if ours else -5), **look)
        # Beside the two, where there is more room.
        left = max(points.values()) < _PAPER_SPAN[1] + _PAPER_SPAN[0] - min(points.values())
        place, align = (max(points.values()) + 1.3, "left") if left else (min(points.values()) - 1.3, "right")
        axes.text(place, height, ", ".join(task.paper_run), color="0.35", ha=align, va="center")
    axes.set(yticks=[], ylim=(-0.7, len(tasks) - 0.3), xlim=_PAPER_SPAN, xlabel="validation accuracy [%]")
    axes.set_title("The paper's end points, at its scale")


def _label(optimizer: str, line: Line) -> str:
    """ "NIGT: 41.20 % (η₀ = 0.001)", and with several runs how many."""
    seeds = line.accuracy.shape[1]
    count = f", n = {seeds}" if seeds > 1 or line.lost else ""
    count += f" of {seeds + line.lost}" if line.lost else ""
    value = f"{line.accuracy.iloc[-1].mean():.2f} %" if seeds else "diverged or failed"
    return f"{OPTIMIZERS[optimizer]}: {value} (η₀ = {line.eta0:g}{count})"


def define_flags() -> None:
    """Not when imported: the programs' flags have names in common."""
    flags.DEFINE_string("results", None, "The results directory, e.g. results/laptop/demo.")
    flags.DEFINE_string("output", None, "The PNG; figure1.png in the results directory if not set.")
    flags.DEFINE_bool("partial", False, "Draw what there is, although runs of the figure are missing.")


def main() -> None:
    """Draws what the flags name."""
    options = flags.FLAGS
    if not options.results:
        raise InputError("--results is missing, e.g. --results=results/laptop/demo")
    output = options.output or os.path.join(options.results, "figure1.png")
    print("figure1:", *style.save(draw(options.results, options.partial), output))


if __name__ == "__main__":
    define_flags()
    command_line.run("figure1", "scripts.figures.figure1", main)
