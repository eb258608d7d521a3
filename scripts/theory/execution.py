"""Runs tasks on several processes, and keeps what is done, so that a stopped run goes on."""

import ast
import concurrent.futures
import dataclasses
import hashlib
import json
import multiprocessing
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence

import tqdm

from data.errors import InputError
from scripts.theory.tasks import Record, Task, execute
from trainers.checkout import ROOT
from trainers.running.atomic import write_atomically

# What a measurement depends on: a change there makes it anew.
SOURCES = ("nigt/reference.py", "nigt/theory/*.py", "scripts/theory/tasks.py")


def source_digest() -> str:
    """Of the code that measures, without comments and docstrings."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                body = getattr(node, "body", None)
                if isinstance(body, list) and body and _is_text(body[0]):
                    body[0] = ast.Pass()
            digest.update(path.name.encode() + ast.unparse(tree).encode())
    return digest.hexdigest()[:16]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@dataclasses.dataclass(frozen=True)
class Done:
    """A finished task.

    Attributes:
      seconds: That measuring took.
      records: What it yielded.
    """

    seconds: float
    records: list[Record]


def run_all(tasks: Sequence[Task], cache: pathlib.Path, workers: int) -> list[Done]:
    """Every task, measured, in the tasks' order.

    Args:
      tasks: To measure; what the cache holds, of the same code, is not measured again.
      cache: A directory, made if missing.
      workers: Processes.

    Raises:
      InputError: The cache cannot be written.
    """
    own = cache / source_digest()
    try:
        own.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{own}: {error.strerror}; choose another --cache") from error
    missing = sorted((task for task in tasks if not _file(own, task).exists()), key=lambda task: -task.cost)
    total = sum(task.cost for task in tasks)
    form = "theory: {percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}"
    before = round(total - sum(task.cost for task in missing))
    with tqdm.tqdm(total=round(total), initial=before, bar_format=form, mininterval=1.0, file=sys.stderr) as bar:
        for task in _done(missing, own, workers):
            bar.set_postfix_str(f"{task.experiment} {task.method} T={task.steps}")
            bar.update(round(task.cost))
    return [_read(_file(own, task)) for task in tasks]


def _done(tasks: Sequence[Task], cache: pathlib.Path, workers: int) -> Iterator[Task]:
    """Yields each task once it is measured and kept."""
    if workers == 1:
        for task in tasks:
            _measure(task, cache)
            yield task
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context) as pool:
        futures = {pool.submit(_measure, task, cache): task for task in tasks}
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
                yield futures[future]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _measure(task: Task, cache: pathlib.Path) -> None:
    start = time.monotonic()
    records = [dataclasses.asdict(record) for record in execute(task)]
    kept = {"seconds": round(time.monotonic() - start, 3), "records": records}
    write_atomically(_file(cache, task), json.dumps(kept) + "\n")


def _read(file: pathlib.Path) -> Done:
    kept = json.loads(file.read_text())
    return Done(kept["seconds"], [Record(**fields) for fields in kept["records"]])


def _file(cache: pathlib.Path, task: Task) -> pathlib.Path:
    return cache / f"{hashlib.sha256(repr(task).encode()).hexdigest()[:24]}.json"
