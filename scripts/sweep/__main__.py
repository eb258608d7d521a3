"""Sweeps a grid: python -m scripts.sweep --gin_file=configs/laptop/resnet_nigt.gin; see `make help`.

The points are an Optuna study's trials. Each is enqueued once, workers claim what waits, and the same command goes on
where a stopped sweep was; several machines can work on one study in a shared database (--storage).

Exit status: 0 done, 1 a run failed twice, 2 bad configuration or missing data, 4 interrupted (it resumes).
"""

import os
import pathlib
import shlex
import sys

from absl import flags

from data import command_line
from scripts.arm import Arm
from scripts.sweep import grid
from scripts.sweep.training import Training, Trainings
from trainers import data_folder, gin_files, names
from trainers.checkout import ROOT
from trainers.exit_status import ExitStatus


def _define_flags() -> None:
    flags.DEFINE_string("gin_file", None, "The experiment, e.g. configs/laptop/bert_nigt.gin.", required=True)
    flags.DEFINE_string("grid", "configs/sweep/grid.gin", "The gin file of the grid.")
    flags.DEFINE_multi_string("axis", [], "Instead of the grid's: eta0=1e-3,1e-2. Repeatable: all combinations.")
    flags.DEFINE_multi_string("gin_param", [], "Bindings for every run. Repeatable.")
    flags.DEFINE_bool("check", False, "Only look whether the gin file and the points are right; needs no data.")
    flags.DEFINE_integer("seed", 0, "Of every run.", lower_bound=0)
    flags.DEFINE_integer("workers", 2, "Runs at a time.", lower_bound=1)
    flags.DEFINE_integer("threads", 1, "Of each run.", lower_bound=1)
    flags.DEFINE_string("runs", None, "Where the runs' directories go; runs/SCALE/sweep if not set.")
    flags.DEFINE_string("results", None, "Where the results go; results/SCALE/sweep if not set.")
    flags.DEFINE_string(
        "storage",
        None,
        "sqlite:///FILE (RUNS/optuna.db if not set), postgresql://… or, for a journal, journal:///FILE.",
    )


def main() -> int:
    """Sweeps what the flags say and returns the exit status.

    Raises:
      InputError: The user has to mend something.
    """
    values = flags.FLAGS
    points, bindings = grid.points(grid.load(values.grid, values.axis)), gin_files.split(values.gin_param)
    for point in points:  # a misspelt name ends the sweep before its first run
        experiment = gin_files.load(values.gin_file, [*bindings, *point.bindings], values.seed)
        if not values.check:
            data_folder.require(experiment)
    if values.check:
        return 0
    from scripts.sweep import queue, workers  # Optuna takes a second to import: a slip should not wait for it

    scale = experiment.scale
    runs = pathlib.Path(values.runs or f"runs/{scale}/sweep")
    output = pathlib.Path(values.results or f"results/{scale}/sweep")
    runs.mkdir(parents=True, exist_ok=True)
    storage = values.storage or f"sqlite:///{runs / 'optuna.db'}"
    command = shlex.join(["python", "-m", "scripts.sweep", *sys.argv[1:]]).replace(f"{ROOT}{os.sep}", "")
    command = command.replace(storage, queue.without_password(storage))
    arm = Arm(names.experiment(values.gin_file, bindings), values.gin_file, tuple(bindings))
    trials = {
        point: Training.of(arm, f"{arm.name}-{point.name}-s{values.seed}", point.bindings, values.seed, "tune")
        for point in points
    }
    gin_files.load(values.gin_file, bindings, values.seed)
    settings = {"gin_file": values.gin_file, "gin_param": bindings, "seed": values.seed}
    settings["config"] = gin_files.operative_config()
    study = queue.Queue(storage, f"{scale} {arm.name} s{values.seed}", settings, runs)
    study.enqueue(points)
    runner = Trainings(runs, output, values.threads, command)
    many = f"{len(points)} points" if len(points) > 1 else "1 point"
    command_line.say(f"sweep: {many}; their runs, each with a train.log, are in {runs}", sys.stdout)
    status = workers.work(study, trials, runner, values.workers)
    outcomes = study.outcomes()
    for point, outcome in outcomes.items():
        command_line.say(f"sweep: {point.name}: {outcome}", sys.stdout)
    if any(outcome.has_result for outcome in outcomes.values()):  # the first result makes the files
        command_line.say(f"sweep: {output}/table.md, runs.csv, curves.csv and logs/", sys.stdout)
    if status in (ExitStatus.INTERRUPTED, ExitStatus.BAD_INPUT):
        mended = "when that is mended, " if status == ExitStatus.BAD_INPUT else ""
        command_line.say(f"sweep: {study.left(trials)} of {many} left; {mended}the same command goes on", sys.stdout)
    return status


if __name__ == "__main__":
    _define_flags()
    command_line.run("sweep", "scripts.sweep", main)
