"""What the two tasks' steps share: losses over the global batch, and Algorithm 2's two samples."""

from collections.abc import Sequence

import tensorflow as tf
import tf_keras
from official.core import base_task

from trainers.tasks.dropout import sample

Batch = dict[str, tf.Tensor]


def global_sum(value: tf.Tensor) -> tf.Tensor:
    """The sum over all replicas, on each of them."""
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)
    return value


def global_mean(total: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Σ total / Σ count over all replicas, times this replica's share: its mean over the replicas is the global mean.

    tf-models-official divides by each replica's own count and averages, which weighs a masked token by how many others
    its replica has. 0 where the global count is 0.
    """
    return tf.math.divide_no_nan(total, global_sum(count)) * tf.distribute.get_strategy().num_replicas_in_sync


class TwoSampleStep(base_task.Task):
    """A task whose training step splits its batch in two where the optimizer is Algorithm 2's. A mixin.

    The task provides `forward(inputs, model, metrics)`, which gives the loss: its mean over the replicas is what is
    minimized.
    """

    def train_step(
        self,
        inputs: object,
        model: tf_keras.Model,
        optimizer: tf_keras.optimizers.Optimizer,
        metrics: Sequence[tf_keras.metrics.Metric],
    ) -> dict[str, tf.Tensor]:
        """One step on this replica's part of the batch; {loss name: this replica's loss}."""
        if getattr(optimizer, "adaptive", None) != "algorithm2":
            return super().train_step(inputs, model, optimizer, metrics)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        variables = model.trainable_variables
        losses, gradients = [], []
        for number, half in enumerate(_halves(inputs)):
            with sample(number), tf.GradientTape() as tape:
                losses.append(self.forward(half, model, metrics))
                share = losses[-1] / replicas
            gradients.append(tape.gradient(share, variables))
        pairs = list(zip(gradients[0], variables, strict=True))
        optimizer.apply_gradients(pairs, second_gradients=gradients[1])
        return {self.loss: tf.add_n(losses) / 2}


def _halves(inputs: object) -> list:
    """The first and the second half of a batch of any structure."""
    size = tf.nest.flatten(inputs)[0].shape[0]
    if size is None or size % 2:
        raise ValueError(f"Algorithm 2 splits each replica's batch in two: batch_size gives {size} examples, not even")
    parts = [tf.split(tensor, 2) for tensor in tf.nest.flatten(inputs)]
    return [tf.nest.pack_sequence_as(inputs, [part[number] for part in parts]) for number in (0, 1)]
