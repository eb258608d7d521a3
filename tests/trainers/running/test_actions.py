"""What a run shows while it goes."""

import io
import logging
import math
import re
import sys

import absl.logging
import pytest
import tensorflow as tf

from trainers.running import actions
from trainers.running import log as run_log
from trainers.running.metrics_log import MetricsLog


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def _watch(tmp_path, step):
    log = MetricsLog(tmp_path / "metrics.csv", start_step=0, batch_size=8)
    return actions.Watch(step, start_step=0, train_steps=100, metric="accuracy", log=log)


def _output(loss=1.25):
    return {"training_loss": tf.constant(loss), "accuracy": tf.constant(0.5)}


@pytest.fixture
def logs(tmp_path):
    """Starts the run's log and takes its handlers off again."""
    logger, handler = absl.logging.get_absl_logger(), absl.logging.get_absl_handler()
    before = list(logger.handlers)
    yield tmp_path
    for added in [h for h in logger.handlers if h not in before]:
        logger.removeHandler(added)
        added.close()
    handler.filters.clear()


def test_on_a_terminal_a_bar_and_in_the_file_lines(logs, monkeypatch):
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    run_log.start(str(logs))
    step = tf.Variable(10, dtype=tf.int64)
    watch = _watch(logs, step)
    watch(_output())
    step.assign(20)
    watch(_output(1.0))
    watch.close()
    shown = terminal.getvalue()
    assert (
        "20/100" in shown and "loss=1.000" in shown and "accuracy=0.500" in shown and re.search(r"step/s|s/step", shown)
    )
    lines = (logs / "train.log").read_text().splitlines()
    assert len(lines) == 2 and re.search(
        r"step 20/100  loss 1.0000  accuracy 0.5000  .* steps/s  \d+:\d\d left", lines[1]
    )


def test_a_loss_that_is_not_finite_is_divergence(tmp_path):
    watch = _watch(tmp_path, tf.Variable(5, dtype=tf.int64))
    for loss in (math.nan, math.inf):
        with pytest.raises(actions.Diverged, match="at step 5"):
            watch(_output(loss))
    watch.close()


def test_the_libraries_below_are_silent(logs):
    run_log.start(str(logs))
    logger = logging.getLogger("absl")
    logger.handle(logger.makeRecord("absl", logging.INFO, "/elsewhere/official/core.py", 1, "chatter", (), None))
    logger.handle(logger.makeRecord("absl", logging.ERROR, "/elsewhere/official/core.py", 1, "trouble", (), None))
    assert "chatter" not in (logs / "train.log").read_text() and "trouble" in (logs / "train.log").read_text()
