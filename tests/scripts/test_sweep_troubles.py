"""What befalls a sweep's queue: a machine that sleeps, a clock that is set, a database that is locked or away."""

import collections
import contextlib
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from optuna.trial import TrialState

from data.errors import InputError, RunError
from scripts.sweep import database, grid, queue, workers
from scripts.sweep.training import Ended, Pace, Training, run_all
from trainers.exit_status import ExitStatus

POINTS = grid.points({"eta0": (1e-3, 1e-2)})
POINT = POINTS[0]
DONE = Ended(ExitStatus.DONE, "", 0.5)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "optuna.db"


def _queue(file, folder, points=POINTS[:1]):
    folder.mkdir(exist_ok=True)
    own = queue.Queue(f"sqlite:///{file}", "study", {"seed": 0}, folder)
    own.enqueue(points)
    return own


def _set_hearts(file, seconds):
    """As if every last beat had been so long after now; before, if negative."""
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE trial_heartbeats SET heartbeat = datetime('now', ?)", (f"{seconds} seconds",))


def _ages(file):
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return [row[0] for row in connection.execute("SELECT unixepoch() - unixepoch(heartbeat) FROM trial_heartbeats")]


@contextlib.contextmanager
def _process(code, *arguments):
    """Another process that does something, says so, and stays."""
    code = f"import fcntl, pathlib, sqlite3, sys, time\n{code}\nprint(flush=True)\ntime.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def _run_in(directory):
    """As RunDirectory locks it."""
    directory.mkdir(exist_ok=True)
    return _process("file = open(sys.argv[1], 'a+'); fcntl.flock(file, fcntl.LOCK_EX)", directory / ".lock")


def _locked(file):
    """The whole database, even for reading."""
    return _process("c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN EXCLUSIVE')", file)


def _results(own):
    """How many trials have a result, and the outcome."""
    states = [trial.state for trial in own._study.get_trials()]
    return sum(state in (TrialState.COMPLETE, TrialState.PRUNED) for state in states), str(own.outcomes()[POINT])


@pytest.mark.parametrize("seconds", [-600, -86400, 600, 86400 * 365])
def test_a_trial_that_a_worker_of_this_machine_holds_is_never_dead(file, tmp_path, seconds):
    """After a sleep or a jump of the clock, forward or back; to the same sweep, and to another process's."""
    own, other = _queue(file, tmp_path), _queue(file, tmp_path)
    with own.claim(POINTS) as claimed:
        for asked in (own, other):
            _set_hearts(file, seconds)
            assert asked.claim(POINTS) is None and asked.left(POINTS) == 1
        assert claimed.tell(DONE)
    assert other.is_finished(POINTS) and _results(other) == (1, "0.5000 on selection")


@pytest.mark.parametrize("seconds", [-600, 86400])
def test_a_trial_is_dead_once_no_process_holds_its_run_s_directory(file, tmp_path, seconds):
    """A sweep that was killed: its run still writes its checkpoint. A beat from the future keeps nothing alive."""
    own = _queue(file, tmp_path)
    training = {POINT: Training("an-arm-s0", "a.gin", (), 0, "tune")}
    own.claim(training)
    _set_hearts(file, seconds)
    with _run_in(tmp_path / "an-arm-s0"):
        assert own.claim(training) is None and not own.is_finished(training)
    assert own.claim(training) is not None


def test_a_point_whose_directory_a_run_holds_waits_and_says_so_once(file, tmp_path, capsys):
    own = _queue(file, tmp_path)
    with _run_in(tmp_path / POINT.name):
        assert own.claim(POINTS) is None and own.claim(POINTS) is None and not own.is_finished(POINTS)
        said = capsys.readouterr().out
        assert said.count("\n") == 1 and POINT.name in said and "at work there" in said
    assert own.claim(POINTS) is not None


def test_another_machine_s_trial_is_dead_by_its_heart_alone_but_not_after_a_stall(file, tmp_path, monkeypatch):
    """Another folder: its locks are not seen here. While the database stalls, no heart of any machine can beat."""
    monkeypatch.setattr(database, "LONG_SECONDS", 1.5)
    own, other = _queue(file, tmp_path / "own"), _queue(file, tmp_path / "other")
    with own.claim(POINTS):
        assert other.claim(POINTS) is None
        with _locked(file):
            asked = threading.Thread(target=other.left, args=(POINTS,))
            asked.start()
            time.sleep(2.5)
        asked.join()
        _set_hearts(file, -600)
        assert other.claim(POINTS) is None
        monkeypatch.setattr(queue, "HEARTBEAT_SECONDS", 0.5)
        time.sleep(1.5)
        assert other.claim(POINTS) is not None


def test_a_jump_of_the_database_s_clock_is_noticed(file, tmp_path):
    """By the next one who asks how old the beats are."""
    own = _queue(file, tmp_path)
    own.claim(POINTS)
    assert own._storage.patience.calm_seconds > 1e9
    own._storage._clock_ahead -= 3600
    own.claim(POINTS)
    assert own._storage.patience.calm_seconds < 60


@pytest.mark.parametrize("first_tells_first", [True, False])
@pytest.mark.parametrize("status", [ExitStatus.DONE, ExitStatus.DIVERGED])
def test_a_result_counts_once_whoever_holds_the_trial(file, tmp_path, status, first_tells_first):
    own, other = _queue(file, tmp_path / "own"), _queue(file, tmp_path / "other")
    ended = Ended(status, "", 0.5 if status == ExitStatus.DONE else None)
    with own.claim(POINTS) as first:
        _set_hearts(file, -600)
        with other.claim(POINTS) as second:
            if first_tells_first:
                assert not first.tell(ended) and own.is_finished(POINTS) and not second.tell(ended)
            else:
                assert second.tell(ended) and not first.tell(ended)
    assert _results(own) == (1, "0.5000 on selection" if status == ExitStatus.DONE else "diverged")
    assert not own.has_failed(POINTS[:1]) and own.claim(POINTS) is None


@pytest.mark.parametrize("status", [ExitStatus.FAILED, ExitStatus.INTERRUPTED, ExitStatus.DONE])
def test_a_result_that_comes_when_the_point_has_failed_for_good_or_waits_again_counts(file, tmp_path, status):
    """The second worker ends without a result, or with one; then the first, taken for dead, has one."""
    own, other = _queue(file, tmp_path / "own"), _queue(file, tmp_path / "other")
    with own.claim(POINTS) as first:
        _set_hearts(file, -600)
        with other.claim(POINTS) as second:
            assert second.tell(Ended(status, "", 0.25 if status == ExitStatus.DONE else None))
        assert not first.tell(DONE)
    assert _results(own) == (1, f"{0.25 if status == ExitStatus.DONE else 0.5:.4f} on selection")
    assert own.is_finished(POINTS) and own.claim(POINTS) is None and not own.has_failed(POINTS[:1])


@pytest.mark.parametrize("status", [ExitStatus.FAILED, ExitStatus.INTERRUPTED, ExitStatus.BAD_INPUT])
def test_a_lost_claim_without_a_result_changes_nothing(file, tmp_path, status):
    own, other = _queue(file, tmp_path / "own"), _queue(file, tmp_path / "other")
    with own.claim(POINTS) as first:
        _set_hearts(file, -600)
        with other.claim(POINTS) as second:
            assert not first.tell(Ended(status, "", None)) and not own.is_finished(POINTS)
            assert second.tell(DONE)
    assert _results(own) == (1, "0.5000 on selection")


def test_a_worker_that_is_killed_before_its_failure_is_followed_up_leaves_the_point_to_the_next(file, tmp_path):
    own = _queue(file, tmp_path)
    own._set(own.claim(POINTS)._trial_id, TrialState.FAIL)  # and no more
    assert not own.is_finished(POINTS)
    with own.claim(POINTS) as claimed:
        claimed.tell(Ended(ExitStatus.FAILED, "", None))
    assert own.claim(POINTS) is None and own.is_finished(POINTS) and own.has_failed(POINTS[:1])


def test_every_access_waits_for_a_locked_database_and_a_missed_beat_is_made_up(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(queue, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(database, "LONG_SECONDS", 4)
    own = _queue(file, tmp_path, POINTS)
    failures = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    with own.claim(POINTS[:1]) as claimed:
        accesses = {
            "open": lambda: _queue(file, tmp_path, POINTS),
            "enqueue": lambda: own.enqueue([*POINTS, *grid.points({"eta0": (1.0,)})]),
            "claim": lambda: own.claim(POINTS[1:]),
            "left": lambda: own.left(POINTS),
            "outcomes": own.outcomes,
            "has_failed": lambda: own.has_failed(POINTS),
            "tell": lambda: claimed.tell(DONE),
        }
        got = {}

        def access(name):
            got[name] = accesses[name]()

        threads = [threading.Thread(target=access, args=(name,)) for name in accesses]
        with _locked(file):
            for thread in threads:
                thread.start()
            time.sleep(8)
            assert not got
        for thread in threads:
            thread.join(30)
        assert got.keys() == accesses.keys() and got["claim"].point == POINTS[1] and got["tell"] and not failures
        time.sleep(2.5)
        assert min(_ages(file)) <= 2
    assert str(own.outcomes()[POINT]) == "0.5000 on selection" and len(own.outcomes()) == 3
    said = capsys.readouterr().out.splitlines()
    assert len([line for line in said if "is locked; trying again for 10 minutes" in line]) in (1, 2), (
        said
    )  # two queues


def test_patience_ends_in_one_line_and_what_will_not_pass_is_said_at_once(file, tmp_path, monkeypatch):
    own = _queue(file, tmp_path)
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 1)
    with _locked(file), pytest.raises(RunError) as caught:
        own.left(POINTS)
    assert "is locked" in str(caught.value) and "repeat the command" in str(caught.value)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.undo()
    begun = time.monotonic()
    file.write_text("no database, this, but a text of some length, as somebody may have put there by mistake\n" * 20)
    with pytest.raises(InputError, match="file is not a database"):
        _queue(file, tmp_path)
    assert time.monotonic() - begun < 60


class _Runner:
    """In place of Trainings: no process."""

    def __init__(self, run):
        self.run, self.is_stopped = run, threading.Event()

    def stop(self):
        self.is_stopped.set()


@pytest.mark.parametrize("error", [ValueError("unexpected"), InputError("a.csv: no selection accuracy")])
def test_a_worker_that_dies_ends_the_sweep_and_the_study_with_its_error(file, tmp_path, error):
    own = _queue(file, tmp_path, POINTS)
    trainings = {point: Training(point.name, "a.gin", (), 0, "tune") for point in POINTS}

    def run(training):
        if training == trainings[POINT]:
            raise error
        assert runner.is_stopped.wait(60)
        return Ended(ExitStatus.INTERRUPTED, "stopped", None)

    runner = _Runner(run)
    with pytest.raises(type(error), match=str(error)):
        workers.work(own, trainings, runner, 2)
    runner = _Runner(run)
    with pytest.raises(type(error), match=str(error)):
        run_all(trainings.values(), runner, 2, lambda *_: None)


def test_a_live_sweep_survives_a_sleep_and_a_lock_with_a_second_worker_that_waits(file, tmp_path, monkeypatch, capsys):
    """The whole loop of a sweep, with a run that is but a lock: it is started once, and ends with its value."""
    for name, seconds in (("HEARTBEAT_SECONDS", 1), ("GRACE_SECONDS", 3), ("POLL_SECONDS", 0.2)):
        monkeypatch.setattr(queue, name, seconds)
    own = _queue(file, tmp_path)
    started = collections.Counter()

    def run(training):
        started[training.name] += 1
        with _run_in(tmp_path / training.name):
            _set_hearts(file, -600)
            time.sleep(1.5)
            with _locked(file):
                time.sleep(8)
        return Ended(ExitStatus.DONE, "", 0.75, 60.0)

    trainings = {POINT: Training("an-arm-s0", "a.gin", (), 0, "tune")}
    assert workers.work(own, trainings, _Runner(run), 2) == ExitStatus.DONE
    assert started == {"an-arm-s0": 1} and _results(own) == (1, "0.7500 on selection")
    assert f"sweep: {POINT.name} done 0.7500 on selection; no run left" in capsys.readouterr().out


def test_what_is_left_is_told_and_no_time_before_a_run_has_finished():
    pace = Pace(2)
    assert pace.after(Ended(ExitStatus.FAILED, "", None, 5.0), 5) == "5 runs left"
    assert pace.after(Ended(ExitStatus.DONE, "", 0.5, 600.0), 4) == "4 runs left, about 20 min"
    assert pace.after(Ended(ExitStatus.DIVERGED, "", None, 60.0), 3) == "3 runs left, about 8 min"
    assert pace.after(Ended(ExitStatus.DONE, "", 0.5, 60.0), 1) == "1 run left, about 4 min"
    assert pace.after(Ended(ExitStatus.DONE, "", 0.5, 60.0), 0) == "no run left"
