"""Accuracy over η0, every trial of the results, those that diverged included: python -m scripts.figures.sweep.

Reads runs.csv and curves.csv of --results and writes sweep.png there: same results, same bytes. Exit status: 0 done,
2 bad input.
"""

import collections
import os
import pathlib
import re
import textwrap

import matplotlib
import pandas as pd
from absl import flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data import command_line
from data.errors import InputError
from scripts.arm import Arm
from scripts.figures import style
from scripts.figures.collect import CURVE_COLUMNS, RUN_COLUMNS, read_rows
from scripts.figures.table import TASKS
from trainers.checkout import ROOT

# Characters of a line of the legend.
LABEL_WIDTH = 48
# Bindings that say how long a run is and what it starts from: runs that differ in them have panels of their own.
_LENGTH = ("train_steps", "warmup_steps", "validation_interval", "init_checkpoint")
_LINE = 0.098  # inches, of the legend


def trials(results_dir: str | os.PathLike) -> pd.DataFrame:
    """One row a tuning run: name, task, optimizer, bindings, eta0, status and selection, its accuracy at w in %, after
    the last step, on the held-out part of the training data; NaN if it diverged.

    Raises:
      InputError: A file is missing or broken, or there is no tuning run.
    """
    folder = pathlib.Path(results_dir)
    last = {}
    for curve in read_rows(folder / "curves.csv", CURVE_COLUMNS):
        if curve["split"] == "selection":
            last[curve["run_id"], curve["name"], curve["step"]] = 100 * float(curve["value"])
    rows = []
    for row in read_rows(folder / "runs.csv", RUN_COLUMNS):
        if row["phase"] == "tune":
            selection = last.get((row["run_id"], row["metric"], row["steps"]), float("nan"))
            rows.append(
                {"name": row["run_id"].rpartition("-")[0]}
                | {name: row[name] for name in ("task", "optimizer", "status", "steps")}
                | {"bindings": Arm.of_run(row).settings, "eta0": float(row["eta0"])}
                | {"selection": selection if row["status"] == "ok" else float("nan")}
            )
    if not rows:
        raise InputError(f"{folder / 'runs.csv'}: no tuning run; sweep first (`make resnet-nigt-sweep SCALE=laptop`)")
    return pd.DataFrame(rows)


def draw(results_dir: str | os.PathLike) -> Figure:
    """One panel a task and length of runs, one line an optimizer and setting; crosses on the floor: what diverged.

    Args and errors: see trials.
    """
    table = trials(results_dir)
    table["length"] = table.bindings.map(lambda bindings: _split(bindings)[0])
    table["bindings"] = table.bindings.map(lambda bindings: _split(bindings)[1])
    panels = [(task, own) for task in TASKS for _, own in table[table.task == task].groupby("length", sort=False)]
    names = [_labels(sorted(set(zip(own.optimizer, own.bindings, strict=True)))) for _, own in panels]
    lines = [sum(1 + label.count("\n") for label in found.values()) for found in names]
    heights = [max(2.4, 0.9 + _LINE * (count + len(found) / 2)) for count, found in zip(lines, names, strict=True)]
    with style.figure((8.6, sum(heights))) as figure:
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for (task, own), found, axes in zip(panels, names, grid, strict=True):
            _draw_panel(axes, _title(task, own), own, found)
    return figure


def _split(bindings: str) -> tuple[str, str]:
    """Of a run's settings those of _LENGTH, and the others."""
    parts = bindings.split(", ") if bindings else []
    length = [part for part in parts if part.partition("=")[0].rpartition(".")[2] in _LENGTH]
    return ", ".join(length), ", ".join(part for part in parts if part not in length)


def _title(task: str, table: pd.DataFrame) -> str:
    """ "BERT, masked LM: 3,000 steps from ckpt-3000"."""
    start = re.search(r"init_checkpoint='[^']*?([^/']+)'", table.length.iloc[0])
    steps = max(int(steps) for steps in table.steps)  # of those that reached the end: none has more
    return f"{TASKS[task]}: {steps:,} steps" + (f" from {start[1]}" if start else "")


def _draw_panel(axes: Axes, title: str, table: pd.DataFrame, names: dict[tuple[str, str], str]) -> None:
    floor = table.selection.min() - 3 if table.selection.notna().any() else 0.0
    groups = table.groupby(["optimizer", "bindings"], sort=True)
    colours = matplotlib.colormaps["tab20"].colors
    for number, ((optimizer, setting), own) in enumerate(groups):
        own, colour = own.sort_values("eta0"), colours[number % len(colours)]
        label = names[optimizer, setting]
        axes.plot(own.eta0, own.selection, "o-", color=colour, markersize=3.5, linewidth=1, label=label)
        lost = own[own.selection.isna()]
        beside = 10 ** (0.5 * (number / len(groups) - 0.5))  # so that crosses of one η0 do not hide one another
        axes.plot(lost.eta0 * beside, [floor] * len(lost), "x", color=colour, markersize=5)
    axes.set_xscale("log")
    axes.set_title(title)
    axes.set_xlabel("η₀")
    axes.set_ylabel("selection at w [%]; ×: diverged")
    axes.legend(fontsize=5.5, loc="center left", bbox_to_anchor=(1.01, 0.5))


def _labels(settings: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Names of (optimizer, bindings): the rarest bindings first, none that all settings share, without modules."""
    parts = {setting: setting[1].split(", ") if setting[1] else [] for setting in settings}
    count = collections.Counter(binding for own in parts.values() for binding in own)
    found = {}
    for (optimizer, setting), own in parts.items():
        telling = (binding for binding in own if count[binding] < len(settings) or len(settings) == 1)
        rarest = sorted(telling, key=lambda binding: count[binding])
        text = ", ".join(re.sub(r"^[\w.]*\.(?=\w+=)", "", binding) for binding in rarest)
        found[optimizer, setting] = textwrap.fill(f"{optimizer}{': ' + text if text else ''}", LABEL_WIDTH)
    return found


def main() -> None:
    """Draws what the flags name."""
    folder = pathlib.Path(flags.FLAGS.results)
    style.save(draw(folder), folder / "sweep.png")
    print(str(folder / "sweep.png").replace(f"{ROOT}{os.sep}", ""))


if __name__ == "__main__":
    flags.DEFINE_string("results", "results/laptop", "A results directory.")
    command_line.run("sweep_figure", "scripts.figures.sweep", main)
