"""2-norms of whole tensors by TensorFlow's kernels, and the test for NaN and Inf."""

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from nigt import norms as safe
from nigt.tf_keras import namespace


def norm(values: tf.Tensor) -> tf.Tensor:
    """nigt.norms.norm."""
    if values.shape.num_elements() == 1:
        return tf.reduce_sum(tf.abs(values))  # XLA rewrites its formulas to NaN for a single 0
    return safe.norm(namespace, values)


def kernel_norm(values: tf.Tensor) -> tf.Tensor:
    """The same by TensorFlow's own l2_loss, the fastest reduction on a CPU; `norm` where that loses range."""
    return _kernel_norm(values.dtype)(values)


@functools.cache
def _kernel_norm(dtype: tf.DType) -> Any:
    """One tf.function for every shape, so that a model of many variables is traced fast."""
    lowest, highest = safe.SAFE[dtype.name]

    @tf.function(input_signature=[tf.TensorSpec(None, dtype)], experimental_attributes={"_noinline": True})
    def run(values: tf.Tensor) -> tf.Tensor:
        square = 2 * tf.nn.l2_loss(values)
        safe = tf.logical_and(square > lowest, square < highest)
        return tf.cond(safe, lambda: tf.sqrt(square), lambda: norm(values))

    return run


def of_all(norms: Sequence[tf.Tensor]) -> tf.Tensor:
    """The norm of several tensors together, from the norm of each."""
    return norm(tf.stack(norms))


def all_finite(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """Whether no element of any tensor is NaN or Inf; a boolean scalar."""
    squares = tf.add_n([tf.cast(tf.nn.l2_loss(gradient), tf.float64) for gradient in gradients])
    # Large finite values overflow the sum: only then are the elements looked at.
    return tf.cond(
        tf.math.is_finite(squares),
        lambda: tf.constant(True),
        lambda: tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])),
    )


def squared_distance(first: Sequence[tf.Tensor | None], second: Sequence[tf.Tensor | None]) -> tf.Tensor:
    """‖g − g'‖² over all variables together, float64; None (no gradient) on both sides counts as no distance."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    distances = [norm(tf.convert_to_tensor(a) - tf.convert_to_tensor(b)) for a, b in pairs]
    return tf.add_n([tf.square(tf.cast(distance, tf.float64)) for distance in distances])
