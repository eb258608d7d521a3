"""python -m scripts.exported.run: whole, stopped, killed, refused. All in an environment without TensorFlow."""

import csv
import importlib.metadata
import json
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from scripts.exported import bundle, checkpoints
from scripts.figures import collect
from tests.conftest import ROOT

STEPS, INTERVAL = 1000, 200


@pytest.fixture(scope="module")
def unbroken(small, runner, tmp_path_factory):
    """The directory of a run that nothing stopped."""
    directory = tmp_path_factory.mktemp("runs") / "unbroken"
    run = runner(small, f"--model_dir={directory}")
    assert run.wait() == 0, run.stderr.read()
    return directory


def _metrics(directory):
    with open(directory / "metrics.csv", newline="") as file:
        return [{name: value for name, value in row.items() if name != "wall_s"} for row in csv.DictReader(file)]


def _final(directory):
    return checkpoints.newest(directory, warn=pytest.fail)


def _assert_equal(first, second):
    assert first.keys() == second.keys()
    for path, value in first.items():
        np.testing.assert_array_equal(value, second[path], err_msg=path)


def test_the_environment_has_jax_numpy_and_flatbuffers_alone(jax_python):
    """So what runs there cannot need TensorFlow, gin or pydantic."""
    listing = "import importlib.metadata as m; print(*sorted(d.name.lower() for d in m.distributions()))"
    done = subprocess.run([jax_python, "-c", listing], capture_output=True, text=True, check=True)
    own = {"flatbuffers", "jax", "jaxlib", "ml_dtypes", "numpy", "opt_einsum", "scipy"}  # the last three are JAX's
    assert {name.replace("-", "_") for name in done.stdout.split()} == own
    assert importlib.metadata.version("tensorflow")  # it would have been seen


def test_a_run_logs_what_the_trainer_logs(unbroken):
    metrics = _metrics(unbroken)
    assert {row["step"] for row in metrics if row["split"] == "train"} == {str(n) for n in range(50, STEPS + 1, 50)}
    for split in ("selection", "validation", "validation_x"):
        names = {(row["step"], row["name"]) for row in metrics if row["split"] == split}
        steps = [str(n) for n in range(INTERVAL, STEPS + 1, INTERVAL)]
        assert names == {(s, n) for s in steps for n in ("loss", "masked_lm_accuracy", "lm_example_loss")}
    own = {row["name"] for row in metrics if row["split"] == "train"}
    assert own == {"loss", "masked_lm_accuracy", "lm_example_loss", "learning_rate", "skipped_steps"}
    assert all(row["value"] == "0.0" for row in metrics if row["name"] == "skipped_steps")


def test_it_learns(unbroken):
    loss = [float(row["value"]) for row in _metrics(unbroken) if (row["split"], row["name"]) == ("train", "loss")]
    assert loss[-1] < loss[0]


def test_two_checkpoints_are_kept_in_small_files(unbroken):
    assert sorted(path.name for path in unbroken.glob("ckpt-*")) == [f"ckpt-{STEPS}", f"ckpt-{STEPS - INTERVAL}"]
    assert not list(unbroken.glob(".*partial*"))
    assert all(file.stat().st_size <= 16 * 2**20 for file in unbroken.rglob("*"))


def test_the_command_that_collects_runs_takes_it_with_its_device(unbroken, tmp_path):
    (run_id,) = collect.collect([str(unbroken)], str(tmp_path / "results"), "final", "test")
    (row,) = collect.read_rows(tmp_path / "results" / "runs.csv", collect.RUN_COLUMNS)
    assert row["run_id"] == run_id and row["device"] and row["optimizer"] == "nigt" and row["status"] == "ok"
    assert row["final_value"] and "thread(s)" in row["device"]
    assert "batch_size=8" in (tmp_path / "results" / "table.md").read_text()  # the bindings are the export's


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_was_stopped_ends_with_the_same_bits(number, small, runner, unbroken, tmp_path):
    directory = tmp_path / "run"
    run = runner(small, f"--model_dir={directory}")
    while not (directory / f"ckpt-{INTERVAL}").exists():
        assert run.poll() is None, run.stderr.read()
        time.sleep(0.01)
    run.send_signal(number)
    status = run.wait()
    record = json.loads((directory / "run.json").read_text())
    if number == signal.SIGTERM:
        assert status == 4 and record["status"] == "interrupted"
        assert f"SIGTERM at step {record['steps']}; the same command goes on from there" in run.stderr.read()
    else:
        assert status == -signal.SIGKILL and record["status"] == "running"
    again = runner(small, f"--model_dir={directory}")
    assert again.wait() == 0, again.stderr.read()
    assert json.loads((directory / "run.json").read_text())["preemptions"] == 1
    _assert_equal(_final(directory), _final(unbroken))
    assert _metrics(directory) == _metrics(unbroken)


def test_seconds_end_a_run_early_with_an_evaluation(small, runner, tmp_path):
    run = runner(small, f"--model_dir={tmp_path / 'run'}", "--seconds=0.000001")
    assert run.wait() == 0, run.stderr.read()
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["status"] == "ok" and 0 < record["steps"] < STEPS
    assert {row["step"] for row in _metrics(tmp_path / "run") if row["split"] == "validation"} == {str(record["steps"])}


def _refused(run) -> str:
    assert run.wait() == 2
    (line,) = run.stderr.read().splitlines()
    return line


def test_another_bundle_is_refused(small, runner, unbroken, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(small, other)
    manifest = json.loads((other / bundle.MANIFEST).read_text())
    (other / bundle.MANIFEST).write_text(json.dumps(manifest | {"command": "another"}))
    before = _metrics(unbroken)
    line = _refused(runner(other, f"--model_dir={unbroken}"))
    assert "holds another run, not one of this bundle" in line and _metrics(unbroken) == before


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("manifest.json", "not a manifest"),
        ("state.npz.xz", "is not the file that was exported"),
        (None, "No such file or directory; name the folder that `make export` wrote"),
    ],
)
def test_a_bundle_that_is_not_whole_is_refused(name, wrong, small, runner, tmp_path):
    copy = tmp_path / "copy"
    if name:
        shutil.copytree(small, copy)
        (copy / name).write_bytes((copy / name).read_bytes()[:-3] + b"xyz")
    line = _refused(runner(copy, f"--model_dir={tmp_path / 'run'}"))
    assert wrong in line and str(copy) in line and not (tmp_path / "run").exists()


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_a_device_that_is_not_there_is_one_line(platform, small, jax_python, jax_environment, tmp_path):
    command = [jax_python, "-m", "scripts.exported.run", small, f"--model_dir={tmp_path / 'run'}"]
    environment = jax_environment | {"JAX_PLATFORMS": platform}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "JAX finds no device" in line and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flag", "wrong"), [("--seconds=-1", "--seconds=-1: has to be"), ("--model-dir=x", "--model-")]
)
def test_a_slip_is_one_line(flag, wrong, small, runner):
    assert wrong in _refused(runner(small, flag))
