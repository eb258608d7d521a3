"""Figure 1 of the paper from our own runs: python -m scripts.figures.figure1 --results=results/laptop/demo.

Reads runs.csv and curves.csv, which scripts.figures.collect makes, and writes figure1.png and .pdf: same results, same
bytes. BERT has a second panel if there are runs from another run's weights (bert_pretraining.init_checkpoint).
Exit status: 0 done, 2 bad input.
"""

import dataclasses
import os
import pathlib
import re

import pandas as pd
from absl import flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from data import command_line
from data.errors import InputError
from scripts.arm import Arm
from scripts.figures import style
from scripts.figures.collect import CURVE_COLUMNS, RUN_COLUMNS, read_rows
from scripts.figures.table import OPTIMIZERS, PAPER_FINAL, TASKS, commits
from trainers.checkout import ROOT


@dataclasses.dataclass(frozen=True)
class Panel:
    """One part of the figure.

    Attributes:
      is_continued: Whether its runs start from another run's weights; then it is drawn only if there are any.
    """

    task: str
    baseline: str
    title: str
    ylabel: str
    is_continued: bool = False

    def key(self, optimizer: str) -> tuple[str, str, bool]:
        """Of a line in Results.lines."""
        return self.task, optimizer, self.is_continued


_BERT, _RESNET = "masked LM validation accuracy [%]", "top-1 validation accuracy [%]"
PANELS = (
    Panel("bert", "adam", "BERT from scratch", _BERT),
    Panel("bert", "adam", "BERT after the plateau", _BERT, is_continued=True),
    Panel("resnet", "sgd", "ResNet", _RESNET),
)
PAPER_MODELS = {"bert": "BERT-Base", "resnet": "ResNet-50"}

_LAYOUT: dict = {"rect": (0, 0.035, 0.995, 0.965), "wspace": 0.06, "hspace": 0.06}  # below: room for the footer
_SOURCE = re.compile(r"init_checkpoint\s*=\s*[\"']?.*?([^/\"']+)/ckpt-(\d+)")
_MARKED_UP_TO = 40  # evaluations on one line: with more, the marks run together


@dataclasses.dataclass(frozen=True)
class Line:
    """One optimizer's validation accuracy in one panel.

    Attributes:
      eta0: η0.
      accuracy: In %, by step (rows) and seed (columns); runs that reached the end.
      lost: How many further runs diverged or failed.
      source: What they start from, "Adam's step 3,000"; "" from scratch.
    """

    eta0: float
    accuracy: pd.DataFrame
    lost: int
    source: str = ""


@dataclasses.dataclass(frozen=True)
class Results:
    """runs.csv and curves.csv, checked, and the lines of the figure by Panel.key."""

    directory: pathlib.Path
    runs: pd.DataFrame
    curves: pd.DataFrame
    lines: dict[tuple[str, str, bool], Line]


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
    runs["source"] = [_source(row) for row in runs.to_dict("records")]
    lines = {}
    for panel in PANELS:
        for optimizer in ("nigt", panel.baseline):
            chosen = runs[(runs.phase == "final") & (runs.task == panel.task) & (runs.optimizer == optimizer)]
            chosen = chosen[(chosen.source != "") == panel.is_continued]
            if len(chosen):
                lines[panel.key(optimizer)] = _line(directory, chosen, runs, curves)
            elif not partial and not panel.is_continued:
                raise InputError(
                    f"{directory / 'runs.csv'}: no final run of {panel.task} {optimizer}: train it "
                    f"(`make {panel.task}-{optimizer}`) and collect it, or draw the rest with --partial"
                )
    if not lines:
        raise InputError(f"{directory / 'runs.csv'}: no final run of this figure; collect runs with --phase=final")
    return Results(directory, runs, curves, lines)


def draw(results_dir: str | os.PathLike, partial: bool = False) -> Figure:
    """The figure: a panel for BERT, or two, and one for the ResNet; NIGT dark blue, the baseline light blue. The last
    one has the paper's end points, at the paper's scale.

    Args and errors: see load.
    """
    results = load(results_dir, partial)
    panels = [panel for panel in PANELS if not panel.is_continued or any(key[2] for key in results.lines)]
    rows, columns = (2, 2) if len(panels) == 3 else (1, 3)
    with style.figure((9.6, 3.5 * rows), layout=_LAYOUT, xtick__color="0.3", ytick__color="0.3") as figure:
        *parts, last = figure.subplots(rows, columns).flat
        for panel, axes in zip(panels, parts, strict=True):
            _draw_panel(axes, panel, results)
        _draw_the_papers(last)
        figure.text(0.008, 0.012, _footer(results), fontsize=6.5, color="0.45")
    return figure


def end_points(results_dir: str | os.PathLike, partial: bool = False) -> pd.DataFrame:
    """Our validation accuracy after the last step, in %, beside the paper's at its own scale."""
    results = load(results_dir, partial)
    rows = []
    for (task, optimizer, is_continued), line in results.lines.items():
        last = line.accuracy.iloc[-1] if line.accuracy.size else pd.Series(dtype=float)
        rows.append(
            {
                "task": TASKS[task] + (", after the plateau" if is_continued else ""),
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


def in_words(results_dir: str | os.PathLike, partial: bool = False) -> str:
    """How far apart NIGT and its baseline end, a sentence for each panel with both."""
    points = end_points(results_dir, partial)
    said = []
    for task, both in points.groupby("task", sort=False):
        if len(both) == 2:
            nigt, baseline = both.to_dict("records")
            gap = nigt["ours, mean [%]"] - baseline["ours, mean [%]"]
            way = "ahead of" if gap > 0 else "behind"
            said.append(f"{task}: NIGT ends {abs(gap):.2f} points {way} {baseline['optimizer']}.")
    return " ".join([*said, "Whether a difference is more than chance, study.md says where there are several seeds."])


def _source(row: dict) -> str:
    """What a run of runs.csv starts from, "bert_adam-s0, step 3000"; "" from scratch."""
    found = (_SOURCE.search(binding) for binding in Arm.of_run(row).bindings)
    return next((f"{match[1]}, step {match[2]}" for match in found if match), "")


def _line(directory: pathlib.Path, runs: pd.DataFrame, every: pd.DataFrame, curves: pd.DataFrame) -> Line:
    """The runs of one optimizer on one task as one line; from the accuracy of what they start from, if it is there.

    Args:
      directory: For messages.
      runs: Of the line.
      every: All runs.
      curves: Of all runs.

    Raises:
      InputError: They are not seeds of one setting, or their curves are missing or contradict runs.csv.
    """
    name = f"{directory / 'runs.csv'}: the final runs of {runs.task.iloc[0]} {runs.optimizer.iloc[0]}"
    for column in ("scale", "eta0", "metric", "source"):
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
        curve = _curve(curves, run.run_id, run.metric)
        if curve.empty:
            raise InputError(f"{directory / 'curves.csv'}: no validation {run.metric} of {run.run_id}: collect it")
        if curve.index[-1] != run.steps or curve.iloc[-1] != run.final_value:
            raise InputError(f"{directory}: runs.csv and curves.csv disagree on {run.run_id}'s end: collect it again")
        seeds[run.seed] = 100 * curve
    ends = {int(curve.index[-1]) for curve in seeds.values()}
    if len(ends) > 1:
        raise InputError(f"{name} have different lengths, {sorted(ends)} steps; collect those of one length as final")
    accuracy = pd.DataFrame(seeds).sort_index().dropna()  # the steps at which every seed was evaluated
    eta0, lost = float(runs.eta0.iloc[0]), len(runs) - len(seeds)
    name, _, step = runs.source.iloc[0].partition(", step ")
    if not name:
        return Line(eta0, accuracy, lost)
    whose = "another run's"
    for run in every[every.run_id.str.rpartition("-")[0] == name].itertuples():
        whose = f"{OPTIMIZERS[run.optimizer]}'s"
        start = _curve(curves, run.run_id, run.metric).get(int(step))
        if start is not None:
            accuracy = pd.concat([pd.DataFrame(100 * start, index=[0], columns=accuracy.columns), accuracy])
    return Line(eta0, accuracy, lost, f"{whose} step {int(step):,}")


def _curve(curves: pd.DataFrame, run_id: str, metric: str) -> pd.Series:
    """Of a run: validation accuracy by step, from 0 to 1."""
    own = curves[(curves.run_id == run_id) & (curves.split == "validation") & (curves.name == metric)]
    return own.set_index("step").value.sort_index()


def _draw_panel(axes: Axes, panel: Panel, results: Results) -> None:
    lines = {name: results.lines.get(panel.key(name)) for name in ("nigt", panel.baseline)}
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
    if panel.is_continued:
        sources = " or ".join(sorted({line.source for line in lines.values() if line is not None}))
        axes.set_xlabel(f"training steps, from the weights of {sources}")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlim(left=0)
    axes.margins(x=0.02)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.3 * (high - low))  # room for the legend
    title = "validation accuracy after the last step"
    axes.legend(loc="upper left", title=title, title_fontsize=8, fontsize=8, alignment="left")


def _draw_the_papers(axes: Axes) -> None:
    """What the paper's Figure 1 ends at, as a mark and a number for each run."""
    for (task, optimizer), value in PAPER_FINAL.items():
        row = list(PAPER_MODELS).index(task)
        colour = style.COLOURS["nigt" if optimizer == "nigt" else "baseline"]
        height = row + (0.14 if optimizer == "nigt" else -0.14)
        axes.plot(value, height, "o", ms=5, color=colour)
        text = f"{OPTIMIZERS[optimizer]} {value:.2f} %"
        axes.annotate(text, (value, height), (6, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(PAPER_MODELS)), list(PAPER_MODELS.values()))
    axes.set(ylim=(-0.6, len(PAPER_MODELS) - 0.4), xlim=(69.5, 79), xlabel="validation accuracy at the end [%]")
    axes.grid(axis="y", visible=False)
    axes.invert_yaxis()
    axes.set_title("The paper's end points, at its scale", loc="left")


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
    used = [run for run in final if (run["task"], run["optimizer"], run["source"] != "") in results.lines]
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
