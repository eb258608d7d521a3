"""2-norms of whole tensors that neither under- nor overflow, and the test for NaN and Inf."""

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

# Blue's constants, as powers of 2 (LAPACK's la_constants; the upper limit is lower than there, so that 2^36 squares can
# be added): magnitudes above `big` are multiplied by `shrink` before they are squared, those below `small` by `grow`.
_BLUE = {
    tf.float32: {"big": 45, "shrink": -76, "small": -63, "grow": 75},
    tf.float64: {"big": 470, "shrink": -538, "small": -511, "grow": 537},
}
# Sums of squares within these limits have lost nothing to either end of the dtype's range.
_SAFE = {tf.float32: (1e-22, 1e38), tf.float64: (1e-290, 1e307)}


def norm(values: tf.Tensor) -> tf.Tensor:
    """The 2-norm in one pass: three sums of squares, of the large, the usual and the small magnitudes (Blue 1978).

    NaN or Inf in values gives NaN or Inf. A compiler reads values once, whatever it was computed from.
    """
    if values.shape.num_elements() == 1:
        return tf.reduce_sum(tf.abs(values))  # XLA rewrites the formulas below to NaN for a single 0
    power = {name: 2.0**exponent for name, exponent in _BLUE[values.dtype].items()}
    zero = tf.zeros((), values.dtype)
    magnitude = tf.abs(values)
    is_big, is_small = magnitude > power["big"], magnitude < power["small"]
    big = tf.reduce_sum(tf.where(is_big, tf.square(values * power["shrink"]), zero))
    small = tf.reduce_sum(tf.where(is_small, tf.square(values * power["grow"]), zero))
    # Neither big nor small: NaN comes here.
    usual = tf.reduce_sum(tf.where(tf.logical_or(is_big, is_small), zero, tf.square(values)))
    with_big = tf.sqrt(big + usual * power["shrink"] * power["shrink"]) / power["shrink"]
    with_usual = tf.sqrt(usual + small / power["grow"] / power["grow"])
    with_small = tf.sqrt(small) / power["grow"]
    result = tf.where(big > 0, with_big, tf.where(usual > 0, with_usual, with_small))
    return tf.where(tf.math.is_nan(usual), usual, result)


def kernel_norm(values: tf.Tensor) -> tf.Tensor:
    """The same by TensorFlow's own l2_loss, the fastest reduction on a CPU; `norm` where that loses range."""
    return _kernel_norm(values.dtype)(values)


@functools.cache
def _kernel_norm(dtype: tf.DType) -> Any:
    """One tf.function for every shape, so that a model of many variables is traced fast."""
    lowest, highest = _SAFE[dtype]

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
