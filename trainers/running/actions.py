"""What happens between two loops of training steps: progress, and the reasons to stop early."""

import math
import sys
import time

import orbit
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from trainers.running import summary
from trainers.running.metrics_log import MetricsLog

PROGRESS = "step %d/%d  loss %.4f  accuracy %.4f  %.1f steps/s  %d:%02d left"


class Diverged(Exception):
    """The loss or a variable is NaN or infinite."""


class Watch(orbit.Action):
    """Logs each loop and each evaluation, shows progress, and stops a run that diverges."""

    def __init__(self, step: tf.Variable, start_step: int, train_steps: int, metric: str, log: MetricsLog):
        """
        Args:
          step: The trainer's global step.
          start_step: Where the run starts or goes on.
          train_steps: The run's length, in steps.
          metric: The task's metric, for the display.
          log: Where the train split's values go, and the evaluations' are.
        """
        self._step, self._train_steps, self._metric, self._log = step, train_steps, metric, log
        self._first_step, self._first_time = start_step, time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm(total=train_steps, initial=self._first_step, unit="step", dynamic_ncols=True)

    def __call__(self, output: dict) -> None:
        """Called by orbit's Controller with the loop's metrics.

        Raises:
          Diverged.
        """
        step = int(self._step.numpy())
        values = {name: float(value) for name, value in output.items()}
        values["loss"] = values.pop("training_loss")
        self._log.write(step, {"train": values})
        self._show(step, values)
        if not math.isfinite(values["loss"]):
            raise Diverged(f"the loss is {values['loss']} at step {step}")

    def evaluated(self, output: dict) -> None:
        """Called by orbit's Controller after an evaluation, which is in the log by then."""
        del output
        with tqdm.external_write_mode():  # the bar makes room for the line
            logging.info("%s", summary.evaluation(self._log.path, self._metric))

    def close(self) -> None:
        """Gives the terminal back."""
        if self._bar is not None:
            self._bar.close()

    def _show(self, step: int, values: dict[str, float]) -> None:
        loss, accuracy = values["loss"], values.get(self._metric, math.nan)
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{loss:.3f}", accuracy=f"{accuracy:.3f}", refresh=False)
            self._bar.update(step - self._bar.n)
        speed = (step - self._first_step) / max(time.monotonic() - self._first_time, 1e-9)
        left = (self._train_steps - step) / max(speed, 1e-9)
        logging.info(
            PROGRESS,
            *(step, self._train_steps, loss, accuracy, speed, left // 60, left % 60),
        )
