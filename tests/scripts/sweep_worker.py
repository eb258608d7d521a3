"""A worker of a sweep, as scripts.sweep has them, whose runs only hold their directory for a while and say so.

python -m tests.scripts.sweep_worker URL FOLDER EVENTS
"""

import fcntl
import os
import pathlib
import sys
import time

from scripts.sweep import grid, queue, workers
from scripts.sweep.training import Ended, Training
from trainers.exit_status import ExitStatus
from trainers.running.held import LOCK

POINTS = grid.points({"eta0": (0.1, 0.2, 0.3, 0.4)})
RUN_SECONDS = 8


class _Runner:
    """In place of Trainings."""

    def __init__(self, folder: pathlib.Path, events: pathlib.Path):
        self._folder, self._events = folder, events

    def run(self, training: Training) -> Ended:
        """Sleeps; the result is eta0."""
        with open(self._folder / training.name / LOCK, "a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._tell("begun", training)
            time.sleep(RUN_SECONDS)
            self._tell("ended", training)
        return Ended(ExitStatus.DONE, "", float(training.name.partition("=")[2]), RUN_SECONDS)

    def stop(self) -> None:
        """Runs end by themselves."""

    def _tell(self, event: str, training: Training) -> None:
        with open(self._events, "a") as file:
            file.write(f"{os.getpid()} {training.name} {event}\n")


if __name__ == "__main__":
    folder, events = map(pathlib.Path, sys.argv[2:])
    study = queue.Queue(sys.argv[1], "study", {"seed": 0}, folder)
    study.enqueue(POINTS)
    trainings = {point: Training(point.name, "a.gin", (), 0, "tune") for point in POINTS}
    sys.exit(workers.work(study, trainings, _Runner(folder, events), 1))
