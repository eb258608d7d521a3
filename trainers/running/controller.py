"""orbit's Controller, whose loops, evaluations and checkpoints fall on the same steps wherever a run starts."""

from collections.abc import Callable
from typing import Any

import orbit
import tensorflow as tf

from data.errors import InputError, reason
from trainers.running.actions import Diverged
from trainers.running.metrics_log import MetricsLog
from trainers.running.strategies import checkpoint_options


class Controller(orbit.Controller):
    """Loops end at the multiples of steps_per_loop, counted from the last multiple of the validation interval.

    A checkpoint never holds a variable that is not finite.
    """

    def __init__(
        self,
        *args: Any,
        log: MetricsLog,
        validation_interval: int,
        saved: Callable[[int], None],
        start: str | None = None,
        steps_per_loop: int,
        **kwargs: Any,
    ) -> None:
        """As the base class, and:

        Args:
          log: Of the run's metrics.
          validation_interval: Steps.
          saved: Called with the step of each checkpoint that has been written.
          start: The checkpoint to go on from, of the chief where there are several workers; None: the manager's newest.
        """
        self._metrics, self._interval, self._saved, self._start = log, validation_interval, saved, start

        def to_the_end_of_the_loop(step: int) -> int:
            since = int(step) % validation_interval
            return min(steps_per_loop - since % steps_per_loop, validation_interval - since)

        super().__init__(*args, steps_per_loop=to_the_end_of_the_loop, **kwargs)
        with self.strategy.scope():
            self._checkpoint_options = checkpoint_options()
        self._last_saved = int(self.global_step.numpy())

    def train_and_evaluate(self, train_steps: int, eval_steps: int = -1, eval_interval: int | None = None) -> None:
        """Evaluates at every multiple of the validation interval and at the end, and never skips one."""
        step = int(self.global_step.numpy())
        due = step > 0 and (step % self._interval == 0 or step == train_steps)
        if due and not self._metrics.has_evaluation(step):
            self.evaluate(steps=eval_steps)  # the run was stopped between its checkpoint and its evaluation
        while step < train_steps:
            until = min(train_steps, (step // self._interval + 1) * self._interval)
            self.train(steps=until, checkpoint_at_completion=False)
            self.evaluate(steps=eval_steps)
            step = int(self.global_step.numpy())
        self.save_checkpoint()

    def restore_checkpoint(self, checkpoint_path: str | None = None) -> str | None:
        """As the base class; every variable of the model has to be in the checkpoint.

        Raises:
          InputError: One is not, or has another shape.
        """
        path = checkpoint_path or self._start or self.checkpoint_manager.latest_checkpoint
        if path is None:
            return super().restore_checkpoint()
        try:
            with self.strategy.scope():
                # The manager's own method says nothing about what it does not find.
                restored = self.checkpoint_manager.checkpoint.restore(path, checkpoint_options())
                restored.assert_existing_objects_matched()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise InputError(
                f"{path}: is of another model or version of the code ({reason(error)}); choose another MODEL_DIR"
            ) from error
        return path

    def _maybe_save_checkpoint(self, check_interval: bool = True) -> bool:
        """At the first end of a loop after each multiple of the checkpoint interval, or always; no step twice.

        Raises:
          Diverged: A variable is not finite.
        """
        step, interval = int(self.global_step.numpy()), self.checkpoint_manager.checkpoint_interval
        if step == self._last_saved or (check_interval and step // interval == self._last_saved // interval):
            return False
        if not self.trainer.all_finite():
            raise Diverged(f"a variable is NaN or infinite at step {step}")
        written = super()._maybe_save_checkpoint(check_interval=False)
        self._last_saved = step
        if written:
            self._saved(step)
        return written
