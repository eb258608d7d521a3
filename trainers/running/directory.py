"""A run's directory: its lock, config.gin and run.json."""

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
import threading
import time
import uuid

from data.errors import InputError
from trainers import gin_files
from trainers.checkout import git_state
from trainers.experiment import Experiment

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
LOCK = ".lock"
_RESERVE = ".reserve"
_KEPT = ("run_id", "started", "status", "steps", "preemptions")  # of run.json, when a run goes on
_TRIES_FOR_A_NAME = 30  # a tenth of a second each
_PACKAGES = ("tensorflow", "tf-keras", "tf-models-official", "gin-config", "numpy")


class RunDirectory:
    """The directory of one run, held by one process at a time.

    Attributes:
      path: The directory.
      record: What run.json says; see the README for its fields.
    """

    def __init__(self, path: str, experiment: Experiment, config: str, data: str, **fields):
        """Opens or makes the directory, locks it, and writes config.gin, before the first step.

        Args:
          path: The directory.
          experiment: The run's.
          config: It as text, from gin_files.operative_config.
          data: The fingerprint of the run's input files.
          **fields: Further ones of run.json: device, metric, command; init_checkpoint, the hash of the weights that
            the run starts from, if they are not random.

        Raises:
          InputError: The directory is another process's at the moment, holds a run of another configuration or on other
            data or weights, or cannot be written.
        """
        self.path = pathlib.Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock()
            previous = self._read_record()
            self._refuse_another_run(experiment, data, fields.get("init_checkpoint"), previous or {})
            self._remove_leftovers()
            # Room for run.json on a disk that has become full.
            write_atomically(self.path / _RESERVE, "\0" * 16384)
            write_atomically(self.path / "config.gin", config)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; choose another --model_dir or MODEL_DIR") from error
        self.record = {"run_id": f"{self.path.name}-{uuid.uuid4().hex[:8]}", "task": experiment.task.name}
        self.record |= {"scale": experiment.scale, "optimizer": experiment.optimizer.name, "eta0": experiment.eta0}
        self.record |= {"seed": experiment.seed, "strategy": experiment.strategy} | fields | {"data": data}
        self.record |= git_state()
        self.record |= {"versions": _versions(), "started": _now(), "finished": None, "status": "new", "steps": 0}
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

    def _refuse_another_run(self, experiment: Experiment, data: str, start: str | None, record: dict) -> None:
        file = self.path / "config.gin"
        if not file.exists():
            if record or any(self.path.glob("ckpt-*")):
                raise InputError(f"{self.path} holds a run without its config.gin; choose another MODEL_DIR")
            return
        try:
            there = gin_files.load(str(file), [])
        except InputError as error:
            raise InputError(f"{error}; choose another MODEL_DIR") from error
        different = gin_files.differences(there, experiment)
        if different:
            others = f" (and {len(different) - 1} more)" if different[1:] else ""
            raise InputError(
                f"{self.path} holds a run of another configuration: {different[0]}{others}; choose another MODEL_DIR"
            )
        if not any(self.path.glob("ckpt-*.index")):
            return
        if record.get("data", data) != data:
            raise InputError(
                f"{self.path} holds a run on other data: the input files' names or sizes have changed; build the same "
                "data again or choose another MODEL_DIR"
            )
        if record.get("init_checkpoint") != start:
            raise InputError(
                f"{self.path} holds a run from other weights: init_checkpoint's file has changed; restore it or choose "
                "another MODEL_DIR"
            )

    def _remove_leftovers(self) -> None:
        """Files under the temporary names of a process that was killed; it held the lock, so none is alive."""
        for file in self.path.glob(".*.partial"):
            shutil.rmtree(file) if file.is_dir() else file.unlink()


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


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Writes a text file under a temporary name, then renames it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        with open(temporary, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        if package != "tensorflow":
            raise
        return f"{importlib.metadata.version('tensorflow-tpu')} (tensorflow-tpu)"  # the TPU VM's build


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
