"""One macro chooses where a run computes; three processes train as one does, also when one of them is lost."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from official.core import task_factory

from data import manifest
from data.errors import InputError
from scripts.soak import forked
from tests.conftest import ROOT
from trainers import gin_files
from trainers.running import strategies


@pytest.fixture(scope="module")
def text_in_one_file(laptop_data, tmp_path_factory):
    """The laptop text with one file to train on: several hosts then share its records, not the files, and a global
    batch has the records that one process would read."""
    folder = tmp_path_factory.mktemp("one") / "manuals"
    folder.mkdir()
    shards = sorted((laptop_data / "manuals").glob("train-*"))
    with open(folder / "train-00000-of-00001.tfrecord", "wb") as whole:
        whole.writelines(shard.read_bytes() for shard in shards[:1])
    for split in ("selection", "validation"):
        for shard in (laptop_data / "manuals").glob(f"{split}-*"):
            shutil.copy(shard, folder)
    whole = manifest.require(laptop_data, "manuals")
    fields = {name: whole[name] for name in ("options", "vocabulary")}
    manifest.write(folder, "manuals", [file.name for file in folder.iterdir()], fields)
    return folder.parent


def _ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _command(directory, data, **bindings):
    settings = {"bert_pretraining__dropout": 0.0, "train_steps": 12, "validation_interval": 6}
    settings |= {"experiment__steps_per_loop": 3, "experiment__checkpoint_interval": 6}
    settings |= {"batch_size": 12, "bert_pretraining__evaluation_batch_size": 96}  # what three can share
    arguments = forked.arguments("bert_nigt", directory, data, **(settings | bindings))[1:]
    return [sys.executable, "-m", "trainers.train", *arguments]


def _start(command, directory, hosts, index):
    """One of the processes of a run that are a cluster on this machine."""
    task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
    with open(directory.with_name(f"{directory.name}-{index}.txt"), "ab") as output:
        return subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"TF_CONFIG": json.dumps(task)}, stdout=output, stderr=output
        )


def _output(directory):
    return "\n".join(path.read_text()[-3000:] for path in directory.parent.glob(f"{directory.name}-*.txt"))


def _values(directory):
    with open(directory / "metrics.csv", newline="") as file:
        return {(row["step"], row["split"], row["name"]): float(row["value"]) for row in csv.DictReader(file)}


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_three_processes_of_which_one_is_killed_train_the_laptop_bert_to_the_losses_of_one(
    request, text_in_one_file, tmp_path
):
    """MultiWorkerMirroredStrategy on three ports of this machine, the same global batch, no dropout. Each worker's
    command is repeated when it has ended: of the killed one, and then of those that end because it is gone."""
    one, three = tmp_path / "one", tmp_path / "three"
    alone = subprocess.run(_command(one, text_in_one_file), cwd=ROOT, capture_output=True, text=True)
    assert alone.returncode == 0, alone.stderr
    command = _command(three, text_in_one_file, strategy="'multi_worker_mirrored'")
    hosts = [f"127.0.0.1:{port}" for port in _ports(3)]
    processes = [_start(command, three, hosts, index) for index in range(3)]
    request.addfinalizer(lambda: [process.kill() for process in processes])
    # Named there once it is whole; killed while its index is written, it would rightly be set aside as damaged.
    while not ((three / "checkpoint").exists() and "ckpt-6" in (three / "checkpoint").read_text()):
        assert all(process.poll() is None for process in processes), _output(three)
        time.sleep(0.05)
    processes[1].kill()
    failures = [[], [], []]
    while any(process.poll() != 0 for process in processes):
        for index, process in enumerate(processes):
            if process.poll():
                failures[index].append(process.returncode)
                assert len(failures[index]) < 4, _output(three)
                processes[index] = _start(command, three, hosts, index)
        time.sleep(0.05)
    assert failures[1][0] == -signal.SIGKILL and {*failures[0], *failures[2], *failures[1][1:]} == {1}, failures
    assert _output(three).count("resuming from step 6") >= 3
    expected, found = _values(one), _values(three)
    assert expected.keys() == found.keys() and len(expected) > 20
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=2e-4, abs=1e-6), key
    record = json.loads((three / "run.json").read_text())
    assert (record["status"], record["steps"]) == ("ok", 12)
    assert record["strategy"] == "multi_worker_mirrored"
    assert {path.name for path in three.iterdir()} == {path.name for path in one.iterdir()}
    variables = [_variables(directory) for directory in (one, three)]
    assert variables[0].keys() == variables[1].keys() and len(variables[0]) > 20
    for name, value in variables[0].items():
        np.testing.assert_allclose(variables[1][name], value, rtol=1e-3, atol=2e-5, err_msg=name)


def _variables(directory):
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(directory)))
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith(("encoder/", "masked_lm/"))]
    return {name: reader.get_tensor(name) for name in names if name.endswith("VARIABLE_VALUE")}


@pytest.mark.parametrize("task", ["bert", "resnet"])
@pytest.mark.parametrize("name", ["one_device", "mirrored", "multi_worker_mirrored", "tpu"])
def test_one_macro_chooses_the_strategy(task, name):
    for scale in ("paper", "laptop"):
        config = gin_files.load(f"configs/{scale}/{task}_nigt.gin", [f"strategy = '{name}'"]).config
        assert config.runtime.distribution_strategy == name
        if name != "one_device":
            with pytest.raises(InputError, match=f"compile = True goes with strategy = 'one_device', not '{name}'"):
                gin_files.load(
                    f"configs/{scale}/{task}_nigt.gin", [f"strategy = '{name}'", "experiment.compile = True"]
                )
    with pytest.raises(InputError, match="experiment"):
        gin_files.load(f"configs/laptop/{task}_nigt.gin", ["strategy = 'parameter_server'"])


def test_strategies_are_built(monkeypatch):
    """The tests' machine has two CPU devices (conftest.py)."""
    one, two = strategies.build("one_device"), strategies.build("mirrored")
    assert isinstance(one, tf.distribute.OneDeviceStrategy) and one.num_replicas_in_sync == 1
    assert isinstance(two, tf.distribute.MirroredStrategy) and two.num_replicas_in_sync == 2
    assert strategies.agree(two, 7) == 7
    strategies.require_even_shares(two, {"batch_size": 6})
    with pytest.raises(InputError, match="batch_size is 5, which 2 replicas cannot share; make it a multiple of 2"):
        strategies.require_even_shares(two, {"batch_size": 5})
    with pytest.raises(InputError, match=r"strategy = 'tpu': no TPU to be had \(.*\); run on a TPU VM"):
        strategies.build("tpu", "no-such-tpu")


@pytest.mark.parametrize(
    "value",
    [
        None,
        "{",
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "chief", "index": 0}}',
    ],
)
def test_a_missing_or_unfit_tf_config_is_shown(value, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if value:
        monkeypatch.setenv("TF_CONFIG", value)
    with pytest.raises(InputError, match=r"TF_CONFIG is (not set|\{.*): multi_worker_mirrored needs"):
        strategies.task_index()
    cluster = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    assert strategies.task_index() == 1


def test_with_bfloat16_activations_the_optimizer_s_math_is_float32(laptop_data):
    """Gradients, variables and momentum are float32, and the step is, to the bit, that of an optimizer that never heard
    of bfloat16 on the same gradients."""
    policy = tf.keras.mixed_precision.global_policy()
    bindings = [f"bert_pretraining.data_dir = '{laptop_data / 'manuals'}'", "experiment.activations = 'bfloat16'"]
    config = gin_files.load("configs/laptop/bert_nigt.gin", [*bindings, "batch_size = 4"]).config
    tf.keras.mixed_precision.set_global_policy(f"mixed_{config.runtime.mixed_precision_dtype}")
    try:
        task = task_factory.get_task(config.task)
        model = task.build_model()
        optimizer = task.create_optimizer(config.trainer.optimizer_config, config.runtime)
        batch = next(iter(task.build_inputs(config.task.train_data)))
        assert model(batch)["mlm_logits"].dtype == tf.bfloat16
    finally:
        tf.keras.mixed_precision.set_global_policy(policy)
    twin = task.create_optimizer(config.trainer.optimizer_config, config.runtime)
    twins = [tf.Variable(v.read_value(), name=v.name.removesuffix(":0")) for v in model.trainable_variables]
    assert {v.dtype for v in twins} == {tf.float32}
    taken, apply = [], optimizer.apply_gradients
    optimizer.apply_gradients = lambda pairs: (taken.append(pairs), apply(pairs))[1]
    for _ in range(2):
        task.train_step(batch, model, optimizer, task.build_metrics())
    for pairs in taken:
        gradients = [gradient for gradient, _ in pairs]
        assert {tf.convert_to_tensor(g).dtype for g in gradients if g is not None} == {tf.float32}
        twin.apply_gradients(list(zip(gradients, twins, strict=True)))
    assert {v.dtype for v in optimizer.variables if v.dtype.is_floating} == {tf.float32}
    for variable, other in zip(model.trainable_variables, twins, strict=True):
        np.testing.assert_array_equal(variable.read_value(), other, err_msg=other.name)
