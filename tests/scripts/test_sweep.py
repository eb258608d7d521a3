"""Sweeps: the grid, the queue that workers on one or several machines share, and a sweep that is killed."""

import collections
import contextlib
import csv
import itertools
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from data.errors import InputError
from scripts.arm import Arm
from scripts.sweep import grid, queue
from scripts.sweep.training import Ended, Training, Trainings, in_threads, selection_value, stop_on_signals
from tests.conftest import ROOT
from tests.scripts.browser import Browser
from trainers import gin_files
from trainers.exit_status import ExitStatus

POINTS = grid.points({"eta0": (1e-3, 1e-2, 1e-1), "nigt.momentum_dtype": ("float32", "bfloat16")})


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def _queue(url, tmp_path, settings=None):
    return queue.Queue(url, "study", settings or {"seed": 0}, tmp_path)


def test_the_shipped_grid_is_the_paper_s():
    assert grid.load("configs/sweep/grid.gin", []) == {"eta0": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0)}


def test_points_are_the_combinations_and_their_bindings_gin():
    axes = grid.load("", ["eta0=1e-3,0.01", "nigt.momentum_dtype=bfloat16", "experiment.optimizer=@nigt()"])
    points = grid.points(axes)
    assert [point.name for point in points] == [
        f"eta0={value},momentum_dtype=bfloat16,optimizer=_nigt__" for value in ("0.001", "0.01")
    ]
    assert points[0].bindings == ["eta0=0.001", "nigt.momentum_dtype='bfloat16'", "experiment.optimizer=@nigt()"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("grid.axes = {}", "needs a macro"),
        ("grid.axes = {'eta0': ()}", "needs values"),
        ("grid.axes = {'eta0': (1, 1)}", "each once"),
        ("grid.axes = {'eta0': 1}", "grid.axes"),
        ("grid.axis = {'eta0': (1,)}", "axis"),
        ("", "grid.axes has no value"),
    ],
)
def test_a_wrong_grid_is_one_line_that_names_its_file(tmp_path, text, named):
    file = tmp_path / "grid.gin"
    file.write_text(f"import scripts.sweep.grid\n{text}\n")
    with pytest.raises(InputError) as caught:
        grid.load(str(file), [])
    assert str(file) in str(caught.value) and named in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("axis", ["eta0", "eta0=", "=1", "eta0=1,1"])
def test_a_wrong_axis_is_named(axis):
    with pytest.raises(InputError, match="SWEEP"):
        grid.load("", [axis])


def test_workers_share_the_points_and_none_is_done_twice(url, tmp_path):
    """Four workers, each with a connection of its own, as processes and machines have; two of them enqueue at once."""
    done, started = [], threading.Barrier(4)

    def work():
        own = _queue(url, tmp_path)
        started.wait()
        own.enqueue(POINTS)
        while (claimed := own.claim(POINTS)) is not None:
            with claimed:
                done.append(claimed.point)
                claimed.tell(Ended(ExitStatus.DONE, "", len(done) / 10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collections.Counter(done) == collections.Counter(POINTS)
    own = _queue(url, tmp_path)
    assert own.is_finished(POINTS) and not own.has_failed(POINTS)
    assert all(str(outcome).endswith("on selection") for outcome in own.outcomes().values())


def test_a_killed_worker_s_trial_is_run_again_once(url, tmp_path, monkeypatch):
    monkeypatch.setattr(queue, "GRACE_SECONDS", 5)  # a busy machine may need seconds for two claims
    points = POINTS[:1]
    own = _queue(url, tmp_path)
    own.enqueue(points)
    for _ in range(2):
        assert own.claim(points).point == points[0]  # its heart does not beat: it is never entered
        assert own.claim(points) is None and not own.is_finished(points)
        time.sleep(6.5)
    assert own.claim(points) is None and own.is_finished(points) and own.has_failed(points)


def test_a_run_that_fails_is_tried_once_more_and_an_interrupted_one_waits(url, tmp_path):
    own = _queue(url, tmp_path)
    own.enqueue(POINTS[:2])
    seen = []
    for status in (ExitStatus.INTERRUPTED, ExitStatus.FAILED, ExitStatus.DIVERGED, ExitStatus.FAILED):
        with own.claim(POINTS[:2]) as claimed:
            seen.append(claimed.point)
            claimed.tell(Ended(status, "", None))
    first, second = POINTS[:2]
    assert seen == [first, first, second, first]
    assert own.claim(POINTS[:2]) is None and own.has_failed(POINTS[:2]) and not own.has_failed([second])
    assert {point: str(outcome) for point, outcome in own.outcomes().items()} == {first: "failed", second: "diverged"}


def test_a_wider_grid_adds_its_points_and_another_sweep_is_refused(url, tmp_path):
    _queue(url, tmp_path).enqueue(POINTS[:2])
    own = _queue(url, tmp_path)
    own.enqueue(POINTS)
    assert set(own.outcomes()) == set(POINTS)
    with pytest.raises(InputError, match="another sweep: seed is 0 there and 1 here"):
        _queue(url, tmp_path, {"seed": 1})


def _settings(*bindings):
    """As scripts.sweep hands them over."""
    gin_files.load(str(ROOT / "configs/laptop/resnet_nigt.gin"), list(bindings))
    return {"seed": 0, "config": gin_files.operative_config()}


def test_a_setting_that_an_older_sweep_lacks_counts_as_its_default(url, tmp_path):
    older = _settings()
    older["config"] = re.sub(r"^nigt.weight_norm_floor = .*\n", "", older["config"], flags=re.M)
    assert older != _settings()
    _queue(url, tmp_path, older)
    with pytest.raises(InputError, match="another sweep: nigt.weight_norm_floor is 0.0 there and 0.5 here; name"):
        _queue(url, tmp_path, _settings("nigt.weight_norm_floor=0.5"))
    _queue(url, tmp_path, _settings())
    with pytest.raises(InputError, match="nigt.beta is 0.9 there and 0.5 here"):
        _queue(url, tmp_path, _settings("beta=0.5"))


def test_a_sweep_of_a_version_that_kept_a_digest_goes_on(url, tmp_path):
    _queue(url, tmp_path, {"seed": 0, "content of the gin file": "0123456789abcdef"})
    _queue(url, tmp_path, _settings())
    with pytest.raises(InputError, match="nigt.beta is 0.9 there and 0.5 here"):
        _queue(url, tmp_path, _settings("beta=0.5"))


def test_a_database_that_is_none_is_named_and_a_password_is_not_shown(tmp_path):
    with pytest.raises(InputError, match="--storage"):
        _queue("nonsense", tmp_path)
    with pytest.raises(InputError) as caught:
        _queue(f"sqlite:///{tmp_path / 'missing' / 'optuna.db'}", tmp_path)
    assert "correct the URL" in str(caught.value) and "\n" not in str(caught.value)
    assert "secret" not in queue.without_password("postgresql://me:secret@host/db")


def _rows(folder):
    with open(folder / "runs.csv", newline="") as file:
        return list(csv.DictReader(file))


def _at_work(folder) -> list[int]:
    """The processes whose command line names the folder."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def killed_sweep(laptop_data, tmp_path_factory):
    """SIGKILL in the middle of the first two runs, then the same command again: (its folder, it, how it ended)."""
    tmp_path = tmp_path_factory.mktemp("killed")
    bindings = {
        "resnet_classification.data_dir": repr(str(laptop_data / "images")),
        "train_steps": 40,
        "validation_interval": 20,
        "batch_size": 32,
        "experiment.steps_per_loop": 5,
        "sgd.momentum": 0.99,
        "resnet_classification.l2_weight_decay": 10.0,
        "resnet_classification.evaluation_batch_size": 500,
    }
    command = [
        *(sys.executable, "-m", "scripts.sweep", "--gin_file=configs/laptop/resnet_sgd.gin"),
        *("--axis=eta0=0.1,0.4,100.0", f"--runs={tmp_path / 'runs'}", f"--results={tmp_path / 'results'}"),
        *(f"--gin_param={name}={value}" for name, value in bindings.items()),
    ]
    sweep = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "runs").glob("*/ckpt-*.index")):
        assert sweep.poll() is None
        time.sleep(0.1)
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    limit = time.monotonic() + 60
    while _at_work(tmp_path / "runs"):
        assert time.monotonic() < limit
        time.sleep(0.2)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    return tmp_path, command, done


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_a_sweep_that_is_killed_leaves_no_run_at_work_and_goes_on(killed_sweep):
    """The same command ends with each point once, one of them diverged."""
    folder, command, done = killed_sweep
    assert done.returncode == 0, done.stderr[-1000:]
    rows = _rows(folder / "results")
    assert [(float(row["eta0"]), row["status"], row["phase"]) for row in rows] == [
        (0.1, "ok", "tune"),
        (0.4, "ok", "tune"),
        (100.0, "diverged", "tune"),
    ]
    assert sum(int(row["preemptions"]) for row in rows) >= 1
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0 and "started" not in again.stdout and _rows(folder / "results") == rows


@contextlib.contextmanager
def _served(module, *arguments):
    """The address of a server of pages, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", module, *arguments, f"--port={port}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_the_dashboard_and_tensorboard_show_each_point_and_the_dashboard_deletes_none(killed_sweep, tmp_path):
    """In a real browser: η0 against accuracy, of the runs that have one."""
    runs = killed_sweep[0] / "runs"
    values = {
        eta0: selection_value(next(runs.glob(f"*-eta0={eta0}-s0")))
        for eta0 in (0.1, 0.4)  # the third diverged
    }
    storage = f"--storage=sqlite:///{runs / 'optuna.db'}"
    with (
        _served("tensorboard.main", f"--logdir={runs}") as tensorboard,
        _served("scripts.sweep.dashboard", storage) as dashboard,
        Browser(tmp_path) as browser,
    ):
        browser.open(f"{dashboard}/dashboard/studies/1/analytics")
        graphs = "[...document.querySelectorAll('.js-plotly-plot')].flatMap(it => it.data.map(one => [one.x, one.y]))"
        browser.wait_for(lambda: [[*values], [*values.values()]] in (browser.evaluate(graphs) or []))
        assert browser.evaluate("fetch('/api/studies/1', {method: 'DELETE'}).then(answer => answer.status)") == 500
        browser.open(f"{tensorboard}/#hparams")
        # As the page rounds: η0, the optimizer, the seed, accuracy on validation (any), on selection.
        rows = [rf"{eta0:#.5g}\nsgd\n0\.0000\n[\d.]+\n{value:#.5g}"[:-1] for eta0, value in values.items()]
        browser.wait_for(lambda: all(re.search(row, browser.text()) for row in rows))
    connection = sqlite3.connect(runs / "optuna.db")
    assert connection.execute("SELECT count(*) FROM studies").fetchone() == (1,)
    connection.close()


def test_a_sweep_that_is_stopped_names_what_it_wrote_and_goes_on(laptop_data, tmp_path):
    """Before its first result and after it; into a file each event is a line, without a code of a terminal."""
    bindings = {
        "bert_pretraining.data_dir": repr(str(laptop_data / "manuals")),
        "bert_pretraining.layers": 1,
        "bert_pretraining.hidden_size": 32,
        "bert_pretraining.evaluation_limit": 64,
        "train_steps": 20,
        "experiment.steps_per_loop": 1,  # after each of which a run can be stopped
        "batch_size": 4,
    }
    command = [
        *(sys.executable, "-m", "scripts.sweep", "--gin_file=configs/laptop/bert_nigt.gin", "--axis=eta0=0.1,0.4"),
        *(f"--runs={tmp_path / 'runs'}", f"--results={tmp_path / 'results'}", "--workers=1"),
        *(f"--gin_param={name}={value}" for name, value in bindings.items()),
    ]

    def stop_after(event):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as sweep:
            lines = iter(sweep.stdout.readline, "")
            said = [*itertools.takewhile(lambda line: line != f"sweep: {event}\n", lines)]
            sweep.send_signal(signal.SIGINT)
            said += lines
        assert sweep.returncode == ExitStatus.INTERRUPTED, said
        assert all(re.fullmatch(r"sweep: [^\r\x1b]*\n", line) for line in said), said
        return said

    said = stop_after("eta0=0.1 started")
    assert said[-1] == "sweep: 2 of 2 points left; the same command goes on\n"
    assert not (tmp_path / "results").exists() and not [line for line in said if "results" in line]
    said = stop_after("eta0=0.4 started")
    assert said[-2].startswith(f"sweep: {tmp_path / 'results'}/table.md, ")
    assert said[-1] == "sweep: 1 of 2 points left; the same command goes on\n", said
    assert [(row["eta0"], row["status"]) for row in _rows(tmp_path / "results")] == [("0.1", "ok")]


def test_a_signal_that_another_thread_takes_stops_the_sweep_too():
    stopped = threading.Event()

    def work():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.wait(20)

    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # in this thread, so that the other takes it
    try:
        stop_on_signals(stopped.set)
        in_threads(work, 1, stopped.set)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        for number, handler in before:
            signal.signal(number, handler)


def test_a_run_that_is_stopped_before_it_takes_signals_has_not_failed(tmp_path):
    """Python needs a moment for that; a failure would count against the point."""
    arm = Arm("resnet_sgd", "configs/laptop/resnet_sgd.gin", ())
    runner, ended = Trainings(tmp_path / "runs", tmp_path / "results", 1, "a test"), []
    training = Training.of(arm, "run", [], 0, "tune")
    thread = threading.Thread(target=lambda: ended.append(runner.run(training)))
    thread.start()
    while not _at_work(tmp_path / "runs"):
        time.sleep(0.001)
    runner.stop()
    thread.join()
    assert ended[0].status == ExitStatus.INTERRUPTED, ended
