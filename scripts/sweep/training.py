"""One training run as a process of its own, and several of them side by side."""

import concurrent.futures
import csv
import ctypes
import dataclasses
import fcntl
import json
import math
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable

from data.errors import InputError
from scripts.arm import Arm
from scripts.figures import collect
from trainers.checkout import ROOT
from trainers.exit_status import ExitStatus

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # before any fork: nothing may be loaded between fork and exec


@dataclasses.dataclass(frozen=True)
class Training:
    """What to train.

    Attributes:
      name: Of its directory in runs/ and of its logs in results/.
      gin_file, bindings, seed: As trainers.train takes them.
      phase: One of scripts.figures.collect.PHASES.
    """

    name: str
    gin_file: str
    bindings: tuple[str, ...]
    seed: int
    phase: str

    @classmethod
    def of(cls, arm: Arm, name: str, bindings: Iterable[str], seed: int, phase: str) -> "Training":
        """A run of an arm that binds something more."""
        return cls(name, arm.gin_file, (*arm.bindings, *bindings), seed, phase)

    def command(self, runs: pathlib.Path, threads: int) -> list[str]:
        """The command line."""
        return [
            *(sys.executable, "-m", "trainers.train", f"--gin_file={self.gin_file}", f"--seed={self.seed}"),
            *(f"--model_dir={runs / self.name}", f"--threads={threads}"),
            *(f"--gin_param={binding}" for binding in self.bindings),
        ]


@dataclasses.dataclass(frozen=True)
class Ended:
    """How it ended.

    Attributes:
      status: The process's.
      message: The last line that it wrote to stderr.
      selection: The metric on the selection data after the last step; None where the run did not get there.
      seconds: That the process took.
    """

    status: ExitStatus
    message: str
    selection: float | None
    seconds: float = 0.0


class Trainings:
    """Runs trainings, any number at a time (call it from several threads), and collects what has finished.

    Args:
      runs: Where the runs' directories go.
      output: The results directory.
      threads: Of each training.
      command: For table.md: what made the results.
    """

    def __init__(self, runs: pathlib.Path, output: pathlib.Path, threads: int, command: str):
        self._runs, self._output, self._threads, self._command = runs, output, threads, command
        self._processes: set[subprocess.Popen] = set()
        self._lock, self._stopped = threading.Lock(), False

    def run(self, training: Training) -> Ended:
        """Trains, or goes on with it; collects it when it has finished or diverged."""
        with self._lock:
            if self._stopped:
                return Ended(ExitStatus.INTERRUPTED, "stopped", None)
            begun = time.monotonic()
            process = subprocess.Popen(
                training.command(self._runs, self._threads),
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                process_group=0,  # Ctrl-C is ours to hand on, once
                preexec_fn=die_with_parent,
            )
            self._processes.add(process)
        _, errors = process.communicate()
        seconds = time.monotonic() - begun
        with self._lock:
            self._processes.remove(process)
            is_stopped = self._stopped and process.returncode == -signal.SIGTERM  # before it could take the signal
        message = (errors.strip().splitlines() or ["no message"])[-1]
        try:
            status = ExitStatus.INTERRUPTED if is_stopped else ExitStatus(process.returncode)
        except ValueError:  # a signal
            status, message = ExitStatus.FAILED, f"ended by signal {-process.returncode}"
        if status in (ExitStatus.DONE, ExitStatus.DIVERGED):
            self._collect(training)
        selection = selection_value(self._runs / training.name) if status == ExitStatus.DONE else None
        return Ended(status, message, selection, seconds)

    def forget(self, training: Training) -> None:
        """Has it begin anew."""
        shutil.rmtree(self._runs / training.name, ignore_errors=True)

    def stop(self) -> None:
        """Has every training write its checkpoint and end; none begins any more."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.send_signal(signal.SIGTERM)

    def _collect(self, training: Training) -> None:
        self._output.mkdir(parents=True, exist_ok=True)
        # Other processes may collect into the same files.
        with self._lock, open(self._output / ".lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            directory = str(self._runs / training.name)
            collect.collect([directory], str(self._output), training.phase, self._command, replace=True)


class Pace:
    """What the runs that have finished say about those that are left.

    Args:
      workers: Runs at a time.
    """

    def __init__(self, workers: int):
        self._workers = workers
        self._seconds: list[float] = []

    def after(self, ended: Ended, left: int) -> str:
        """ "3 runs left, about 12 min"; without a time as long as none has finished."""
        if ended.status in (ExitStatus.DONE, ExitStatus.DIVERGED):
            self._seconds.append(ended.seconds)
        text = f"{left or 'no'} run{'s' if left > 1 else ''} left"
        if not left or not self._seconds:
            return text
        seconds = sum(self._seconds) / len(self._seconds) * left / min(left, self._workers)
        units = ((seconds, "s", 120), (seconds / 60, "min", 120), (seconds / 3600, "h", math.inf))
        return f"{text}, about " + next(f"{value:.0f} {unit}" for value, unit, below in units if value < below)


def in_threads(work: Callable[[], None], workers: int, stop: Callable[[], None]) -> None:
    """Does so many of it side by side. What one raises stops all, and is raised here when they have ended."""

    def guarded() -> None:
        try:
            work()
        except BaseException:
            stop()
            raise

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(guarded) for _ in range(workers)]
        # Not one long wait: the kernel may give a signal to another thread, and Python runs handlers in this one alone.
        while concurrent.futures.wait(futures, timeout=0.5).not_done:
            pass
    for future in futures:
        future.result()


def run_all(
    trainings: Iterable[Training], runner: Trainings, workers: int, done: Callable[[Training, Ended], None]
) -> bool:
    """Runs trainings, so many at a time, in their order; stops at the first that failed.

    Args:
      done: Is called with each training and how it ended.

    Returns:
      Whether all finished or diverged.
    """
    waiting, lock = iter(trainings), threading.Lock()
    fine: list[bool] = []

    def work() -> None:
        while True:
            with lock:
                training = next(waiting, None) if all(fine) else None
            if training is None:
                return
            ended = runner.run(training)
            with lock:
                done(training, ended)
            fine.append(ended.status in (ExitStatus.DONE, ExitStatus.DIVERGED))
            if not fine[-1]:
                runner.stop()

    in_threads(work, workers, runner.stop)
    return all(fine)


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Has Ctrl-C and SIGTERM call it, in a thread: a lock may be held by the one that the signal interrupts."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: threading.Thread(target=stop).start())


def selection_value(directory: pathlib.Path) -> float:
    """The metric on the selection data at w after a finished run's last step.

    Raises:
      InputError: It is not in metrics.csv.
    """
    record, value = json.loads((directory / "run.json").read_text()), math.nan
    with open(directory / "metrics.csv", newline="") as file:
        for row in csv.DictReader(file):
            if (row["split"], row["name"], row["step"]) == ("selection", record["metric"], str(record["steps"])):
                value = float(row["value"])
    if not math.isfinite(value):
        raise InputError(f"{directory / 'metrics.csv'}: no selection {record['metric']} at step {record['steps']}")
    return value


def die_with_parent() -> None:
    """Has the kernel send SIGTERM to this process when its parent is killed: nothing is left behind at work."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
