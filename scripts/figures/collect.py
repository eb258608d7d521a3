"""Collects finished runs: python -m scripts.figures.collect --runs=DIR[,DIR…] --output=results/laptop/demo.

Writes runs.csv (one row a run), curves.csv (their evaluation curves), table.md, and a copy of each run's logs.
A run that is there already (the same run_id) is replaced; the other rows stay. Exit status: 0 done, 2 bad input.
"""

import csv
import dataclasses
import io
import json
import math
import os
import pathlib
import shlex
import shutil
import sys
import tempfile

from absl import flags

from data import command_line
from data.errors import InputError
from scripts.figures.table import EVALUATIONS, PHASES, TASKS, table
from trainers.checkout import ROOT, describe_commit

_WHAT = ("run_id", "task", "scale", "optimizer", "eta0", "seed", "phase")
_CAME_OUT = ("status", "metric", "final_value", "steps", "wall_s")
_WHERE = ("device", "strategy", "commit", "dirty", "started", "finished", "preemptions", "command")
RUN_COLUMNS = _WHAT + _CAME_OUT + _WHERE
CURVE_COLUMNS = ("run_id", "task", "optimizer", "split", "name", "step", "examples", "wall_s", "value")

_METRIC_COLUMNS = ("step", "examples", "wall_s", "split", "name", "value")
_LOGS = {"run.json": True, "metrics.csv": True, "config.gin": True, "train.log": False}  # True: a run must have it
_FINISHED = ("ok", "diverged", "failed")
_INT = (int,)
_TYPES: dict[str, tuple] = {"eta0": (int, float), "seed": _INT, "steps": _INT, "preemptions": _INT, "dirty": (bool,)}


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run: its directory, run.json, and the rows of metrics.csv (one a split, name and step)."""

    directory: pathlib.Path
    record: dict
    metrics: list[dict[str, str]]

    def rows(self, phase: str) -> tuple[dict[str, str], list[dict[str, str]]]:
        """The run's row of runs.csv and its rows of curves.csv."""
        record = {name: _text(value) for name, value in self.record.items() if name in RUN_COLUMNS}
        wall = max((row["wall_s"] for row in self.metrics), key=float, default="")
        row = record | {"phase": phase, "wall_s": wall, "final_value": self._final_value()}
        wanted = {(split, None) for split in EVALUATIONS} | {("train", "loss"), ("train", record["metric"])}
        own = {name: record[name] for name in ("run_id", "task", "optimizer")}
        kept = [m for m in self.metrics if {(m["split"], None), (m["split"], m["name"])} & wanted]
        return row, [own | m for m in kept]

    def _final_value(self) -> str:
        """The metric on validation after the last step, as in metrics.csv; empty for a run that did not get there."""
        if self.record["status"] != "ok":
            return ""
        metric, steps = self.record["metric"], self.record["steps"]
        values = [m for m in self.metrics if (m["split"], m["name"]) == ("validation", metric)]
        last = max(values, key=lambda m: int(m["step"]), default=None)
        if last is None or int(last["step"]) != steps or not math.isfinite(float(last["value"])):
            raise InputError(
                f"{self.directory / 'metrics.csv'}: no validation {metric} at the run's last step, {steps}; "
                "evaluate it: the run's command with --mode=eval"
            )
        return last["value"]


def collect(runs: list[str], output: str, phase: str, command: str, replace: bool = False) -> list[str]:
    """Merges finished runs into a results directory.

    Args:
      runs: Run directories, or directories of them.
      output: The results directory; made if it is not there.
      phase: One of PHASES.
      command: For table.md: what made it.
      replace: Whether a run may take the place, in logs/, of another run whose directory had the same name.

    Returns:
      The run_ids that were collected.

    Raises:
      InputError: A run that is not finished, a missing or broken file, a clash of names. Nothing is changed then.
    """
    found = [read_run(directory) for directory in _run_directories(runs)]
    folder = pathlib.Path(output)
    gone = {run.record["run_id"] for run in found} | _superseded(found, folder, replace)
    new = [run.rows(phase) for run in found]
    old_rows, old_curves = _collected(folder)
    rows = [row for row in old_rows if row["run_id"] not in gone] + [row for row, _ in new]
    rows.sort(key=_order)
    curves: dict[str, list[dict]] = {row["run_id"]: [] for row in rows}
    for curve in [c for c in old_curves if c["run_id"] not in gone] + [c for _, own in new for c in own]:
        if curve["run_id"] not in curves:
            raise InputError(f"{folder / 'curves.csv'}: {curve['run_id']} is not in runs.csv; remove its rows")
        curves[curve["run_id"]].append(curve)
    files = {
        "curves.csv": _csv(CURVE_COLUMNS, [curve for own in curves.values() for curve in own]),
        "runs.csv": _csv(RUN_COLUMNS, rows),
        "table.md": table(rows, curves, command, describe_commit()),
    }
    try:
        _write(folder, files, found)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror}; choose another --output") from error
    return [run.record["run_id"] for run in found]


def read_run(directory: pathlib.Path) -> Run:
    """A finished run's record and metrics, checked.

    Raises:
      InputError: It is not finished, or a file is missing or broken.
    """
    for name, required in _LOGS.items():
        if required and not (directory / name).is_file():
            raise InputError(f"{directory / name} is missing: finish the run, or leave the directory out of --runs")
    file = directory / "run.json"
    try:
        record = json.loads(file.read_text())
    except ValueError as error:
        raise InputError(f"{file}: not JSON ({error}); repeat the run") from error
    if not isinstance(record, dict):
        raise InputError(f"{file}: not a JSON object; repeat the run")
    if record.get("status") not in _FINISHED:
        raise InputError(f"{file}: status is {record.get('status')!r}; finish the run (its command resumes it) first")
    for name in RUN_COLUMNS:
        if name in ("phase", "final_value", "wall_s"):  # not the run's own to say
            continue
        value, wanted = record.get(name), _TYPES.get(name, (str,))
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted != (bool,)):
            raise InputError(f"{file}: {name} is {'missing' if name not in record else repr(value)}; repeat the run")
    if record["task"] not in TASKS:
        raise InputError(f"{file}: task is {record['task']!r}, not one of {', '.join(TASKS)}; correct it")
    metrics = read_rows(directory / "metrics.csv", _METRIC_COLUMNS)
    # A second evaluation of a step (--mode=eval) replaces the first.
    latest = {(row["split"], row["name"], row["step"]): row for row in metrics}
    return Run(directory, record, list(latest.values()))


def read_rows(path: pathlib.Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """A CSV file's rows, as text, in the columns' order.

    Raises:
      InputError: The file or a column is missing, or a line is incomplete or has no number where one belongs.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            for name in columns:
                if name not in (reader.fieldnames or ()):
                    raise InputError(f"{path}: column {name} is missing; write the file again")
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(f"{path}, line {reader.line_num}: incomplete; write the file again")
                for name in columns:
                    _check_number(path, reader.line_num, name, row[name])
                rows.append({name: row[name] for name in columns})
            return rows
    except FileNotFoundError as error:
        raise InputError(
            f"{path} is missing: train (e.g. `make bert-nigt`), then collect the runs "
            f"(`python -m scripts.figures.collect --runs=… --output={path.parent}`)"
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); write the file again") from error


def _collected(folder: pathlib.Path) -> tuple[list[dict], list[dict]]:
    """The rows of runs.csv and curves.csv from before; none if there is neither."""
    if not (folder / "runs.csv").exists() and not (folder / "curves.csv").exists():
        return [], []
    return read_rows(folder / "runs.csv", RUN_COLUMNS), read_rows(folder / "curves.csv", CURVE_COLUMNS)


def _run_directories(paths: list[str]) -> list[pathlib.Path]:
    """The run directories that are meant, each once. A directory with config.gin is a run, however it ended."""
    found: dict[pathlib.Path, pathlib.Path] = {}
    for path in map(pathlib.Path, paths):
        if not path.is_dir():
            raise InputError(f"--runs: {path} is not a directory; name run directories or a directory of them")
        own = [path] if _is_run(path) else sorted(child for child in path.iterdir() if _is_run(child))
        if not own:
            raise InputError(f"--runs: {path} holds no run (a directory with run.json); train first")
        found |= {directory.resolve(): directory for directory in own}
    return list(found.values())


def _is_run(path: pathlib.Path) -> bool:
    return (path / "run.json").is_file() or (path / "config.gin").is_file()


def _superseded(found: list[Run], folder: pathlib.Path, replace: bool) -> set[str]:
    """The run_ids of other runs whose logs these would overwrite, if that is allowed."""
    names: dict[str, pathlib.Path] = {}
    ids: dict[str, pathlib.Path] = {}
    gone = set()
    for run in found:
        name, run_id = run.directory.resolve().name, run.record["run_id"]
        for known, key, what in ((names, name, "have the same name"), (ids, run_id, f"are the same run, {run_id}")):
            if key in known:
                raise InputError(f"--runs: {known[key]} and {run.directory} {what}; rename one or leave one out")
            known[key] = run.directory
        file = folder / "logs" / name / "run.json"
        other = _run_id(file) if file.exists() else run_id
        if other != run_id and not replace:
            raise InputError(f"{file} is of another run, {other}; rename {run.directory}, or --replace the earlier run")
        gone |= {other}
    return gone


def _run_id(file: pathlib.Path) -> str:
    try:
        return json.loads(file.read_text())["run_id"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: no run_id in it; restore the file or remove its directory") from error


def _check_number(path: pathlib.Path, line: int, name: str, value: str) -> None:
    """Refuses text where a number belongs; wall_s and final_value may be empty, a value may be NaN (a diverged run)."""
    kind = {"step": int, "steps": int, "examples": int, "seed": int, "eta0": float, "wall_s": float, "value": float}
    kind |= {"final_value": float}
    if name not in kind or (value == "" and name in ("wall_s", "final_value")):
        return
    try:
        kind[name](value)
    except ValueError as error:
        raise InputError(f"{path}, line {line}: {name} is {value!r}, not a number; correct it") from error


def _order(row: dict) -> tuple:
    phase = PHASES.index(row["phase"]) if row["phase"] in PHASES else len(PHASES)
    return phase, row["task"], row["scale"], row["optimizer"], float(row["eta0"]), int(row["seed"]), row["run_id"]


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _csv(columns: tuple[str, ...], rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write(folder: pathlib.Path, files: dict[str, str], runs: list[Run]) -> None:
    """Prepares everything in a temporary directory of the folder, then moves it into place."""
    folder.mkdir(parents=True, exist_ok=True)
    stage = pathlib.Path(tempfile.mkdtemp(prefix=".collect-", dir=folder))
    try:
        for name, text in files.items():
            (stage / name).write_text(text, encoding="utf-8")
        names = [run.directory.resolve().name for run in runs]
        for name, run in zip(names, runs, strict=True):
            (stage / "new" / name).mkdir(parents=True)
            for log in _LOGS:
                if (run.directory / log).is_file():
                    shutil.copyfile(run.directory / log, stage / "new" / name / log)
        (stage / "old").mkdir()
        (folder / "logs").mkdir(exist_ok=True)
        for name in names:
            if (folder / "logs" / name).exists():
                os.rename(folder / "logs" / name, stage / "old" / name)
            os.rename(stage / "new" / name, folder / "logs" / name)
        for name in files:
            os.replace(stage / name, folder / name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _directories(parts: list[str]) -> list[str]:
    """What the commas separate; one may belong to a run's name, "resnet_nigt-eta0=0.01,beta=0.5-s0"."""
    found = []
    while parts:
        joined = [",".join(parts[:length]) for length in range(len(parts), 0, -1)]
        found.append(next(filter(os.path.isdir, joined), parts[0]))
        parts = parts[found[-1].count(",") + 1 :]
    return found


def define_flags() -> None:
    """Not when imported: the programs' flags have names in common."""
    flags.DEFINE_list("runs", None, "Run directories, or directories of run directories, comma-separated.")
    flags.DEFINE_string("output", None, "Where the results go, e.g. results/laptop/demo.")
    flags.DEFINE_enum("phase", "final", PHASES, "What these runs are for.")
    flags.DEFINE_bool("replace", False, "Drop an earlier run whose directory had the same name as one of these.")


def main() -> None:
    """Collects what the flags name."""
    options = flags.FLAGS
    if not options.runs or not options.output:
        raise InputError(f"--{'output' if options.runs else 'runs'} is missing; see --help")
    # Of a path inside this checkout, table.md should not tell where the checkout is.
    command = shlex.join(["python", "-m", "scripts.figures.collect", *sys.argv[1:]]).replace(f"{ROOT}{os.sep}", "")
    collected = collect(_directories(options.runs), options.output, options.phase, command, options.replace)
    print(f"{options.output}: {len(collected)} run(s) collected: {', '.join(collected)}")


if __name__ == "__main__":
    define_flags()
    command_line.run("collect", "scripts.figures.collect", main)
