"""What can befall a sweep, done to real ones: its run is started once, and ends as the unbroken one."""

import contextlib
import pathlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator

from scripts.soak import kills
from scripts.soak.faults import INTERVAL, SETTINGS, STEPS, Case
from scripts.soak.forked import arguments, last_step
from trainers import names
from trainers.checkout import ROOT

_FILE, _FLAG = "configs/laptop/bert_nigt.gin", "--gin_param="


def sleeping_machine(case: Case) -> None:
    """The last heartbeat lies up to a day back, or ahead, again and again: no second run is started."""
    with _sweep(case) as (process, database):
        _wait_for(process, case, 0)  # the other worker looks every five seconds
        while process.poll() is None and not _is_done(case):
            seconds = case.generator.choice((-1, 1)) * case.generator.randrange(300, 86400)
            with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection, connection:
                connection.execute(
                    "UPDATE trial_heartbeats SET heartbeat = datetime('now', ?)", (f"{seconds} seconds",)
                )
            time.sleep(1)


def locked_database(case: Case) -> None:
    """A dashboard or a backup locks the database for up to 20 s, at any moment of a run or at its end."""
    with _sweep(case) as (process, database):
        _wait_for(process, case, case.generator.choice((0, INTERVAL, STEPS - 5)))
        with contextlib.closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(case.generator.uniform(7, 20))


@contextlib.contextmanager
def _sweep(case: Case) -> Iterator[tuple[subprocess.Popen, pathlib.Path]]:
    """Two workers and one point, the reference's; at the end, its run has to be the reference, and its one start."""
    runs, output = case.folder / "runs", case.folder / "sweep.out"
    command = [sys.executable, "-m", "scripts.sweep", f"--gin_file={_FILE}", "--axis=eta0=0.01", "--workers=2"]
    command += [f"--runs={runs}", f"--results={case.folder / 'results'}", *(_FLAG + one for one in _bindings(case))]
    with open(output, "w") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)
    try:
        yield process, runs / "optuna.db"
        status, said = process.wait(300), output.read_text()
    finally:
        process.kill()
    assert status == 0 and "Traceback" not in said and said.count(" started") == 1 and "; no run left" in said, said
    found = kills.differences(case.reference, _directory(case))
    assert not found, found[:3]


def _bindings(case: Case) -> list[str]:
    given = arguments("bert_nigt", case.folder, case.data, **SETTINGS)
    return [one.removeprefix(_FLAG) for one in given if one.startswith(_FLAG)]


def _directory(case: Case) -> pathlib.Path:
    return case.folder / "runs" / f"{names.experiment(_FILE, _bindings(case))}-eta0=0.01-s0"


def _is_done(case: Case) -> bool:
    file = _directory(case) / "run.json"
    return file.exists() and '"status": "ok"' in file.read_text()


def _wait_for(process: subprocess.Popen, case: Case, step: int) -> None:
    """Until the run's log tells of a step; 0: until the point is claimed."""
    while process.poll() is None and not (_directory(case).exists() and last_step(_directory(case)) >= step):
        time.sleep(0.05)


FAULTS = (sleeping_machine, locked_database)
