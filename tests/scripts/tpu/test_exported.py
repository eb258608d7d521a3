"""An exported run on the cloud on disk: the real bundle and JAX's real steps, on machines whose TPU is a CPU."""

import csv
import shlex

import pytest

from scripts.exported.bundle import Bundle


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_an_exported_run_is_taken_back_and_goes_on_without_tensorflow(cloud, small, jax_python, capfd):
    cloud.lock("tpu_exported.txt")
    # The launcher asks for a TPU and nothing else; these machines have none.
    cloud.python(f'[ "$JAX_PLATFORMS" = tpu ] || exit 9\nJAX_PLATFORMS=cpu exec {shlex.quote(str(jax_python))} "$@"')
    cloud.faults(preempt=[3])
    assert cloud.call("launch", f"--exported={small}", *cloud.common()) == 0, capfd.readouterr().err
    assert cloud.left() == [] and cloud.state()["phase"] == "deleted" and cloud.state()["restarts"] == 1
    record, bundle = cloud.record(), Bundle(small)
    assert (record["status"], record["steps"], record["preemptions"]) == ("ok", 1000, 1)
    assert record["bundle"] == bundle.digest and record["commit"] == bundle.manifest["commit"]
    assert "jax" in record["versions"] and "tensorflow" not in record["versions"]
    with open(cloud.home / "launches" / "run" / "metrics.csv", newline="") as file:
        steps = [
            int(row["step"]) for row in csv.DictReader(file) if row["split"] == "validation" and row["name"] == "loss"
        ]
    assert steps == [200, 400, 600, 800, 1000]
    with open(cloud.home / "results" / "runs.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["optimizer"] == "nigt" and "requirements/tpu_exported.txt" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--experiment=bert_nigt",), "--exported and --experiment: leave one of them out"),
        (("--data=gs://my-bucket/text",), "--exported and --data"),
        (("--seed=1",), "--exported and --seed"),
        (("--gin_param=eta0=1",), "--exported and --gin_param"),
        ((), "name the folder that `make export` wrote"),
    ],
)
def test_what_a_bundle_has_itself_is_refused(cloud, tmp_path, more, words, capfd):
    assert cloud.call("launch", f"--exported={tmp_path}", *cloud.common(), *more) == 2
    assert words in " ".join(capfd.readouterr().err.split()) and cloud.calls() == []


def test_a_pod_and_a_sweep_are_refused_and_the_plan_is_shown(cloud, small, capfd):
    exported = f"--exported={small}"
    assert cloud.call("launch", exported, *cloud.common(), "--tpu=v3-32") == 2
    assert "it trains on one core; take v3-8" in capfd.readouterr().err
    assert cloud.call("sweep", exported, *cloud.common()) == 2
    assert "launch each" in capfd.readouterr().err
    assert cloud.call("launch", exported, *(one for one in cloud.common() if "--name" not in one), "--dry_run") == 0
    plan = capfd.readouterr().out
    assert "exported-small-v3-8" in plan and "bundle.tar" in plan and "scripts.exported.run ../bundle" in plan
    assert "tpu_exported.txt" in plan and "JAX_PLATFORMS=tpu" in plan and "trainers.train" not in plan
