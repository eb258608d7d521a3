"""A run's directory and its metrics, without a run."""

import fcntl
import json
import threading

import pytest

from data.errors import InputError
from trainers.running.directory import RunDirectory
from trainers.running.metrics_log import MetricsLog

CONFIG = "# A comment.\nnigt.beta = 0.9\nexperiment.optimizer = \\\n    @nigt()\n"


def _open(path, config=CONFIG, data="d1"):
    return RunDirectory(str(path), config, data, task="bert")


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
    other = CONFIG.replace("0.9", "0.8").replace("@nigt()", "@adam()")
    with pytest.raises(InputError, match=r"experiment.optimizer is @nigt\(\) there and @adam\(\) here \(and 1 more\)"):
        _open(tmp_path / "run", other)
    with pytest.raises(InputError, match=r"nigt.beta is 0.9 there and not set here"):
        _open(tmp_path / "run", CONFIG.replace("nigt.beta = 0.9\n", ""))
    _open(tmp_path / "run", CONFIG + "\n# Another comment.\n").close()


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
