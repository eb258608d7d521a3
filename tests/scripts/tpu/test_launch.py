"""The launcher against a Google Cloud on disk (fake_cloud): whatever happens, nothing that it created is left, or
the user is told by name what is and how to delete it."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import threading

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("more", [(), pytest.param(("--noqueued", "--spot"), marks=pytest.mark.heavy)])
def test_a_run_comes_back_and_the_tpu_is_gone(cloud, more, capfd):
    cloud.faults(waiting=2)
    assert cloud.launch("--gin_param=eta0=0.002", "--seed=3", *more) == 0
    assert cloud.left() == [] and cloud.state()["phase"] == "deleted"
    record = cloud.record()
    assert (record["status"], record["steps"], record["preemptions"], record["eta0"]) == ("ok", 40, 0, 0.002)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    assert record["device"] == "TPU local" and cloud.state()["request"]["commit"] == head
    with open(cloud.home / "results" / "runs.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["eta0"], row["seed"], row["phase"], float(row["final_value"])) == ("0.002", "3", "final", 1.0)
    output = capfd.readouterr().out
    assert "8 cores × 2 USD a core-hour × 0.5 h (--expected_hours) = 8.00 USD; at most 16.00 USD" in output
    assert "step 40" in output and "waiting for it" in output
    assert "launch: nothing is left at Google, the run ended with status 0\n" in output
    bucket = cloud.folder / "buckets" / "my-bucket" / "nigt" / "run"
    assert (bucket / "ckpt").read_text() == "40" and json.loads((bucket / "run.json").read_text())["status"] == "ok"
    spot = [call for call in cloud.calls() if "create" in call and "--spot" in call]
    assert len(spot) == ("--spot" in more)


def test_a_refused_quota_leaves_nothing(cloud, capfd):
    cloud.faults(quota=True)
    assert cloud.launch() == 1
    assert cloud.left() == [] and "Quota limit" in capfd.readouterr().err
    assert cloud.state()["phase"] == "deleted"


@pytest.mark.parametrize("more", [(), pytest.param(("--noqueued",), marks=pytest.mark.heavy)])
def test_after_preemptions_the_run_goes_on_and_they_are_counted(cloud, more, monkeypatch):
    monkeypatch.setenv("FAKE_STEPS", "150")
    cloud.faults(preempt=[2, 5])
    assert cloud.launch("--spot", *more) == 0
    assert cloud.left() == []
    record = cloud.record()
    assert (record["status"], record["steps"], record["preemptions"]) == ("ok", 150, 2)
    assert cloud.state()["restarts"] == 2
    rows = list(csv.DictReader((cloud.home / "launches" / "run" / "metrics.csv").open()))
    steps = [int(row["step"]) for row in rows if row["split"] == "validation"]
    assert steps == list(range(1, 151))  # each once, none missing, across three TPUs
    starts = (cloud.home / "launches" / "run" / "out.log").read_text()
    assert "starts at step 0" not in starts  # the last TPU went on from the bucket


@pytest.mark.heavy
def test_a_machine_that_is_started_anew_goes_on_from_its_own_disk(cloud, monkeypatch):
    monkeypatch.setenv("FAKE_STEPS", "150")
    cloud.faults(reboot=[4])
    assert cloud.launch() == 0
    assert cloud.left() == [] and (cloud.record()["status"], cloud.record()["preemptions"]) == ("ok", 1)
    assert len([call for call in cloud.calls() if "create" in call]) == 1


@pytest.mark.heavy
def test_a_gcloud_that_breaks_does_not_hide_what_is_left(cloud, capfd, monkeypatch):
    monkeypatch.setenv("FAKE_STEPS", "3000")

    def spoil():
        cloud.wait_for(cloud.is_training)
        (cloud.folder / "bin" / "gcloud").write_text("#!/bin/sh\nexit 127\n")
        os.kill(os.getpid(), signal.SIGTERM)

    spoiler = threading.Thread(target=spoil)
    spoiler.start()
    assert cloud.launch() == 1
    spoiler.join()
    assert "LEFT AT GOOGLE" in capfd.readouterr().err and cloud.state()["phase"] == "left"


@pytest.mark.heavy
def test_restarts_have_an_end(cloud, capfd, monkeypatch):
    monkeypatch.setenv("FAKE_STEPS", "150")
    cloud.faults(preempt=[2, 3, 4, 5, 6])
    assert cloud.launch("--max_restarts=1") == 1
    assert cloud.left() == [] and "--max_restarts=1 are used up" in capfd.readouterr().err
    assert cloud.state()["restarts"] == 1


@pytest.mark.heavy
@pytest.mark.parametrize("fault", ["lose", "lose_answer"])
def test_lost_connections_do_not_stop_the_run(cloud, fault):
    cloud.faults(**{fault: [1, 3, 5, 6, 8, 9, 10]})
    assert cloud.launch() == 0
    assert cloud.left() == [] and cloud.record()["steps"] == 40 and cloud.record()["preemptions"] == 0
    starts = (cloud.home / "launches" / "run" / "out.log").read_text().count("starts at step")
    assert starts == 1  # `start`, repeated because its answer was lost, did not start twice


@pytest.mark.heavy
def test_a_delete_that_fails_is_tried_again(cloud):
    cloud.faults(delete=2)
    assert cloud.launch() == 0 and cloud.left() == []


def test_what_cannot_be_deleted_is_named_with_the_command_that_does_it(cloud, capfd):
    cloud.faults(delete=-1)
    assert cloud.launch() == 1
    assert cloud.state()["phase"] == "left"
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "LEFT AT GOOGLE" in line]
    assert "run in europe-west4-a of project my-project" in line
    cloud.faults()
    command = line.split("Delete it: ")[1].split(";")[0]
    assert subprocess.run(shlex.split(command)).returncode == 0  # the very command that the user is told
    assert cloud.left() == []


@pytest.mark.heavy
def test_delete_from_another_terminal(cloud, capfd):
    cloud.faults(delete=-1)
    assert cloud.launch() == 1 and cloud.left()
    cloud.faults()
    where = f"--state_dir={cloud.home / 'launches'}"
    assert cloud.call("status", where) == 0
    assert "run: left" in capfd.readouterr().out
    assert cloud.call("delete", "run", where, "--poll_seconds=0.1") == 0
    assert cloud.left() == [] and cloud.state()["phase"] == "deleted"
    assert cloud.call("delete", "run", where) == 0 and "nothing of it is at Google" in capfd.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.heavy)])
def test_a_signal_saves_the_run_and_deletes_the_tpu(cloud, number, monkeypatch):
    monkeypatch.setenv("FAKE_STEPS", "3000")
    sender = threading.Thread(target=lambda: (cloud.wait_for(cloud.is_training), os.kill(os.getpid(), number)))
    sender.start()
    assert cloud.launch() == 4
    sender.join()
    assert cloud.left() == [] and cloud.record()["status"] == "interrupted"
    steps = cloud.record()["steps"]
    bucket = cloud.folder / "buckets" / "my-bucket" / "nigt" / "run"
    assert 0 < int((bucket / "ckpt").read_text()) == steps
    monkeypatch.setenv("FAKE_STEPS", str(steps + 5))
    assert cloud.launch() == 0  # the same command goes on
    assert cloud.record()["steps"] == steps + 5 and cloud.left() == []


@pytest.mark.heavy
def test_a_signal_while_the_tpu_is_being_created_deletes_it(cloud):
    cloud.faults(waiting=10000)
    sender = threading.Thread(
        target=lambda: (cloud.wait_for(lambda: len(cloud.calls()) > 6), os.kill(os.getpid(), signal.SIGINT))
    )
    sender.start()
    assert cloud.launch() == 4
    sender.join()
    assert cloud.left() == []


@pytest.mark.heavy
def test_max_hours_ends_the_run_in_order(cloud, monkeypatch, capfd):
    monkeypatch.setenv("FAKE_STEPS", "3000")
    assert cloud.launch(f"--max_hours={6 / 3600}") == 4
    assert cloud.left() == [] and "--max_hours=0.00166667 are over" in capfd.readouterr().out


@pytest.mark.heavy
def test_a_slow_cloud(cloud):
    cloud.faults(slow=0.3, waiting=2)
    assert cloud.launch() == 0 and cloud.left() == []


@pytest.mark.heavy
@pytest.mark.parametrize(("status", "expected"), [(3, 3), (1, 1), (2, 2)])
def test_the_trainings_exit_status_is_the_launchers(cloud, status, expected, monkeypatch):
    monkeypatch.setenv("FAKE_STATUS", str(status))
    monkeypatch.setenv("FAKE_STEPS", "3")
    assert cloud.launch() == expected
    assert cloud.left() == [] and (cloud.home / "results").exists() == (status == 3)


def test_somebody_elses_tpu_of_that_name_is_left_alone(cloud, capfd):
    (cloud.folder / "nodes" / "run").write_text("READY")
    assert cloud.launch() == 1
    assert cloud.left() == ["run"] and "exists already" in capfd.readouterr().err
    assert not any("delete" in call for call in cloud.calls())


def test_nothing_is_created_where_nobody_is_logged_in(cloud, capfd):
    cloud.faults(describe=True)
    assert cloud.launch() == 1
    assert "nothing was created" in capfd.readouterr().err and not any("create" in call for call in cloud.calls())


@pytest.mark.heavy
def test_a_launcher_that_was_killed_is_taken_over(cloud, monkeypatch):
    monkeypatch.setenv("FAKE_STEPS", "300")
    launcher = subprocess.Popen(
        [sys.executable, "-m", "scripts.tpu", "launch", *cloud.arguments("--phase=tune")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    where = [f"--state_dir={cloud.home / 'launches'}", "--poll_seconds=0.1", f"--results={cloud.home / 'results'}"]
    try:
        cloud.wait_for(lambda: cloud.is_training() and cloud.state()["phase"] == "running")
        assert cloud.call("attach", "run", *where) == 2  # while it lives
    finally:
        launcher.kill()
        launcher.wait()
    assert cloud.call("logs", "run", *where) == 0
    assert cloud.launch() == 2  # the same command does not make a second one
    assert cloud.call("attach", "run", *where) == 0
    assert cloud.record()["steps"] == 300 and cloud.left() == []
    with open(cloud.home / "results" / "runs.csv", newline="") as file:
        assert [row["phase"] for row in csv.DictReader(file)] == ["tune"]  # as it was launched


@pytest.mark.heavy
def test_delete_asks_a_launcher_that_is_at_work(cloud, monkeypatch):
    monkeypatch.setenv("FAKE_STEPS", "3000")
    where = f"--state_dir={cloud.home / 'launches'}"
    statuses = []

    def ask():
        cloud.wait_for(cloud.is_training)
        statuses.append(
            subprocess.run(
                [sys.executable, "-m", "scripts.tpu", "delete", "run", where], cwd=ROOT, capture_output=True
            ).returncode
        )

    other = threading.Thread(target=ask)
    other.start()
    assert cloud.launch() == 4
    other.join()
    assert statuses == [0] and cloud.left() == [] and cloud.record()["status"] == "interrupted"


@pytest.mark.parametrize("parallel", [pytest.param(1, marks=pytest.mark.heavy), 3])
def test_a_sweep_has_a_tpu_a_point_and_the_same_files_as_on_a_laptop(cloud, parallel, monkeypatch, tmp_path):
    monkeypatch.setenv("FAKE_STEPS", "3")
    grid = tmp_path / "grid.gin"
    grid.write_text("import scripts.sweep.grid\ngrid.axes = {'eta0': (1e-3, 1e-2, 1.0)}\n")
    arguments = [
        a for a in cloud.arguments(f"--grid={grid}", f"--parallel={parallel}", "--phase=tune") if "name" not in a
    ]
    assert cloud.call("sweep", *arguments) == 0
    assert cloud.left() == []
    with open(cloud.home / "results" / "runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(float(row["eta0"]) for row in rows) == [0.001, 0.01, 1.0]
    assert {row["phase"] for row in rows} == {"tune"} and (cloud.home / "results" / "curves.csv").exists()
    creations = [call for call in cloud.calls() if "create" in call]
    assert len(creations) == 3
    assert cloud.call("sweep", *arguments) == 0  # what is done is not done again
    assert [call for call in cloud.calls() if "create" in call] == creations


@pytest.mark.heavy
@pytest.mark.timeout(400)
def test_the_real_training_goes_on_after_a_preemption(cloud, laptop_data):
    """The paper's gin file, shrunk by bindings, trained by the real trainers from the clone that was copied."""
    # This cloud's machines have no TPU, and no libtpu.so that TensorFlow could be told of.
    without = "unset TF_PLUGGABLE_DEVICE_LIBRARY_PATH NEXT_PLUGGABLE_DEVICE_USE_C_API"
    cloud.python(f'{without}; exec {shlex.quote(sys.executable)} "$@"')
    small = [
        "experiment.strategy='one_device'",
        "experiment.activations='float32'",
        f"bert_pretraining.data_dir='{laptop_data / 'text'}'",
        *("bert_pretraining.vocabulary_size=4096", "bert_pretraining.sequence_length=128"),
        *("bert_pretraining.max_predictions=20", "bert_pretraining.layers=1", "bert_pretraining.hidden_size=32"),
        *("bert_pretraining.attention_heads=4", "bert_pretraining.intermediate_size=32"),
        *("bert_pretraining.evaluation_limit=64", "bert_pretraining.evaluation_batch_size=64", "batch_size=8"),
        *("train_steps=600", "validation_interval=200", "experiment.checkpoint_interval=20"),
        *("experiment.steps_per_loop=20", "warmup_polynomial_decay.warmup_steps=5"),
    ]

    def take_back():
        run = cloud.folder / "vms" / "run" / "nigt" / "run"
        bucket = cloud.folder / "buckets" / "my-bucket" / "nigt" / "run"
        cloud.wait_for(lambda: run.exists() and list(bucket.glob("ckpt-*.index")), 200)
        polls = int((cloud.folder / "count-polls").read_text())
        cloud.faults(preempt=[polls + 2])

    taker = threading.Thread(target=take_back, daemon=True)
    taker.start()
    arguments = [f"--gin_param={binding}" for binding in small]
    own = [a for a in cloud.arguments("--spot", "--poll_seconds=0.5", *arguments) if not a.startswith("--data=")]
    assert cloud.call("launch", *own) == 0
    taker.join()
    record = cloud.record()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    assert (record["status"], record["steps"], record["preemptions"]) == ("ok", 600, 1)
    assert (record["commit"], record["dirty"]) == (head, False)
    assert cloud.left() == [] and cloud.state()["restarts"] == 1
    with open(cloud.home / "results" / "runs.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["preemptions"] == "1" and float(row["final_value"]) > 0
