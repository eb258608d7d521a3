"""What the finished runs say: which point of an arm is best on the selection data, and whether the grid must widen."""

import dataclasses
import math
import pathlib

from data.errors import InputError
from scripts import arm as arms
from scripts.figures.collect import CURVE_COLUMNS, RUN_COLUMNS, read_rows
from scripts.study.arm import CHECKED, GRID, Arm
from scripts.study.plan import arms_of, model_of, points
from scripts.sweep.grid import Point
from scripts.sweep.training import Training
from trainers import gin_files

WIDEST = (1e-8, 1e3)  # η0 beyond these is not tried


@dataclasses.dataclass(frozen=True)
class Finished:
    """A run of runs.csv.

    Attributes:
      row: Its row.
      selection: The metric on the selection data at w after the last step; −∞ if it diverged.
      curves: Its rows of curves.csv.
    """

    row: dict[str, str]
    selection: float
    curves: list[dict[str, str]]

    def last(self, split: str) -> float:
        """The metric of a split after the last step; NaN where there is none."""
        wanted = (split, self.row["metric"], self.row["steps"])
        values = [float(c["value"]) for c in self.curves if (c["split"], c["name"], c["step"]) == wanted]
        return values[-1] if values else math.nan


def read(output: pathlib.Path) -> dict[str, Finished]:
    """The runs of a results directory by the name of their training; none if it is empty.

    Raises:
      InputError: A file is broken.
    """
    if not (output / "runs.csv").exists():
        return {}
    curves: dict[str, list[dict[str, str]]] = {}
    for curve in read_rows(output / "curves.csv", CURVE_COLUMNS):
        curves.setdefault(curve["run_id"], []).append(curve)
    found = {}
    for row in read_rows(output / "runs.csv", RUN_COLUMNS):
        run = Finished(row, -math.inf, curves.get(row["run_id"], []))
        if row["status"] == "ok":
            run = dataclasses.replace(run, selection=run.last("selection"))
        found[row["run_id"].rpartition("-")[0]] = run
    return found


def finished_run(training: Training, finished: dict[str, Finished]) -> Finished | None:
    """The finished run of a training: one by its name and with its bindings."""
    run = finished.get(training.name)
    return run if run is not None and not _differences(training, run) else None


def missing(
    trainings: list[Training], finished: dict[str, Finished], output: pathlib.Path, again: bool = False
) -> list[Training]:
    """The trainings that runs.csv does not have.

    Args:
      again: Whether what ran in a modified clone, or with other bindings, counts as missing.

    Raises:
      InputError: Without `again`: it has one by the name of another, with other bindings.
    """
    found = []
    for training in trainings:
        run = finished.get(training.name)
        changed = _differences(training, run) if run else []
        if run and changed and not again:
            raise InputError(
                f"{output / 'runs.csv'}: {run.row['run_id']} was run with other settings than the plan's "
                f"({', '.join(changed)}); run it again with --again, or name another --output"
            )
        if run is None or changed or (again and run.row["dirty"] == "true"):
            found.append(training)
    return found


def _differences(training: Training, run: Finished) -> list[str]:
    """What the run's settings differ in from the training's: where their bindings do, and come to other values."""
    given = arms.Arm.of_run(run.row)
    if set(given.bindings) == set(training.bindings):
        return []
    try:
        there, here = (gin_files.load(training.gin_file, list(each.bindings)) for each in (given, training))
    except InputError as error:  # a setting that is no more
        return [str(error)]
    return gin_files.differences(there, here)


def ranking(arm: Arm, grid: tuple[float, ...], finished: dict[str, Finished]) -> list[Point]:
    """The points of an arm that did not diverge, best on selection first; ties: the smaller η0."""
    tried = [(finished[arm.tuning(point).name].selection, point) for point in points(arm, grid)]
    return [point for _, point in sorted((pair for pair in tried if math.isfinite(pair[0])), key=lambda pair: -pair[0])]


def chosen(arm: Arm, grid: tuple[float, ...], finished: dict[str, Finished]) -> Point | None:
    """The arm's point: the best on selection, at full length among the CHECKED best; None if all these diverged."""
    best = ranking(arm, grid, finished)
    if arm.checks:
        tried = [(finished[arm.check(point).name].selection, point) for point in best[:CHECKED]]
        best = [point for value, point in sorted(tried, key=lambda pair: -pair[0]) if math.isfinite(value)]
    return best[0] if best else None


def point_of(arm: Arm, finished: dict[str, Finished], strict: bool = False) -> Point | None:
    """The arm's point: given, another arm's, or chosen; None where it is not known or all diverged.

    Raises:
      KeyError: With `strict`, a run that it depends on is missing.
    """
    if arm.point:
        return arm.point
    if arm.like:
        return point_of(model_of(arm), finished, strict)
    try:
        return chosen(arm, grid_of(arms_of(arm.group), finished), finished)
    except KeyError:
        if strict:
            raise
        return None


def final_runs(arm: Arm, finished: dict[str, Finished]) -> list[Training]:
    """The runs with fresh seeds at the arm's point, as far as that is known."""
    point = point_of(arm, finished)
    if point is None:
        return []
    same = arm.trials_of is not None and point == point_of(model_of(arm), finished)
    return (model_of(arm) if same else arm).final(point)


def grid_of(arms: list[Arm], finished: dict[str, Finished]) -> tuple[float, ...]:
    """The grid of a group, as wide as its optima ask for.

    Raises:
      KeyError: A run of it is missing.
    """
    grid = GRID
    while (more := wider(arms, grid, finished)) != grid:
        grid = more
    return grid


def is_on_edge(arm: Arm, point: Point, grid: tuple[float, ...]) -> bool:
    """Whether a number of a tuned point is the first or last that was tried, so that a better one may lie beyond."""
    ends = {name: (values[0], values[-1]) for name, values in arm.axes or ()}
    if arm.trials_of is None:  # else its rates lie within a grid that has been tried
        rates = arm.rates or grid
        ends["eta0"] = (rates[0], rates[-1])
    return arm.is_tuned and any(value in ends.get(name, ()) for name, value in point.values)


def wider(arms: list[Arm], grid: tuple[float, ...], finished: dict[str, Finished]) -> tuple[float, ...]:
    """The grid with a decade more on each side on which an arm of the group has its best; as it is if none has."""
    tuned = [arm for arm in arms if arm.is_tuned and arm.rates is None]
    best = [dict(found[0].values)["eta0"] for arm in tuned if (found := ranking(arm, grid, finished))]
    lower = (_decade(grid[0], -1),) if grid[0] in best and grid[0] > WIDEST[0] else ()
    upper = (_decade(grid[-1], 1),) if grid[-1] in best and grid[-1] < WIDEST[1] else ()
    return lower + grid + upper


def _decade(rate: float, step: int) -> float:
    return float(f"{rate * 10.0**step:.0e}")  # 1e-06, not 1.0000000000000002e-06
