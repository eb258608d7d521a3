"""What a run leaves behind: config.gin, run.json and metrics.csv."""

import csv
import datetime
import importlib.metadata
import io
import json
import os
import pathlib
import platform
import subprocess
import time
import uuid

from data.errors import InputError

COLUMNS = ("step", "examples", "wall_s", "split", "name", "value")
_PACKAGES = ("tensorflow", "tf-keras", "tf-models-official", "gin-config", "numpy")


class RunDirectory:
    """The directory of one run.

    Attributes:
      path: The directory.
      record: What run.json says; see the README for its fields.
    """

    def __init__(self, path: str, config: str, **fields):
        """Opens or makes the directory and writes config.gin, before the first step.

        Args:
          path: The directory.
          config: The operative gin configuration.
          **fields: Of run.json: task, scale, optimizer, eta0, seed, device, strategy, metric, command.

        Raises:
          InputError: If the directory holds a run of another configuration, or cannot be written.
        """
        self.path = pathlib.Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._refuse_another_configuration(config)
            write_atomically(self.path / "config.gin", config)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; choose another --model_dir or MODEL_DIR") from error
        self.record = {"run_id": f"{self.path.name}-{uuid.uuid4().hex[:8]}"} | fields
        self.record |= git_state()
        self.record |= {"versions": _versions(), "started": _now(), "finished": None, "status": "new", "steps": 0}
        self.record["preemptions"] = 0
        previous = self._read_record()
        if previous:
            self.record |= {key: previous[key] for key in ("run_id", "started", "status", "steps", "preemptions")}

    def is_finished(self, train_steps: int) -> bool:
        """Whether an earlier call has done all the steps."""
        return self.record["status"] == "ok" and self.record["steps"] >= train_steps

    def update(self, status: str, steps: int) -> None:
        """Writes run.json. status: running, ok, diverged, failed or interrupted."""
        if status == "running" and self.record["status"] in ("interrupted", "running"):
            self.record["preemptions"] += 1
        self.record |= {"status": status, "steps": steps, "finished": None if status == "running" else _now()}
        write_atomically(self.path / "run.json", json.dumps(self.record, indent=2) + "\n")

    def _read_record(self) -> dict | None:
        file = self.path / "run.json"
        if not file.exists():
            return None
        try:
            return json.loads(file.read_text())
        except json.JSONDecodeError as error:
            raise InputError(f"{file}: not JSON ({error}); remove the directory or choose another MODEL_DIR") from error

    def _refuse_another_configuration(self, config: str) -> None:
        file = self.path / "config.gin"
        if not file.exists():
            return
        old, new = (_settings(text) for text in (file.read_text(), config))
        for line in sorted(old ^ new):
            where = "it has" if line in old else "this run has"
            raise InputError(
                f"{self.path} holds a run of another configuration: {where} {line!r}; choose another MODEL_DIR"
            )


class MetricsLog:
    """metrics.csv, appended as the run goes."""

    def __init__(self, path: pathlib.Path, start_step: int, batch_size: int):
        """Opens the file and drops the rows of steps after start_step, which the run will take again.

        Args:
          path: Of metrics.csv.
          start_step: The checkpoint's step; 0 for a new run.
          batch_size: Examples a step.
        """
        self._batch_size = batch_size
        rows = []
        if path.exists():
            with open(path, newline="") as file:
                rows = [row for row in csv.DictReader(file) if row.get("value") and int(row["step"]) <= start_step]
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(path, text.getvalue())
        self._file = open(path, "a", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._evaluated = {int(row["step"]) for row in rows if row["split"] == "validation"}
        self._start = time.monotonic() - max((float(row["wall_s"]) for row in rows), default=0.0)

    def write(self, step: int, split: str, values: dict[str, float]) -> None:
        """One row a value: {"accuracy": 0.91}."""
        wall = time.monotonic() - self._start
        for name, value in values.items():
            row = (step, step * self._batch_size, f"{wall:.3f}", split, name, repr(float(value)))
            self._writer.writerow(row)
        self._file.flush()

    def has_evaluation(self, step: int) -> bool:
        """Whether the file that was opened held the validation metrics of a step."""
        return step in self._evaluated

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Writes a text file under a temporary name, then renames it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def git_state() -> dict:
    """The clone's commit, and whether tracked files differ from it."""
    return {"commit": _git("rev-parse", "HEAD"), "dirty": bool(_git("status", "--porcelain", "-uno"))}


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


def _settings(config: str) -> set[str]:
    """The bindings, without comments and blank lines, continuation lines joined."""
    text = config.replace("\\\n", " ")
    return {" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.startswith("#")}


def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version()} | versions


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _git(*arguments: str) -> str:
    root = pathlib.Path(__file__).resolve().parent.parent
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
