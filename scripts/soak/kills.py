"""Kills a run with SIGKILL at random moments, and compares what it ends with to the run that was left alone."""

import csv
import dataclasses
import json
import pathlib
import random
import signal
from collections.abc import Callable

import numpy as np

from scripts.soak.forked import Run

KINDS = ("starting", "training", "evaluating", "writing a checkpoint")


@dataclasses.dataclass
class Kills:
    """What was done to a run: how many kills by kind, and the exit status of the process that finished it."""

    by_kind: dict[str, int]
    status: int


def kill_and_resume(
    argv: list[str], output: pathlib.Path, kills: int, train_steps: int, interval: int, generator: random.Random
) -> Kills:
    """Runs a command until it has been killed so often, then to its end.

    Args:
      argv: From scripts.soak.forked.arguments.
      output: For what the processes print.
      kills: How many; their kinds follow one another.
      train_steps, interval: The run's length, and its validation interval, in steps.
      generator: Draws the moments.
    """
    done = Kills({kind: 0 for kind in KINDS}, -1)
    for number in range(kills):
        run = Run(argv, output)
        kind = KINDS[number % len(KINDS)]
        if _wait_for_the_moment(run, kind, train_steps * number // kills, interval, generator):
            run.send(signal.SIGKILL)
        if run.wait() == -signal.SIGKILL:
            done.by_kind[kind] += 1
        else:
            break  # it came to its end before
    done.status = Run(argv, output).wait(600)
    return done


def _wait_for_the_moment(run: Run, kind: str, step: int, interval: int, generator: random.Random) -> bool:
    """Waits for a moment of this kind at or after a step; False if the run ends before.

    The moment is drawn in seconds, and comes early where the machine is so quick that the run would be past it.
    """
    begun = run.step()
    if kind == "starting":
        return _pause(run, generator.uniform(0.1, 6), lambda: run.step() > begun)
    if not run.wait_for(lambda: run.step() >= max(step, begun + 1), every=0.002):
        return False
    if kind == "training":
        seen = run.step()
        return _pause(run, generator.uniform(0, 1.0), lambda: run.step() > seen)
    if kind == "evaluating":
        if not run.wait_for(lambda: run.step() % interval == 0, every=0.002):
            return False
        rows = _evaluations(run.directory)
        return _pause(run, generator.uniform(0, 2.0), lambda: _evaluations(run.directory) > rows)
    # TensorFlow writes a checkpoint under such names, and renames it.
    return run.wait_for(lambda: _is_writing(run.directory), every=0.002) and _pause(run, generator.uniform(0, 0.02))


def _pause(run: Run, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
    """Waits so long, or until a condition holds; False if the run ends before."""
    try:
        return run.wait_for(until, seconds, every=0.002)
    except TimeoutError:
        return True


def _evaluations(directory: pathlib.Path) -> int:
    """How many rows of evaluations the run has written."""
    file = directory / "metrics.csv"
    return file.read_text().count(",selection,") if file.exists() else 0


def _is_writing(directory: pathlib.Path) -> bool:
    try:
        return any("tempstate" in file.name or file.name.endswith("_temp") for file in directory.iterdir())
    except FileNotFoundError:
        return False


def differences(first: pathlib.Path, second: pathlib.Path) -> list[str]:
    """How two finished runs differ: in a variable of the last or best checkpoint, or a row of metrics.csv."""
    found = []
    for directory in (first, second):
        record = json.loads((directory / "run.json").read_text())
        if record["status"] != "ok":
            found.append(f"{directory}: status {record['status']}")
    for folder in ("", "best_ckpt"):
        here, there = (variables(directory / folder) for directory in (first, second))
        if here.keys() != there.keys() or not here:
            found.append(f"{folder or 'last'}: other variables")
        found += [f"{folder or 'last'}: {n}" for n in here if n in there and not np.array_equal(here[n], there[n])]
    rows = [metrics(directory) for directory in (first, second)]
    found += [f"metrics.csv: {row}" for row in sorted(set(rows[0]) ^ set(rows[1]))]
    if len(rows[0]) != len(rows[1]) or len(set(rows[0])) != len(rows[0]):
        found.append(f"metrics.csv: {len(rows[0])} and {len(rows[1])} rows")
    return found


def metrics(directory: pathlib.Path) -> list[tuple]:
    """The rows of metrics.csv without the time."""
    with open(directory / "metrics.csv", newline="") as file:
        return [tuple(v for name, v in row.items() if name != "wall_s") for row in csv.DictReader(file)]


def variables(directory: pathlib.Path) -> dict[str, np.ndarray]:
    """The values in the directory's latest checkpoint, by name; of no checkpoint: {}."""
    import tensorflow as tf  # takes seconds to import

    latest = tf.train.latest_checkpoint(str(directory))
    if latest is None:
        return {}
    reader = tf.train.load_checkpoint(latest)
    names = [n for n in reader.get_variable_to_shape_map() if n.endswith("VARIABLE_VALUE") and "save_counter" not in n]
    return {name: reader.get_tensor(name) for name in names}
