"""study.md and the figures, from runs.csv and curves.csv."""

import csv
import math
import pathlib
import statistics
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy import stats

from scripts.forked import ROOT
from scripts.study import arms_figure, choice, plan
from scripts.sweep.grid import Point
from trainers import figure1, sweep_figure
from trainers.results_table import TASKS, commits
from trainers.run_directory import write_atomically

MARGIN = 0.5  # points of accuracy
RESAMPLES, SEED = 10_000, 0
PointOf = Callable[[plan.Arm, dict[str, choice.Finished]], Point | None]
_BASELINES = {"bert": "Adam", "resnet": "SGD"}
_COLUMNS = ("arm", "point", "n", "accuracy at w, mean [95 %]", "seeds", "NIGT − arm [95 %]", "steps")
_COLUMNS += ("wall time a run", "state")


def interval(values: Sequence[float], others: Sequence[float] | None = None) -> tuple[float, float]:
    """The bootstrap 95 % interval of a mean, or of the difference of two; (NaN, NaN) for fewer than two values."""
    samples = (values,) if others is None else (values, others)
    if min(map(len, samples)) < 2:
        return math.nan, math.nan

    def statistic(*parts, axis):
        means = [np.mean(part, axis=axis) for part in parts]
        return means[0] if len(means) == 1 else means[0] - means[1]

    generator = np.random.default_rng(SEED)
    found = stats.bootstrap(samples, statistic, n_resamples=RESAMPLES, method="percentile", rng=generator)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def verdict(low: float, high: float) -> str:
    """What the interval of NIGT − baseline says, by the protocol's margin."""
    if math.isnan(low):
        return "not run"
    if -MARGIN <= low and high <= MARGIN:
        return "matches"
    if low > 0:
        return "better"
    return "worse" if high < 0 else "undecided"


def accuracies(arm: plan.Arm, finished: dict[str, choice.Finished], point: Point | None):
    """(accuracy in % by seed, how many of the arm's seeds diverged), of the final runs that there are."""
    runs = [finished[t.name] for t in arm.final(point) if t.name in finished] if point else []
    values = {run.row["seed"]: 100 * run.last("validation") for run in runs if run.row["status"] == "ok"}
    return values, sum(run.row["status"] != "ok" for run in runs)


def write(output: pathlib.Path, point_of: PointOf, command: str) -> None:
    """Writes study.md, figure1.png, arms.png and sweep.png into the results directory, as far as there are runs.

    Args:
      point_of: The arm's point, as far as it is known.
      command: For the first line.
    """
    finished = choice.read(output)
    lines = [f"Made by `{command}`, from runs at {commits([run.row for run in finished.values()])}.", ""]
    lines += [
        "[PROTOCOL.md](PROTOCOL.md) has the rules. What is “not run”, `make study` goes on with.",
        "",
    ]
    lines += ["## NIGT beside its baselines", ""]
    for task, name in _BASELINES.items():
        lines.append(f"- {_sentence(task, name, finished, point_of)}")
    for group in plan.groups():
        lines += ["", f"## {group[0].upper()}{group[1:]}", "", _line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
        lines += [_row(arm, finished, point_of) for arm in _with_reference(group)]
    lines += ["", "State: numbers of the optimizer kept for each parameter, from results/bench/optimizers.csv.", ""]
    lines += _at_x(finished, point_of)
    for name, (alt, figure) in _figures(output, finished, point_of).items():
        figure1.save(figure, output / name)
        lines += [f"![{alt}]({name})", ""]
    write_atomically(output / "study.md", "\n".join(lines))


def _at_x(finished: dict[str, choice.Finished], point_of: PointOf) -> list[str]:
    """NIGT's accuracy at x beside that at w, whenever it was evaluated: the schedule's end brings both together."""
    lines = []
    for task in _BASELINES:
        nigt = plan.arms_of(task)[0]
        point = point_of(nigt, finished)
        runs = [finished[t.name] for t in nigt.final(point) if t.name in finished] if point else []
        curves = [curve for run in runs if run.row["status"] == "ok" for curve in run.curves]
        values: dict[int, dict[str, list[float]]] = {}
        for curve in curves:
            if curve["split"] in ("validation", "validation_x") and curve["name"] == runs[0].row["metric"]:
                values.setdefault(int(curve["step"]), {}).setdefault(curve["split"], []).append(
                    100 * float(curve["value"])
                )
        for step, found in sorted(values.items()):
            at_w, at_x = found["validation"], found["validation_x"]
            gaps = [w - x for w, x in zip(at_w, at_x, strict=True)]
            cells = [
                task,
                f"{step:,}",
                str(len(gaps)),
                f"{statistics.fmean(at_w):.2f}",
                f"{statistics.fmean(at_x):.2f}",
            ]
            lines.append(_line([*cells, f"{statistics.fmean(gaps):+.2f}", f"{min(gaps):+.2f} to {max(gaps):+.2f}"]))
    columns = ("task", "step", "n", "at w, mean", "at x, mean", "w − x, mean", "range")
    head = ["## NIGT evaluated at x", "", _line(columns), _line(["---"] * len(columns))]
    return [*head, *lines, ""] if lines else []


def _figures(output: pathlib.Path, finished: dict[str, choice.Finished], point_of: PointOf) -> dict[str, tuple]:
    """(alternative text, figure) by file name."""
    found = {}
    phases = {run.row["phase"] for run in finished.values() if run.row["status"] == "ok"}
    if "final" in phases:
        found["figure1.png"] = ("Figure 1 at laptop scale", figure1.draw(output, partial=True))
    if panels := _panels(finished, point_of):
        found["arms.png"] = ("what carries the result", arms_figure.draw(panels, MARGIN))
    if "tune" in phases:
        found["sweep.png"] = ("every trial", sweep_figure.draw(output))
    return found


def _panels(finished: dict[str, choice.Finished], point_of: PointOf) -> dict[str, list[arms_figure.Row]]:
    """The arms with final runs by task, NIGT first, of the tasks where it is not alone."""
    panels = {}
    for task in _BASELINES:
        rows = []
        for arm in (arm for arm in plan.ARMS if arm.task == task):
            values, diverged = accuracies(arm, finished, point_of(arm, finished))
            if values or diverged:
                own = tuple(values.values())
                rows.append(arms_figure.Row(arm.name, own, interval(own, rows[0].accuracy if rows else own), diverged))
        if len(rows) > 1 and rows[0].accuracy and rows[0].name == "NIGT":
            panels[TASKS[task]] = rows
    return panels


def _with_reference(group: str) -> list[plan.Arm]:
    """The arms of a group; before those of ablations, NIGT itself."""
    arms = plan.arms_of(group)
    main = plan.arms_of(group.split()[0])
    return arms if arms == main else [main[0], *arms]


def _sentence(task: str, baseline: str, finished: dict[str, choice.Finished], point_of: PointOf) -> str:
    arms = {arm.name: arm for arm in plan.arms_of(task)}
    both = (arms["NIGT"], arms[baseline])
    ours, theirs = (list(accuracies(arm, finished, point_of(arm, finished))[0].values()) for arm in both)
    low, high = interval(ours, theirs)
    found = verdict(low, high)
    if found == "not run":
        return f"**{task}**: not run yet."
    difference = statistics.fmean(ours) - statistics.fmean(theirs)
    return (
        f"**{task}**: NIGT − {baseline} = {difference:+.2f} points [{low:+.2f}, {high:+.2f}], n = {len(ours)} and "
        f"{len(theirs)}: by the protocol's margin of {MARGIN} NIGT **{found}**."
    )


def _row(arm: plan.Arm, finished: dict[str, choice.Finished], point_of: PointOf) -> str:
    point = point_of(arm, finished)
    values, diverged = accuracies(arm, finished, point)
    count = f"{len(values)}" + (f" (+ {diverged} diverged)" if diverged else "")
    cells = [arm.name, point.name.replace("excluded_learning_rate_multiplier", "factor") if point else "–", count]
    own = list(values.values())
    if not own:
        return _line([*cells, "diverged" if diverged else "not run", *["–"] * 5])
    low, high = interval(own)
    shown = f"{statistics.fmean(own):.2f}" + ("" if math.isnan(low) else f" [{low:.2f}, {high:.2f}]")
    nigt = plan.arms_of(arm.task)[0]
    theirs = list(accuracies(nigt, finished, point_of(nigt, finished))[0].values())
    low, high = interval(theirs, own)
    gap = f"{statistics.fmean(theirs or [0]) - statistics.fmean(own):+.2f} [{low:+.2f}, {high:+.2f}]"
    gap = "–" if math.isnan(low) or arm == nigt else gap
    runs = [finished[t.name].row for t in arm.final(point) if t.name in finished]
    wall = statistics.median(float(row["wall_s"]) for row in runs)
    cells += [shown, " ".join(f"{value:.2f}" for value in own), gap]
    cells += [f"{int(runs[0]['steps']):,}", f"{wall / 60:.1f} min"]
    return _line([*cells, _state(runs[0]["optimizer"])])


def _state(optimizer: str) -> str:
    """Copies of the parameters that the optimizer keeps, as measured by `make bench`; "–" if it was not."""
    with open(ROOT / "results" / "bench" / "optimizers.csv", newline="") as file:
        for row in csv.DictReader(file):
            if row["optimizer"].lower() == optimizer:
                return row["state_copies"]
    return "–"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
