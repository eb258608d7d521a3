"""What the launcher refuses, what it asks, and the exact commands that it would run."""

import re
import shlex

import pytest

from data.errors import InputError
from scripts.tpu import commands, machine, request
from tests.conftest import ROOT


def test_the_dry_run_prints_what_a_run_does_and_does_nothing(cloud, capfd):
    assert cloud.launch("--dry_run") == 0
    printed = [shlex.split(line) for line in capfd.readouterr().out.splitlines() if not line.startswith("#")]
    assert cloud.calls() == [] and not (cloud.home / "launches").exists()
    assert cloud.launch() == 0
    calls = [call for call in cloud.calls() if call[1] == "compute"]

    def shape(call):
        # The places on this machine's disk, how far the log was read and when it began are not known before.
        words = [word for word in call if not word.startswith("/") and "runs/tpu" not in word and "vm.sh" != word[-5:]]
        words = [re.sub(r"NIGT_DELETE_AFTER=\d+", "", word) for word in words]
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
        ("--tpu=v4-8", "configs/tpu/v4_8.gin: no such gin file; there are v3-32, v3-8"),
        ("--tpu_param=runtime_version='tpu-vm-tf-2.16.1-pjrt'", "both have to be the same"),
        ("--tpu_param=runtime_version='tpu-vm-tf-2.20.0-pod-se'", "has no -pod"),
        ("--tpu_param=tpu_machine.api='se'", "has pjrt"),
        ("--gin_param=bert_pretraining.data_dir='gs://other/text'", "leave one of them out"),
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
    (word,) = [w for w in commands.Commands(_request(bindings=(hostile,))).start(0, 60.0) if w.startswith("--command=")]
    words = shlex.split(word.removeprefix("--command="))
    assert f"--gin_param={hostile}" in words and words[:3] == ["bash", "nigt/vm.sh", "start"]


def test_a_pod_is_driven_by_its_name_and_a_host_by_local():
    pod = machine.load("configs/tpu/v3_32.gin", ["tpu_machine.price_per_core_hour=2.0"])
    assert (pod.cores, pod.is_pod, pod.api) == (32, True, "se")
    start = " ".join(commands.Commands(_request(machine=pod)).start(1, 60.0))
    for setting in ("TPU_NAME=run", "TPU_LOAD_LIBRARY=0", "NIGT_PREEMPTIONS=1"):
        assert setting in start
    assert "NEXT_PLUGGABLE_DEVICE_USE_C_API" not in start
    host = " ".join(commands.Commands(_request()).start(0, 60.0))
    for setting in (
        "TPU_NAME=local",
        "NEXT_PLUGGABLE_DEVICE_USE_C_API=true",
        "TF_PLUGGABLE_DEVICE_LIBRARY_PATH=locked",
    ):
        assert setting in host
    assert "NIGT_DELETE_AFTER=1860" in host  # half an hour after max_hours
    own = "tpu_machine.worker_setup='sudo systemctl restart tpu-runtime'"
    pod = machine.load("configs/tpu/v3_32.gin", ["tpu_machine.price_per_core_hour=2.0", own])
    set_up = commands.Commands(_request(machine=pod)).set_up_workers()
    assert {"--worker=all", "--command=sudo systemctl restart tpu-runtime"} <= set(set_up)
    bare = ["runtime_version='v2-alpha-tpuv5'", "tpu_machine.price_per_core_hour=2.0"]
    assert machine.load("configs/tpu/v3_8.gin", bare).runtime_version == "v2-alpha-tpuv5"  # its name says nothing
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
