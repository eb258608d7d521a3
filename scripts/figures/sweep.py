"""Accuracy over η0, one line an optimizer, with what diverged: python -m scripts.figures.sweep.

Reads runs.csv and curves.csv of --results and writes sweep.png and sweep.pdf there: same results, same bytes. Exit
status: 0 done, 2 bad input.
"""

import math
import os
import pathlib
import re
from typing import Any

import pandas as pd
from absl import flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data import command_line
from data.errors import InputError
from scripts.arm import Arm
from scripts.figures import style
from scripts.figures.collect import CURVE_COLUMNS, RUN_COLUMNS, read_rows
from scripts.figures.start import described, start_of
from scripts.figures.table import OPTIMIZERS
from trainers.schema.tasks import TASKS

# Bindings that say how long a run is and what it starts from: runs that differ in them have panels of their own.
_LENGTH = ("train_steps", "warmup_steps", "validation_interval", "init_checkpoint")
_LINE = 0.075  # of a panel's height: from one label to the next
_NOTE = (
    "after the last step, on the held-out part of the training data\n"
    "a line: the best of an optimizer's other settings at each η₀;  ×: with all of them it diverged"
)


def trials(results_dir: str | os.PathLike) -> pd.DataFrame:
    """One row a tuning run: name, task, optimizer, bindings, start (of which run's weights, if any), eta0, status and
    selection, its accuracy at w in %, after the last step, on the held-out part of the training data; NaN if it
    diverged.

    Raises:
      InputError: A file is missing or broken, or there is no tuning run.
    """
    folder = pathlib.Path(results_dir)
    last = {}
    for curve in read_rows(folder / "curves.csv", CURVE_COLUMNS):
        if curve["split"] == "selection":
            last[curve["run_id"], curve["name"], curve["step"]] = 100 * float(curve["value"])
    rows, runs = [], read_rows(folder / "runs.csv", RUN_COLUMNS)
    for row in runs:
        if row["phase"] == "tune":
            selection, start = last.get((row["run_id"], row["metric"], row["steps"]), float("nan")), start_of(row)
            rows.append(
                {"name": row["run_id"].rpartition("-")[0]}
                | {name: row[name] for name in ("task", "optimizer", "status", "steps")}
                | {"bindings": Arm.of_run(row).settings, "start": described(start, runs) if start else ""}
                | {"eta0": float(row["eta0"]), "selection": selection if row["status"] == "ok" else float("nan")}
            )
    if not rows:
        raise InputError(f"{folder / 'runs.csv'}: no tuning run; sweep first (`make resnet-nigt-sweep SCALE=laptop`)")
    return pd.DataFrame(rows)


def best(results_dir: str | os.PathLike) -> pd.DataFrame:
    """What is drawn, by task, panel, optimizer and eta0: the best selection among the optimizer's other settings, NaN
    where all of these diverged. Runs of another length or start have another panel. Variants ("no transport") are left
    out where the optimizer itself was tried.

    Args and errors: see trials.
    """
    table = trials(results_dir)
    steps = table.steps.astype(int).groupby([table.task, table.bindings.map(_length)]).transform("max")
    table["panel"] = [
        " ".join(filter(None, (f"{TASKS[task].short_title()}: {count:,} steps", start)))
        for task, count, start in zip(table.task, steps, table.start, strict=True)
    ]
    line = pd.Series(list(zip(table.task, table.optimizer, strict=True)), index=table.index)
    itself = pd.Series([_is_itself(*row) for row in zip(table.name, table.task, table.optimizer, strict=True)])
    shown = table[itself | ~line.isin(set(line[itself]))]
    groups = shown.groupby(["task", "panel", "optimizer", "eta0"], sort=False)
    return groups.selection.max().reset_index().sort_values("eta0")


def draw(results_dir: str | os.PathLike) -> Figure:
    """One panel a task and length of runs, one line an optimizer: NIGT and the paper's baseline in colours.

    Args and errors: see trials.
    """
    table = best(results_dir)
    panels = _panels(table)
    rows, columns = math.ceil(len(panels) / 2), min(2, len(panels))
    with style.figure((style.WIDTH, 0.5 + 2.9 * rows), layout={"wspace": 0.05, "hspace": 0.05}) as figure:
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for (task, name), axes in zip(panels, grid, strict=False):
            _draw_panel(axes, name, TASKS[task].baseline, table[table.panel == name])
        for axes in grid[len(panels) :]:
            axes.remove()
        figure.supxlabel(_NOTE, fontsize=8.5, color="0.35")
    return figure


def in_words(results_dir: str | os.PathLike) -> str:
    """What one sees, a line of Markdown a panel: the best point of all, and NIGT's.

    Args and errors: see trials.
    """
    table, lines = best(results_dir), []
    for _, name in _panels(table):
        own = table[(table.panel == name) & table.selection.notna()]
        found = [each.iloc[int(each.selection.argmax())] for each in (own, own[own.optimizer == "nigt"]) if len(each)]
        told = [
            f"{OPTIMIZERS.get(point.optimizer, point.optimizer)} {point.selection:.2f} % at η₀ = {point.eta0:g}"
            for point in found[: 1 if found and found[0].optimizer == "nigt" else 2]
        ]
        lines.append(f"- {name}: best is {', beside '.join(told) or 'none: all diverged'}.")
    return "\n".join(lines)


def _panels(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Task and name of each, from scratch first, and 2,400 steps before 24,000."""

    def place(title: str) -> list[int]:
        return [" from " in title, *map(int, re.findall(r"\d+", title.replace(",", "")))]

    return [(task, name) for task in TASKS for name in sorted(set(table.panel[table.task == task]), key=place)]


def _length(bindings: str) -> str:
    """Of a run's settings those of _LENGTH."""
    parts = bindings.split(", ")
    return ", ".join(part for part in parts if part.partition("=")[0].rpartition(".")[2] in _LENGTH)


def _is_itself(name: str, task: str, optimizer: str) -> bool:
    """Whether a run is of the optimizer itself: "bert_nigt-eta0=0.1-tune", not "resnet_no_transport-eta0=0.1-tune"."""
    arm = re.sub(r"(.*)-\w+=.*", r"\1", name).partition("__")[0]
    return arm == f"{task}_{optimizer.removesuffix('_keras')}"


def _draw_panel(axes: Axes, title: str, baseline: str, table: pd.DataFrame) -> None:
    low, high = table.eta0.min(), table.eta0.max()
    values = table.selection.dropna()
    bottom, top = (values.min(), values.max()) if len(values) else (0, 0)
    bottom, top = bottom - 0.1 * (top - bottom or 1), top + 0.12 * (top - bottom or 1)
    axes.set(xscale="log", title=title, xlabel="initial learning rate η₀", ylabel="accuracy [%]", ylim=(bottom, top))
    decades = max(math.log10(high / low), 1)
    axes.set_xlim(low / 10 ** (0.36 * decades), high * 10 ** (0.06 * decades))  # on the left: room for names
    axes.set_xticks(
        [10.0**e for e in range(math.ceil(math.log10(low) - 0.01), math.floor(math.log10(high) + 0.01) + 1)]
    )
    axes.minorticks_off()
    starts = []
    optimizer: Any
    for optimizer, own in table.groupby("optimizer"):
        role = optimizer if optimizer == "nigt" else "baseline" if optimizer == baseline else "other"
        look: dict[str, Any] = {"color": style.COLOURS[role], "lw": 1.0 if role == "other" else 2.0}
        look["zorder"] = {"nigt": 4, "baseline": 3, "other": 2}[role]
        axes.plot(own.eta0, own.selection, "o-", ms=3.5, **look)
        drawn = own.assign(height=own.selection.fillna(bottom))
        for (_, one), (_, other) in zip(drawn.iterrows(), drawn.iloc[1:].iterrows(), strict=False):
            if math.isnan(one.selection) != math.isnan(other.selection):
                axes.plot([one.eta0, other.eta0], [one.height, other.height], ls=(0, (1, 1.5)), **look)
        lost = own[own.selection.isna()]
        if len(lost):  # else the layout would see an unclipped line at the canvas' corner
            axes.plot(lost.eta0, [bottom] * len(lost), "x", ms=6, mew=look["lw"], clip_on=False, **look | {"lw": 0})
        name = OPTIMIZERS.get(optimizer, optimizer)
        text: dict[str, Any] = {"color": "0.35" if role == "other" else look["color"]}
        if own.eta0.iloc[0] == low:
            starts.append((drawn.height.iloc[0], name, text))
        else:
            highest = drawn.iloc[int(drawn.height.argmax())]
            place: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "bottom", "fontsize": 8.5}
            axes.annotate(name, (highest.eta0, highest.height), (0, 4), **place, **text)
    _name_starts(axes, low, sorted(starts, key=lambda start: start[0]))


def _name_starts(axes: Axes, low: float, starts: list[tuple[float, str, dict]]) -> None:
    """The names of the lines that begin at the lowest η0, left of it, each at its line's height or as near above as
    goes."""
    bottom, top = axes.get_ylim()
    gap, room = _LINE * (top - bottom), axes.get_xlim()[0] / low
    shown = bottom - 0.4 * gap
    for height, name, text in starts:
        shown = max(height, shown + gap)
        axes.plot([low, low * room**0.22], [height, shown], lw=0.6, color="0.6", zorder=1)
        axes.text(low * room**0.26, shown, name, ha="right", va="center", fontsize=8.5, **text)


def main() -> None:
    """Draws what the flags name."""
    folder = pathlib.Path(flags.FLAGS.results)
    print("sweep:", *style.save(draw(folder), folder / "sweep.png"))


if __name__ == "__main__":
    flags.DEFINE_string("results", "results/laptop", "A results directory.")
    command_line.run("sweep_figure", "scripts.figures.sweep", main)
