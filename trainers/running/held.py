"""A directory that one process holds at a time: its lock, config.gin and run.json. Python's own library is enough."""

import datetime
import errno
import fcntl
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import socket
import time
import uuid

from data.errors import InputError
from trainers.checkout import git_state
from trainers.running.atomic import write_atomically

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
LOCK = ".lock"
_RESERVE = ".reserve"
_KEPT = ("run_id", "started", "status", "steps", "preemptions")  # of run.json, when a run goes on
_TRIES_FOR_A_NAME = 30  # a tenth of a second each


class HeldDirectory:
    """The directory of one run.

    Attributes:
      path: The directory.
      record: What run.json says; see docs/training.md for its fields.
    """

    packages: tuple[str, ...] = ()  # whose versions run.json has

    def __init__(self, path: str, config: str, fields: dict):
        """Opens or makes the directory, locks it, and writes config.gin, before the first step.

        Args:
          path: The directory.
          config: The run's configuration, as gin text.
          fields: What run.json says of the run, other than the code, the time and the status.

        Raises:
          InputError: The directory is another process's at the moment, holds another run, or cannot be written.
        """
        self.path = pathlib.Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock()
            previous = self._read_record()
            self._refuse_another_run(previous or {}, fields)
            self._remove_leftovers()
            # Room for run.json on a disk that has become full.
            write_atomically(self.path / _RESERVE, "\0" * 16384)
            write_atomically(self.path / "config.gin", config)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; choose another --model_dir or MODEL_DIR") from error
        self.record = {"run_id": f"{self.path.name}-{uuid.uuid4().hex[:8]}"} | fields | git_state()
        self.record |= {"versions": self._versions(), "started": _now(), "finished": None, "status": "new", "steps": 0}
        self.record["preemptions"] = 0
        if previous:
            self.record |= {key: previous[key] for key in _KEPT}

    def is_finished(self, train_steps: int) -> bool:
        """Whether an earlier call has done all the steps."""
        return self.record["status"] == "ok" and self.record["steps"] >= train_steps

    def begin(self, steps: int) -> None:
        """Writes run.json: the run is at work from that step on; counts a preemption if it did not end by itself.

        NIGT_PREEMPTIONS says how many whoever started the run knows of: some may have come before the first run.json.
        """
        if self.record["status"] in ("interrupted", "running"):
            self.record["preemptions"] += 1
        self.record["preemptions"] = max(self.record["preemptions"], int(os.environ.get("NIGT_PREEMPTIONS") or 0))
        self.update("running", steps)

    def update(self, status: str, steps: int) -> None:
        """Writes run.json. status: running, ok, diverged, failed or interrupted."""
        self.record |= {"status": status, "steps": steps, "finished": None if status == "running" else _now()}
        text = json.dumps(self.record, indent=2) + "\n"
        try:
            write_atomically(self.path / "run.json", text)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            (self.path / _RESERVE).unlink(missing_ok=True)
            write_atomically(self.path / "run.json", text)

    def close(self) -> None:
        """Gives the directory free."""
        self._lock_file.close()
        (self.path / _RESERVE).unlink(missing_ok=True)

    def _refuse_another_run(self, record: dict, fields: dict) -> None:
        """Raises InputError where the directory holds a run other than this one.

        Args:
          record: Its run.json; empty without one.
          fields: Of this run.
        """
        raise NotImplementedError

    def _lock(self) -> None:
        # The kernel lets go of it when the process ends, however it does.
        self._lock_file = open(self.path / LOCK, "a+")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._holder()
            self._lock_file.close()
            raise InputError(
                f"{self.path}: another run is at work there ({holder}); wait for it or choose another MODEL_DIR"
            ) from None
        self._lock_file.truncate(0)
        self._lock_file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._lock_file.flush()

    def _holder(self) -> str:
        """The process that has the lock; it writes its name a moment after it took it."""
        for _ in range(_TRIES_FOR_A_NAME):
            self._lock_file.seek(0)
            if name := self._lock_file.read().strip():
                return name
            time.sleep(0.1)
        return "unknown"

    def _read_record(self) -> dict | None:
        file = self.path / "run.json"
        if not file.exists():
            return None
        try:
            record = json.loads(file.read_text())
            missing = [key for key in _KEPT if key not in record]
        except (ValueError, TypeError) as error:
            raise InputError(f"{file}: not JSON ({error}); remove the directory or choose another MODEL_DIR") from error
        if missing:
            raise InputError(f"{file}: has no {missing[0]}; remove the directory or choose another MODEL_DIR")
        return record

    def _remove_leftovers(self) -> None:
        """Files under the temporary names of a process that was killed; it held the lock, so none is alive."""
        for file in self.path.glob(".*.partial"):
            shutil.rmtree(file) if file.is_dir() else file.unlink()

    def _versions(self) -> dict[str, str]:
        return {"python": platform.python_version()} | {name: self._version(name) for name in self.packages}

    def _version(self, package: str) -> str:
        return importlib.metadata.version(package)


def is_locked(file: pathlib.Path) -> bool:
    """Whether a process holds the lock."""
    try:
        with open(file) as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def describe_device(threads: int | None) -> str:
    """The processor's model and the threads that the run may use."""
    model = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{model}, {threads or os.cpu_count()} thread(s)"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
