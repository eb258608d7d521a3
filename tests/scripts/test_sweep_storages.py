"""Two workers share a sweep, over each storage: one is killed, the storage is away for longer than a heart may rest."""

import collections
import contextlib
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import time

import optuna
import pytest
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from data.errors import InputError
from scripts.sweep import dashboard, queue
from scripts.sweep.database import Patience, connect, reason
from tests.conftest import ROOT
from tests.scripts.postgresql import Server
from tests.scripts.sweep_worker import POINTS

AWAY_SECONDS = 90
assert AWAY_SECONDS > queue.GRACE_SECONDS


class Sweep:
    """Two workers that share a storage: of one machine, with one folder, or of two.

    Attributes:
      workers: Their processes; the first one is killed.
    """

    def __init__(self, url: str, folders: list[pathlib.Path]):
        self.url, self._events, self._outputs, self.workers = url, folders[0] / "events", [], []
        for number, folder in enumerate(folders):
            folder.mkdir(exist_ok=True)
            self._outputs.append(folder / f"{number}.txt")
            command = [sys.executable, "-m", "tests.scripts.sweep_worker", url, folder, self._events]
            with open(self._outputs[-1], "w") as output:
                self.workers.append(subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output))

    def events(self) -> list[tuple[int, str, str]]:
        """(worker, point, "begun" or "ended"), in their order."""
        lines = [line.split() for line in self._events.read_text().splitlines()] if self._events.exists() else []
        pids = [worker.pid for worker in self.workers]
        return [(pids.index(int(pid)), point, event) for pid, point, event in lines]

    def said(self) -> str:
        """What the one that survives has printed."""
        return self._outputs[1].read_text()

    def are_both_at_work(self) -> bool:
        """Whether each has begun a run."""
        assert [worker.poll() for worker in self.workers] == [None, None], self.said()
        return {worker for worker, *_ in self.events()} == {0, 1}

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """What the storage holds."""
        storage = connect(self.url, Patience("the test"))
        return storage.get_all_trials(storage.get_study_id_from_name("study"))


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory):
    """The three at the same time, as they wait for the most part; when all have ended."""
    path = tmp_path_factory.mktemp("sweeps")
    (path / "shared").mkdir()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server())
        found = {
            "postgresql": Sweep(server.url, [path / "one", path / "other"]),
            "sqlite": Sweep(f"sqlite:///{path / 'optuna.db'}", [path / "machine"] * 2),
            "journal": Sweep(f"journal:///{path / 'shared' / 'journal'}", [path / "third", path / "fourth"]),
        }
        workers = [worker for sweep in found.values() for worker in sweep.workers]
        for worker in workers:
            stack.callback(worker.kill)
        limit = time.monotonic() + 200
        while not all([sweep.are_both_at_work() for sweep in found.values()]):
            assert time.monotonic() < limit
            time.sleep(0.1)
        server.restart()
        for sweep in found.values():
            sweep.workers[0].kill()
            sweep.workers[0].wait()
        # Now the server is stalled, the database locked, and the folder not there.
        server.send(signal.SIGSTOP)
        stack.callback(server.send, signal.SIGCONT)
        lock = sqlite3.connect(path / "optuna.db", timeout=60, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        (path / "shared").rename(path / "away")
        time.sleep(5)
        begun = [sum(event == "begun" for *_, event in sweep.events()) for sweep in found.values()]
        time.sleep(AWAY_SECONDS - 5)
        assert begun == [sum(event == "begun" for *_, event in sweep.events()) for sweep in found.values()]
        assert not [sweep.said() for sweep in found.values() if sweep.workers[1].poll() is not None]
        (path / "away").rename(path / "shared")
        lock.close()
        server.send(signal.SIGCONT)
        server.restart()  # while it answers what has piled up
        for sweep in found.values():
            sweep.workers[1].wait(200)
        yield found, {name: sweep.trials() for name, sweep in found.items()}


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["postgresql", "sqlite", "journal"])
def test_each_point_is_run_once_to_its_end_none_twice_at_once_and_no_result_is_lost(sweeps, name):
    sweep, trials = sweeps[0][name], sweeps[1][name]
    assert [worker.returncode for worker in sweep.workers] == [-signal.SIGKILL, 0], sweep.said()
    assert "Traceback" not in sweep.said()
    lost = [point for worker, point, event in sweep.events() if worker == 0 and event == "begun"][-1]
    # A worker's own runs follow each other; the point that was lost with the first is the second's last.
    counted = collections.Counter((point, event) for _, point, event in sweep.events())
    assert counted == collections.Counter(
        [(point.name, event) for point in POINTS for event in ("begun", "ended")] + [(lost, "begun")]
    )
    assert sweep.events()[-1] == (1, lost, "ended")
    complete = [trial for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE]
    assert sorted((trial.params["eta0"], trial.value) for trial in complete) == [
        (value, value) for ((_, value),) in (point.values for point in POINTS)
    ]
    assert all(trial.state.is_finished() for trial in trials)


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["postgresql", "sqlite", "journal"])
def test_what_the_dashboard_opens_shows_all_and_deletes_nothing(sweeps, name, tmp_path):
    """Opened as optuna-dashboard does it."""
    sweep, trials = sweeps[0][name], sweeps[1][name]
    url = dashboard.read_only(sweep.url, tmp_path)
    if name == "journal":
        storage = JournalStorage(JournalFileBackend(url))
    else:
        storage = RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True)
    study = storage.get_study_id_from_name("study")
    assert storage.get_all_trials(study) == trials
    if name == "journal":
        storage.delete_study(study)
    else:
        with pytest.raises(optuna.exceptions.StorageInternalError) as caught:
            storage.delete_study(study)
        assert re.search("read.?only", reason(caught.value))
    assert sweep.trials() == trials


def test_a_journal_that_is_none_and_a_driver_that_is_missing_are_one_line(tmp_path, monkeypatch):
    (tmp_path / "text").write_text("no\njournal\n")
    with pytest.raises(InputError, match="text: not a journal of Optuna's; name another file"):
        queue.Queue(f"journal:///{tmp_path / 'text'}", "study", {}, tmp_path)
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"--storage=postgresql://me:\*\*\*@host/db: .*psycopg.*`make postgresql`"):
        queue.Queue("postgresql://me:secret@host/db", "study", {}, tmp_path)
