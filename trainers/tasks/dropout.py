"""Dropout as a function of (seed, layer, step), so that nothing random has to be kept in a checkpoint."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf
import tf_keras
from tf_keras.src import backend
from tf_keras.src.engine import base_layer

_sample = 0


@contextlib.contextmanager
def sample(number: int) -> Iterator[None]:
    """Inside, the step's sample of that number draws: each half of a batch (Algorithm 2) from numbers of its own."""
    global _sample
    before, _sample = _sample, number
    try:
        yield
    finally:
        _sample = before


class _StepSeeded(backend.RandomGenerator):
    """A tf_keras random generator whose numbers follow from (seed, layer, step, replica, sample)."""

    def __init__(self, seed: int, layer: int, step: tf.Variable):
        super().__init__(seed=seed, rng_type=self.RNG_STATELESS)
        # The step belongs to the trainer's checkpoint, not to the layer's.
        self.__dict__["_step"] = step
        self._layer = layer

    def make_seed_for_stateless_op(self) -> tf.Tensor:
        replica = tf.distribute.get_replica_context()
        number = 0 if replica is None else replica.replica_id_in_sync_group
        stream = tf.cast(number, tf.int64) * 65536 + _sample * 32768 + self._layer
        return tf.stack([tf.constant(self._seed, tf.int64) * 1_000_003 + stream, tf.cast(self._step, tf.int64)])


def seed_dropout_by_step(model: tf_keras.Model, seed: int, step: tf.Variable) -> int:
    """Makes every random layer draw from (seed, its number, the value of step); returns how many there are."""
    layers = [module for module in model.submodules if isinstance(module, base_layer.BaseRandomLayer)]
    for number, layer in enumerate(layers):
        layer._random_generator = _StepSeeded(seed, number, step)
    return len(layers)
