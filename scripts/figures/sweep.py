"""Accuracy over η0, every trial of the results, those that diverged included: python -m scripts.figures.sweep.

Reads runs.csv and curves.csv of --results and writes sweep.png there: same results, same bytes. Exit status: 0 done,
2 bad input.
"""

import collections
import os
import pathlib
import re

import pandas as pd
from absl import flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data import command_line
from data.errors import InputError
from scripts.arm import Arm
from scripts.figures import style
from scripts.figures.collect import CURVE_COLUMNS, RUN_COLUMNS, read_rows
from scripts.figures.table import OPTIMIZERS, TASKS
from trainers.checkout import ROOT

# Bindings that say how long a run is and what it starts from: runs that differ in them have panels of their own.
_LENGTH = ("train_steps", "warmup_steps", "validation_interval", "init_checkpoint")
_BASELINE = {"bert": "Adam", "resnet": "SGD"}
_SPELT = {"adafactor": "Adafactor", "algorithm": "Algorithm", "released": "released"}
_GREY = "0.72"
_SHOWN = 30.0  # points
_CAPTION = (
    f"Each point is the best trial at that η₀; those {_SHOWN:g} points below the best are not shown. ×: all diverged"
)
_HEIGHT, _LABEL = 2.7, 0.15  # inches: of a panel, and of a label's line where they need more


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
    """One panel a task and length of runs, one line an arm: at each η0 its best trial; crosses: what diverged there.

    Args and errors: see trials.
    """
    table = trials(results_dir)
    table["length"] = table.bindings.map(_length)
    table["arm"] = [_arm(name, task) for name, task in zip(table.name, table.task, strict=True)]
    # NIGT with something changed is beside NIGT alone, not among the other optimizers.
    table["changed"] = (table.optimizer == "nigt") & (table.arm != "NIGT")
    panels = []
    for task in TASKS:
        for _, own in table[table.task == task].groupby("length", sort=False):
            title = _title(task, own)
            panels += [(title, own[~own.changed])] if len(own[~own.changed]) else []
            if own.changed.any():
                panels += [(f"{title}, NIGT with one thing changed", own[own.changed | (own.arm == "NIGT")])]
    heights = [max(_HEIGHT, 0.7 + _LABEL * own.arm.nunique()) for _, own in panels]
    with style.figure((8.6, sum(heights) + 0.3), layout={"hspace": 0.06}) as figure:
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for (title, own), axes, height in zip(panels, grid, heights, strict=True):
            _draw_panel(axes, title, own, _LABEL / (height - 0.7))
        figure.supxlabel(_CAPTION, fontsize=8, color="0.35")
    return figure


def in_words(results_dir: str | os.PathLike) -> str:
    """The best trial of every task, and how many trials diverged."""
    table = trials(results_dir)
    said = []
    for task, own in table.groupby("task"):
        best = own.loc[own.selection.idxmax()]
        said.append(f"{TASKS[task]}: the best of {len(own)} trials is {best['name']} with {best.selection:.2f} %.")
    return " ".join([*said, f"{table.selection.isna().sum()} of all {len(table)} diverged."])


def _length(bindings: str) -> str:
    """Of a run's settings those of _LENGTH."""
    parts = bindings.split(", ")
    return ", ".join(part for part in parts if part.partition("=")[0].rpartition(".")[2] in _LENGTH)


def _arm(run: str, task: str) -> str:
    """What a trial tries besides η0 and what else is tuned: "NIGT", "SGD with nigt schedule", "no transport"."""
    name = re.split(r"-(?=[\w.]+=)", run)[0].removeprefix(f"{task}_").partition("__after")[0]
    first, *rest = name.replace("__", ", ").replace("_nigt_", "_NIGT's_").replace("_", " ").split(" ")
    return " ".join([OPTIMIZERS.get(first, _SPELT.get(first, first)), *rest])


def _title(task: str, table: pd.DataFrame) -> str:
    """ "BERT, masked LM: 3,000 steps from ckpt-3000"."""
    start = re.search(r"init_checkpoint='[^']*?([^/']+)'", table.length.iloc[0])
    steps = max(int(steps) for steps in table.steps)  # of those that reached the end: none has more
    return f"{TASKS[task]}: {steps:,} steps" + (f" from {start[1]}" if start else "")


def _draw_panel(axes: Axes, title: str, table: pd.DataFrame, line: float) -> None:
    """Args: line: the height of a label, as a share of the panel's."""
    ends, crosses = [], collections.Counter()
    strong = {"NIGT": style.COLOURS["nigt"], _BASELINE[table.task.iloc[0]]: style.COLOURS["baseline"]}
    floor = max(table.selection.min(), table.selection.max() - _SHOWN)
    for arm, own in sorted(table.groupby("arm"), key=lambda group: group[0] in strong):  # the strong ones above
        best = own.groupby("eta0").selection.max()
        found, colour = best.dropna(), strong.get(arm, _GREY)
        axes.plot(found.index, found, "o-", color=colour, ms=4 if arm in strong else 2.5, lw=2 if arm in strong else 1)
        for eta0 in best.index[best.isna()]:
            height = 0.02 + 0.05 * crosses[eta0]  # those of one η0 stand above one another
            crosses[eta0] += 1
            axes.plot(eta0, height, "x", color=colour, ms=5, transform=axes.get_xaxis_transform(), clip_on=False)
        if len(seen := found[found >= floor]):
            ends.append((seen.index[-1], seen.iloc[-1], arm, strong.get(arm, "0.35")))
    axes.set(xscale="log", xlabel="η₀", ylabel="accuracy on selection [%]")
    if table.selection.notna().any():
        axes.set_ylim(floor - 0.16 * (table.selection.max() - floor) - 0.5, table.selection.max() + 1.5)
    axes.set_title(title, loc="left")
    _label_ends(axes, ends, line)


def _label_ends(axes: Axes, ends: list[tuple[float, float, str, str]], line: float) -> None:
    """Names beside the panel, in the order of the lines' ends and so far apart that none covers another."""
    transform = axes.transData + axes.transAxes.inverted()
    ends = sorted(ends, key=lambda end: end[1])
    wanted = [float(transform.transform((x, y))[1]) for x, y, *_ in ends]
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + line) if places else max(place, 0.0))
    over = max(0.0, places[-1] - 1.0) if places else 0.0
    for number in reversed(range(len(places))):
        limit = places[number + 1] - line if number + 1 < len(places) else 1.0
        places[number] = min(places[number], limit if over else places[number])
    for (x, y, arm, colour), place in zip(ends, places, strict=True):
        axes.annotate(
            arm,
            (x, y),
            (1.03, place),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color=colour,
            arrowprops={"arrowstyle": "-", "color": "0.85", "lw": 0.6, "shrinkA": 0, "shrinkB": 3},
        )


def main() -> None:
    """Draws what the flags name."""
    folder = pathlib.Path(flags.FLAGS.results)
    style.save(draw(folder), folder / "sweep.png")
    print(str(folder / "sweep.png").replace(f"{ROOT}{os.sep}", ""))


if __name__ == "__main__":
    flags.DEFINE_string("results", "results/laptop", "A results directory.")
    command_line.run("sweep_figure", "scripts.figures.sweep", main)
