"""A run's directory and its metrics, without a run."""

import fcntl
import json
import re
import threading

import pytest

from data.errors import InputError
from tests.conftest import ROOT
from trainers import gin_files
from trainers.running.directory import RunDirectory
from trainers.running.metrics_log import MetricsLog

FILE = str(ROOT / "configs/laptop/bert_nigt.gin")


def _open(path, *bindings, file=FILE, data="d1"):
    experiment = gin_files.load(file, list(bindings))
    return RunDirectory(str(path), experiment, gin_files.operative_config(), data)


def test_one_process_at_a_time(tmp_path):
    first = _open(tmp_path / "run")
    with pytest.raises(InputError, match=r"another run is at work there \(process \d+"):
        _open(tmp_path / "run")
    first.close()
    _open(tmp_path / "run").close()


def test_the_holder_is_named_though_it_has_only_just_come(tmp_path):
    """Between taking the lock and writing its name there is a moment: the second one waits for the name."""
    (tmp_path / "run").mkdir()
    with open(tmp_path / "run" / ".lock", "a+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        late = threading.Timer(0.3, lambda: (holder.write("process 1 on here\n"), holder.flush()))
        late.start()
        with pytest.raises(InputError, match=r"another run is at work there \(process 1 on here\)"):
            _open(tmp_path / "run")
        late.join()


def test_the_difference_is_named_and_the_optimizer_first(tmp_path):
    _open(tmp_path / "run").close()
    adam = str(ROOT / "configs/laptop/bert_adam.gin")
    with pytest.raises(InputError, match=r"experiment.optimizer is @nigt\(\) there and @adam\(\) here \(and \d more\)"):
        _open(tmp_path / "run", file=adam)
    with pytest.raises(InputError, match=r"nigt.beta is 0.9 there and 0.8 here; choose another MODEL_DIR"):
        _open(tmp_path / "run", "beta=0.8")
    _open(tmp_path / "run", "eta0=1e-2").close()  # the file's own


@pytest.mark.parametrize(
    ("lacking", "other"), [("nigt.weight_norm_floor", 0.5), ("experiment.activations", "'bfloat16'")]
)
def test_a_setting_that_an_older_run_lacks_counts_as_its_default(lacking, other, tmp_path):
    _open(tmp_path / "run").close()
    file = tmp_path / "run" / "config.gin"
    older = re.sub(rf"^{lacking} = .*\n", "", file.read_text(), flags=re.M)
    assert older != file.read_text()
    file.write_text(older)
    with pytest.raises(InputError, match=rf"{lacking} is .* there and {other} here".replace("'", "")):
        _open(tmp_path / "run", f"{lacking}={other}")
    _open(tmp_path / "run").close()
    assert lacking in file.read_text()


def test_a_configuration_that_cannot_be_read_is_named(tmp_path):
    _open(tmp_path / "run").close()
    (tmp_path / "run" / "config.gin").write_text("nigt.gamma = 1\n")
    with pytest.raises(InputError, match=r"run/config.gin: .*gamma.*; choose another MODEL_DIR"):
        _open(tmp_path / "run")


def test_other_data_are_refused_once_there_is_a_checkpoint(tmp_path):
    directory = _open(tmp_path / "run")
    directory.begin(0)
    directory.close()
    _open(tmp_path / "run", data="d2").close()
    (tmp_path / "run" / "ckpt-5.index").touch()
    with pytest.raises(InputError, match="other data"):
        _open(tmp_path / "run", data="d2")
    _open(tmp_path / "run").close()


@pytest.mark.parametrize(("ended", "counted"), [("running", 1), ("interrupted", 1), ("failed", 0), ("diverged", 0)])
def test_a_restart_is_counted_unless_the_run_had_ended_by_itself(ended, counted, tmp_path):
    for step in (0, 3):
        directory = _open(tmp_path / "run")
        directory.begin(step)
        directory.update(ended, 3)
        directory.close()
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["preemptions"] == counted and record["steps"] == 3


def test_metrics_are_whole_and_begin_again_at_the_checkpoint(tmp_path):
    path = tmp_path / "metrics.csv"
    log = MetricsLog(path, 0, 8)
    for step in (5, 10):
        log.write(step, {"train": {"loss": 1 / step}})
        log.write(step, {"selection": {"accuracy": step / 100}, "validation": {"accuracy": 0.5}})
    whole = path.read_text()
    again = MetricsLog(path, 10, 8)
    assert path.read_text() == whole and again.has_evaluation(10) and again.best("selection", "accuracy") == 0.10
    earlier = MetricsLog(path, 5, 8)
    assert earlier.has_evaluation(5) and not earlier.has_evaluation(10)
    assert earlier.best("selection", "accuracy") == 0.05 and earlier.best("selection", "loss") is None
    assert "\n10," not in path.read_text()
    path.write_text(whole[:-3].replace("split", "spilt"))
    with pytest.raises(InputError, match="metrics.csv: not a metrics.csv"):
        MetricsLog(path, 10, 8)
