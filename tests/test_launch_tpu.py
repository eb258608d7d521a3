"""The launcher against a Google Cloud on disk (tests/fake_cloud): whatever happens, nothing that it created is left, or
the user is told by name what is and how to delete it."""

import csv
import hashlib
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import threading
import time

import pytest
from absl import flags

from data.errors import InputError
from scripts import launch_tpu
from scripts.tpu import commands, machine, request

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = pathlib.Path(__file__).resolve().parent / "fake_cloud"


class Cloud:
    """The cloud of one test, and the launcher's folders."""

    def __init__(self, folder: pathlib.Path, monkeypatch):
        self.folder, self.home = folder / "cloud", folder
        for name in ("queued", "nodes", "vms", "buckets", "bin"):
            (self.folder / name).mkdir(parents=True)
        gcloud = self.folder / "bin" / "gcloud"
        gcloud.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(HERE / "gcloud.py"))} "$@"\n'
        )
        gcloud.chmod(0o755)
        lock = subprocess.run(
            ["git", "show", "HEAD:requirements/tpu_vm.txt"], cwd=ROOT, capture_output=True, check=True
        )
        (self.folder / "lock").write_text(hashlib.sha256(lock.stdout).hexdigest()[:16])
        self.python(f'exec {shlex.quote(sys.executable)} {shlex.quote(str(HERE / "training.py"))} "$@"')
        monkeypatch.setenv("PATH", f"{self.folder / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("FAKE_CLOUD", str(self.folder))
        monkeypatch.setenv("FAKE_STEPS", "40")
        monkeypatch.setenv("NIGT_SYNC_SECONDS", "0.2")
        monkeypatch.setattr("scripts.tpu.lifecycle.DELETE_TRIALS", 3)

    def python(self, script: str) -> None:
        """What the VMs' environment runs as Python."""
        (self.folder / "python").write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / "python").chmod(0o755)

    def faults(self, **faults) -> None:
        """What is to go wrong."""
        (self.folder / "faults.json").write_text(json.dumps(faults))

    def arguments(self, *more: str) -> list[str]:
        """Of a launch of bert_nigt."""
        return [
            *("--experiment=bert_nigt", "--tpu=v3-8", "--zone=europe-west4-a", "--project=my-project"),
            *("--bucket=my-bucket", "--name=run", "--max_hours=1", "--expected_hours=0.5", "--yes"),
            *("--price_per_core_hour=2", "--poll_seconds=0.1", f"--state_dir={self.home / 'launches'}"),
            *(f"--results={self.home / 'results'}", *more),
        ]

    def call(self, *argv: str) -> int:
        """The launcher in this process; its exit status."""
        values = flags.FlagValues()
        launch_tpu.define_flags(values)
        return int(launch_tpu.main(values(["launch_tpu", *argv]), values))

    def launch(self, *more: str) -> int:
        return self.call("launch", *self.arguments(*more))

    def left(self) -> list[str]:
        """What exists."""
        return sorted(path.name for kind in ("queued", "nodes", "vms") for path in (self.folder / kind).iterdir())

    def calls(self) -> list[list[str]]:
        file = self.folder / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def state(self) -> dict:
        return json.loads((self.home / "launches" / "run.json").read_text())

    def record(self) -> dict:
        """Of the run, as it came back."""
        return json.loads((self.home / "launches" / "run" / "run.json").read_text())

    def wait_for(self, what, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end
            time.sleep(0.05)

    def is_training(self) -> bool:
        return (self.folder / "vms" / "run" / "nigt" / "run" / "ckpt").exists()


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    made = Cloud(tmp_path, monkeypatch)
    yield made
    for pid in made.folder.glob("vms/*/nigt/pid"):
        try:
            os.killpg(int(pid.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            pass


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
    assert "8 cores × 2 a core-hour × 0.5 h (--expected_hours) = 8.00; at most 16.00" in output
    assert "step 40" in output and "waiting for it" in output
    bucket = cloud.folder / "buckets" / "my-bucket" / "nigt" / "run"
    assert (bucket / "ckpt").read_text() == "40" and json.loads((bucket / "run.json").read_text())["status"] == "ok"
    spot = [call for call in cloud.calls() if "create" in call and "--spot" in call]
    assert len(spot) == ("--spot" in more)


def test_the_dry_run_prints_what_a_run_does_and_does_nothing(cloud, capfd):
    assert cloud.launch("--dry_run") == 0
    printed = [shlex.split(line) for line in capfd.readouterr().out.splitlines() if not line.startswith("#")]
    assert cloud.calls() == [] and not (cloud.home / "launches").exists()
    assert cloud.launch() == 0
    calls = [call for call in cloud.calls() if call[1] == "compute"]

    def shape(call):
        # The places on this machine's disk, and how far the log was read, are not known before.
        words = [word for word in call if not word.startswith("/") and "runs/tpu" not in word and "vm.sh" != word[-5:]]
        return [word.split(" poll ")[0] if word.startswith("--command=") else word for word in words]

    done, again = [], [shape(call) for call in calls]
    for call in again:
        if not done or call != done[-1]:
            done.append(call)
    wanted = [shape(call) for call in printed]
    ready = wanted.index(shape(commands.Commands(_request()).make_folder()))
    # Between create and the first ssh it asks for the TPU and for the queued resource; the plan shows one of them.
    assert done[: ready - 1] == wanted[: ready - 1] and done[-(len(wanted) - ready) :] == wanted[ready:]


def _request(**changes):
    values = {
        "name": "run",
        "experiment": "bert_nigt",
        "bindings": (),
        "seed": 0,
        "machine": machine.load("configs/tpu/v3_8.gin", ["tpu_machine.price_per_core_hour=2.0"]),
        "zone": "europe-west4-a",
        "project": "my-project",
        "bucket": "my-bucket",
        "data": None,
        "spot": False,
        "queued": True,
        "commit": "0" * 40,
        "max_hours": 1.0,
        "max_restarts": 1,
    }
    return request.Request(**values | changes)


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
        [sys.executable, "-m", "scripts.launch_tpu", "launch", *cloud.arguments()],
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


@pytest.mark.heavy
def test_delete_asks_a_launcher_that_is_at_work(cloud, monkeypatch):
    monkeypatch.setenv("FAKE_STEPS", "3000")
    where = f"--state_dir={cloud.home / 'launches'}"
    statuses = []

    def ask():
        cloud.wait_for(cloud.is_training)
        statuses.append(
            subprocess.run(
                [sys.executable, "-m", "scripts.launch_tpu", "delete", "run", where], cwd=ROOT, capture_output=True
            ).returncode
        )

    other = threading.Thread(target=ask)
    other.start()
    assert cloud.launch() == 4
    other.join()
    assert statuses == [0] and cloud.left() == [] and cloud.record()["status"] == "interrupted"


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--zone=europe-west4", "--zone 'europe-west4'"),
        ("--zone=a; rm -rf /", "--zone"),
        ("--project=My Project", "--project"),
        ("--bucket=gs://my-bucket", "--bucket"),
        ("--name=run$(id)", "--name"),
        ("--data=gs://my-bucket/a b", "--data"),
        ("--experiment=bert_lion", "--experiment"),
        ("--tpu=v4-8", "configs/tpu/v4_8.gin: no such machine; there are v3-32, v3-8"),
        ("--tpu_param=runtime_version='tpu-vm-tf-2.16.1-pjrt'", "both have to be the same"),
        ("--tpu_param=runtime_version='tpu-vm-tf-2.20.0-pod-se'", "has no -pod"),
        ("--tpu_param=tpu_machine.api='se'", "has pjrt"),
        ("--gin_param=etta0=1", "etta0"),
        ("--gin_param=batch_size=12", "batch_size (12) cannot be shared by 8 cores"),
    ],
)
def test_bad_input_is_one_line_and_creates_nothing(cloud, flag, words, capfd):
    assert cloud.launch(flag) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("launch: ") and words in line]
    assert len(lines) == 1 and cloud.calls() == []


def test_without_a_price_or_a_yes_nothing_is_spent(cloud, capfd):
    without = [argument for argument in cloud.arguments() if "price" not in argument]
    assert cloud.call("launch", *without) == 2 and "price_per_core_hour" in capfd.readouterr().err
    without = [argument for argument in cloud.arguments() if argument != "--yes"]
    assert cloud.call("launch", *without) == 2 and "--yes" in capfd.readouterr().err
    assert cloud.calls() == []


def test_what_reaches_the_vms_shell_is_quoted():
    hostile = "nigt.beta=0.9'; touch /tmp/escaped; echo '$(id)"
    (word,) = [w for w in commands.Commands(_request(bindings=(hostile,))).start(0) if w.startswith("--command=")]
    words = shlex.split(word.removeprefix("--command="))
    assert f"--gin_param={hostile}" in words and words[:3] == ["bash", "nigt/vm.sh", "start"]


def test_a_pod_is_driven_by_its_name_and_a_host_by_local():
    pod = machine.load("configs/tpu/v3_32.gin", ["tpu_machine.price_per_core_hour=2.0"])
    assert (pod.cores, pod.is_pod, pod.api) == (32, True, "se")
    start = " ".join(commands.Commands(_request(machine=pod)).start(1))
    for setting in ("TPU_NAME=run", "TPU_LOAD_LIBRARY=0", "NIGT_PREEMPTIONS=1", "TF_USE_LEGACY_KERAS=1"):
        assert setting in start
    assert "NEXT_PLUGGABLE_DEVICE_USE_C_API" not in start
    host = " ".join(commands.Commands(_request()).start(0))
    for setting in ("TPU_NAME=local", "NEXT_PLUGGABLE_DEVICE_USE_C_API=true", "TF_PLUGGABLE_DEVICE_LIBRARY_PATH=/lib"):
        assert setting in host
    assert "--worker=0" in start and "--worker=0" in host
    with pytest.raises(InputError, match="StreamExecutor"):
        bindings = [
            "tpu_machine.api='pjrt'",
            "runtime_version='tpu-vm-tf-2.20.0-pod-pjrt'",
            "tpu_machine.price_per_core_hour=2.0",
        ]
        machine.load("configs/tpu/v3_32.gin", bindings)


def test_the_vms_lock_has_tensorflows_tpu_build_and_no_other():
    text = (ROOT / "requirements" / "tpu_vm.txt").read_text()
    packages = {line.split("==")[0]: line for line in text.splitlines() if "==" in line}
    assert "tensorflow-tpu" in packages and "tensorflow" not in packages
    own = (ROOT / "requirements" / "requirements.txt").read_text()
    for name in ("tf-models-official", "tf-keras", "gin-config"):  # as it is trained and tested here
        assert packages[name] in own
    script = (ROOT / "scripts" / "tpu" / "vm.sh").read_text()
    assert "--require-hashes --no-deps" in script


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
    assert cloud.launch("--spot", "--poll_seconds=0.5", *arguments) == 0
    taker.join()
    record = cloud.record()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    assert (record["status"], record["steps"], record["preemptions"]) == ("ok", 600, 1)
    assert (record["commit"], record["dirty"]) == (head, False)
    assert cloud.left() == [] and cloud.state()["restarts"] == 1
    with open(cloud.home / "results" / "runs.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["preemptions"] == "1" and float(row["final_value"]) > 0
