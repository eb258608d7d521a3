"""tf-models-official's Trainer, evaluating at the iterate w on the selection and validation data."""

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
import tf_keras
from official.core import base_task, base_trainer
from official.core import config_definitions as cfg

from trainers.running.checkpoints import BestCheckpoint
from trainers.running.interruption import Interruption
from trainers.running.metrics_log import MetricsLog
from trainers.running.step_sizes import StepSizes
from trainers.running.strategies import save_options
from trainers.tasks.batch_norm import Recalibration
from trainers.tasks.dropout import seed_dropout_by_step

# Between two looks at whether a signal has come.
_SECONDS_OF_STEPS = 3.0
_STEPS_TO_TARGET = "steps_to_target"


class IterateTrainer(base_trainer.Trainer):
    """Trains at x; evaluates, chooses the best checkpoint and exports at w.

    For optimizers without a gradient point of their own (Adam, SGD) w is x, and `validation_x` is left out.

    A loop of steps or an evaluation stops where a signal asks for it, and leaves variables from which the run goes on
    exactly: the checkpoint holds the sums of the loop's metrics besides the model, the optimizer and the step.
    """

    def __init__(
        self,
        config: cfg.ExperimentConfig,
        task: base_task.Task,
        model: tf_keras.Model,
        optimizer: tf_keras.optimizers.Optimizer,
        directory: pathlib.Path,
        log: MetricsLog,
        seed: int,
        interruption: Interruption,
        step_sizes: StepSizes | None = None,
    ) -> None:
        """As the base class, and:

        Args:
          directory: The run's, for best_ckpt/.
          log: Where evaluations are written.
          seed: Of the dropout.
          interruption: Asked between steps.
          step_sizes: Logged at evaluations, if given.
        """
        self._datasets = {
            split: base_trainer.orbit.utils.make_distributed_dataset(
                tf.distribute.get_strategy(), task.build_inputs, getattr(config.task, f"{split}_data")
            )
            for split in ("selection", "validation")
        }
        super().__init__(config, task, model, optimizer, validation_dataset=self._datasets["validation"])
        seed_dropout_by_step(model, seed, self.global_step)
        # By these names tf-models-official's tasks look for weights to start from (their init_checkpoint).
        weights = {"model": model} | getattr(model, "checkpoint_items", {})
        self._checkpoint = tf.train.Checkpoint(
            global_step=self.global_step,
            optimizer=optimizer,
            train_loss=self.train_loss,
            train_metrics=self.train_metrics,
            **weights,
            **({"relative_steps": step_sizes.relative} if step_sizes else {}),
        )
        # Made here, by all workers alike: restoring would make it on the others after the chief has gone on.
        _ = self._checkpoint.save_counter
        self._interruption, self._step_sizes = interruption, step_sizes
        batches = getattr(config.task, "recalibration_batches", 0)
        self._recalibration = Recalibration(task, model, batches) if batches else None
        self._log = log
        self._target = getattr(config.task, "target", None)
        if log.best("validation", _STEPS_TO_TARGET) is not None:  # an earlier process of this run was there
            self._target = None
        best = log.best("selection", task.metric)
        self._best = BestCheckpoint(directory / "best_ckpt", tf.train.Checkpoint(**weights), best)

    def create_train_loop_fn(self) -> Callable[[Iterator, tf.Tensor], None]:
        """The loop of steps in pieces of a few seconds, with a look at the interruption before each.

        Raises (when called):
          Interrupted: Between two steps.
        """
        run_steps = super().create_train_loop_fn()
        piece = 1  # the first one includes the time to compile

        def loop(iterator: Iterator, num_steps: tf.Tensor) -> None:
            nonlocal piece
            left = int(num_steps)
            while left:
                self._interruption.check()
                # A loop's last step is taken by itself where it is measured.
                measured = self._step_sizes if left == 1 else None
                steps = min(piece, left - 1 if self._step_sizes and not measured else left)
                start = time.monotonic()
                if measured:
                    measured.before_step()
                run_steps(iterator, tf.constant(steps, tf.int32))
                self.global_step.numpy()  # waits for devices that work asynchronously
                if measured:
                    measured.after_step()
                else:
                    piece = max(1, int(_SECONDS_OF_STEPS * steps / max(time.monotonic() - start, 1e-6)))
                left -= steps

        return loop

    def create_eval_loop_fn(self, has_state: bool) -> Callable:
        """The loop of evaluation steps, with a look at the interruption before each.

        Raises (when called):
          Interrupted: Between two steps.
        """
        del has_state
        step = tf.function(self.eval_step)

        def checked(iterator: Iterator) -> None:
            self._interruption.check()
            step(iterator)

        return base_trainer.orbit.utils.create_loop_fn(checked)

    def eval_step(self, iterator: Iterator) -> None:
        """One evaluation batch on every replica; the loss is averaged by how much of the batch counts."""

        def step(inputs: object) -> None:
            logs = self.task.validation_step(inputs, model=self.model, metrics=self.validation_metrics)
            self.validation_loss.update_state(logs[self.task.loss], sample_weight=logs["weight"])

        self.strategy.run(step, args=(next(iterator),))

    def at_iterates(self) -> contextlib.AbstractContextManager:
        """Inside, the model's variables hold w."""
        if hasattr(self.optimizer, "evaluating"):
            return self.optimizer.evaluating(self.model.trainable_variables)
        return contextlib.nullcontext()

    def evaluate(self, num_steps: tf.Tensor) -> dict[str, dict[str, float]]:
        """Metrics by split; validation_bn is validation with batch-norm statistics of w.

        Leaves every variable of the model and the optimizer as it was; interrupted, it has logged nothing besides.
        """
        step, results = int(self.global_step.numpy()), {}
        with self.at_iterates():
            results["selection"] = self._evaluate_on("selection", num_steps)
            results["validation"] = self._evaluate_on("validation", num_steps)
            self._best.offer(results["selection"][self.task.metric], step)
            if self._recalibration:
                with self._recalibration.recalibrated():
                    results["validation_bn"] = self._evaluate_on("validation", num_steps)
        if hasattr(self.optimizer, "iterates"):
            results["validation_x"] = self._evaluate_on("validation", num_steps)
        if self._target is not None and results["validation"][self.task.metric] >= self._target:
            results["validation"][_STEPS_TO_TARGET], self._target = step, None
        if self._step_sizes:
            results["norms"] = self._step_sizes.values()
        self._log.write(step, results)
        return results

    @tf.function
    def all_finite(self) -> tf.Tensor:
        """Whether every variable of the model is finite: bool, a scalar."""
        floating = [v for v in self.model.variables if v.dtype.is_floating]
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(v)) for v in floating])

    def train_loop_end(self) -> dict[str, tf.Tensor]:
        """The loop's metrics, and how many steps NIGT has skipped so far because a gradient was NaN or infinite."""
        logs = super().train_loop_end()
        if hasattr(self.optimizer, "skipped_steps"):
            logs["skipped_steps"] = self.optimizer.skipped_steps
        # Under a strategy some are mirrored variables, which neither float() nor TensorBoard's writer takes.
        return {name: tf.convert_to_tensor(value) for name, value in logs.items()}

    def export_best(self, directory: pathlib.Path) -> None:
        """Writes the best checkpoint's w as a SavedModel; the model holds it afterwards."""
        if not self._best.read():
            return
        temporary = directory.with_name(f".{directory.name}.partial")
        # Not the Keras model itself: its training call depends on the trainer's step (dropout.py).
        served = tf.Module()
        served.model_variables = self.model.variables
        served.serve = _serving(self.model)
        tf.saved_model.save(served, str(temporary), signatures=served.serve, options=save_options())
        if directory.exists():
            tf.io.gfile.rmtree(str(directory))
        temporary.rename(directory)

    def _evaluate_on(self, split: str, num_steps: tf.Tensor) -> dict[str, float]:
        self.eval_dataset = self._datasets[split]
        logs = super().evaluate(num_steps)
        values = {name: float(value) for name, value in logs.items()}
        values["loss"] = values.pop("validation_loss")
        return values


def _serving(model: tf_keras.Model) -> Any:
    """The model's signature: its named inputs, batches of any size, to its named outputs."""
    inputs = tf.nest.flatten(model.inputs)
    names = [tensor.name.split(":")[0] for tensor in inputs]

    @tf.function
    def serve(**features: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = model(features if len(names) > 1 else features[names[0]], training=False)
        if not isinstance(outputs, dict):
            return {"logits": outputs}
        return {name: value for name, value in outputs.items() if tf.is_tensor(value)}

    specs = (tf.TensorSpec([None, *t.shape[1:]], t.dtype, n) for t, n in zip(inputs, names, strict=True))
    return serve.get_concrete_function(**dict(zip(names, specs, strict=True)))
