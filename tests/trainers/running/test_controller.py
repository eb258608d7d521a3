"""Loops, evaluations and checkpoints fall on the same steps wherever a run starts, and no checkpoint holds a NaN."""

import math

import orbit
import pytest
import tensorflow as tf

from trainers.running.actions import Diverged
from trainers.running.controller import Controller
from trainers.running.metrics_log import MetricsLog

INTERVAL, LOOP, STEPS = 20, 8, 50


class _Counting(orbit.StandardTrainer, orbit.StandardEvaluator):
    """Trains one variable by adding 1 a step; it is NaN from a step on."""

    def __init__(self, nan_from):
        self.value = tf.Variable(0.0)
        self.global_step = orbit.utils.create_global_step()
        self._nan_from, self.evaluated = nan_from, []
        orbit.StandardTrainer.__init__(self, tf.data.Dataset.range(1).repeat())
        orbit.StandardEvaluator.__init__(self, tf.data.Dataset.range(1))

    def train_step(self, iterator):
        next(iterator)
        self.global_step.assign_add(1)
        nan = self.global_step >= self._nan_from
        self.value.assign(tf.where(nan, math.nan, self.value + 1.0))

    def eval_step(self, iterator):
        next(iterator)

    def eval_end(self, *args):
        self.evaluated.append(int(self.global_step))

    def all_finite(self):
        return tf.math.is_finite(self.value)


def _controller(folder, nan_from=10**6, start=0):
    trainer, loops, saved = _Counting(nan_from), [], []
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(value=trainer.value, global_step=trainer.global_step),
        str(folder),
        max_to_keep=2,
        step_counter=trainer.global_step,
        checkpoint_interval=15,
    )
    trainer.global_step.assign(start)
    controller = Controller(
        trainer=trainer,
        evaluator=trainer,
        global_step=trainer.global_step,
        steps_per_loop=LOOP,
        checkpoint_manager=manager,
        train_actions=[lambda output: loops.append(int(trainer.global_step))],
        log=MetricsLog(folder / "metrics.csv", start, 1),
        validation_interval=INTERVAL,
        saved=saved.append,
    )
    return controller, trainer, loops, saved


@pytest.mark.parametrize("start", [0, 3, 8, 19, 21, 37, 49])
def test_the_steps_do_not_depend_on_the_start(start, tmp_path):
    controller, trainer, loops, saved = _controller(tmp_path, start=start)
    controller.train_and_evaluate(STEPS)
    assert loops == [step for step in (8, 16, 20, 28, 36, 40, 48, 50) if step > start]
    assert trainer.evaluated == [step for step in (20, 40, 50) if step > start]
    # The first end of a loop after each multiple of 15, and the end.
    assert saved == [step for step in (16, 36, 48, 50) if step // 15 > start // 15 or step == 50]


def test_a_run_that_goes_on_has_its_variables_and_writes_no_step_twice(tmp_path):
    first, _, _, saved = _controller(tmp_path)
    first.train_and_evaluate(STEPS)
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("ckpt-*")}
    again, trainer, loops, saved = _controller(tmp_path)
    assert (float(trainer.value), int(trainer.global_step)) == (50.0, 50)
    again.train_and_evaluate(STEPS)
    assert not loops and not saved
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("ckpt-*")} == before


def test_a_variable_that_is_not_finite_is_divergence_and_not_saved(tmp_path):
    controller, _, _, saved = _controller(tmp_path, nan_from=30)
    with pytest.raises(Diverged, match="a variable is NaN or infinite at step 36"):
        controller.train_and_evaluate(STEPS)
    assert saved == [16]
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("ckpt-16")
