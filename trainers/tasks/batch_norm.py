"""Batch-norm statistics of the iterate w.

Training gathers the moving averages at the gradient points x. Evaluated at w, a batch-normalized network runs with
statistics of other weights than its own; mlcommons/algorithmic-efficiency #767 reports the effect for a similar method.
"""

import contextlib
import copy
from collections.abc import Iterator

import orbit
import tensorflow as tf
import tf_keras
from official.core import base_task


class Recalibration:
    """Recomputes the statistics from the first batches of the training order, always the same ones."""

    def __init__(self, task: base_task.Task, model: tf_keras.Model, batches: int) -> None:
        """
        Args:
          task: With build_inputs and task_config.train_data.
          model: The network; its variables hold w whenever `recalibrated` is entered.
          batches: How many training batches, augmented as in training, give the statistics.
        """
        self._task = copy.copy(task)
        self._task.start_step = 0
        self._strategy, self._model, self._batches = tf.distribute.get_strategy(), model, batches
        kind = (tf_keras.layers.BatchNormalization, tf_keras.layers.experimental.SyncBatchNormalization)
        self._layers = [module for module in model.submodules if isinstance(module, kind)]
        self._forward = tf.function(self._forward_once)

    def inputs(self) -> Iterator:
        """The training batches from the first on; a new data set, since one that is read again is shuffled again."""
        data = self._task.task_config.train_data
        return iter(orbit.utils.make_distributed_dataset(self._strategy, self._task.build_inputs, data))

    @contextlib.contextmanager
    def recalibrated(self) -> Iterator[None]:
        """Inside, each layer has the mean of its statistics over the batches; on leaving, what it had before."""
        variables = [v for layer in self._layers for v in (layer.moving_mean, layer.moving_variance)]
        before = [tf.identity(v) for v in variables]
        try:
            sums = [tf.zeros_like(value) for value in before]
            iterator = self.inputs()
            for _ in range(self._batches):
                self._forward(iterator)
                sums = [total + tf.convert_to_tensor(v) for total, v in zip(sums, variables, strict=True)]
            for variable, total in zip(variables, sums, strict=True):
                variable.assign(total / self._batches)
            yield
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)

    def _forward_once(self, iterator: Iterator) -> None:
        """One batch, after which the moving statistics are that batch's alone."""
        momentums = [layer.momentum for layer in self._layers]
        for layer in self._layers:
            layer.momentum = 0.0  # a Python number, so it is fixed in this function when it is traced
        try:
            self._strategy.run(lambda inputs: self._model(inputs[0], training=True), args=(next(iterator),))
        finally:
            for layer, momentum in zip(self._layers, momentums, strict=True):
                layer.momentum = momentum
