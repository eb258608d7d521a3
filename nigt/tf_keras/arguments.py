"""What the NIGT of tf_keras refuses and warns of besides nigt/arguments.py."""

import warnings
from typing import Any

import tensorflow as tf
import tf_keras

from nigt import arguments

CHOICES = arguments.CHOICES | {
    "momentum_dtype": ("float32", "bfloat16"),
    "adaptive": (None, "released", "algorithm2"),
}


def check_variable(variable: Any) -> None:
    """Checks a variable to be trained.

    Raises:
      ValueError: If it is of Keras 3, or of 16 bits.
    """
    if type(variable).__module__.split(".")[0] == "keras":
        raise ValueError(
            f"NIGT is an optimizer of tf_keras (Keras 2) and {variable.path} is a variable of Keras 3: take "
            "nigt.keras.NIGT, or build the model with tf_keras"
        )
    if variable.dtype in (tf.bfloat16, tf.float16):
        raise ValueError(
            f"NIGT: {variable.name} is {variable.dtype.name}: at that precision the weights drift by 1 to 25 %; "
            'keep float32 variables and compute in bfloat16 with the dtype policy "mixed_bfloat16"'
        )


def refuse_unknown(variable: tf.Variable) -> None:
    """Raises the ValueError for a variable that has no state."""
    raise ValueError(
        f"NIGT does not know {variable.name}: it was not among the variables of the first step or of `build` (frozen "
        "then, or made since); before the first step call optimizer.build(variables) with all that will ever be "
        "trained, or compile with a new optimizer"
    )


def warn_of_zero_weights(variable: tf.Variable, weight_norm: tf.Tensor) -> None:
    """Warns of a normalized variable that starts at 0."""
    if tf.executing_eagerly() and weight_norm.dtype.is_floating and float(weight_norm) == 0:
        warnings.warn(arguments.zero_weights(variable.name), stacklevel=2)


def largest(learning_rate: Any) -> Any:
    """A schedule's largest rate in steps 0 and powers of 10; anything else as it is."""
    if not isinstance(learning_rate, tf_keras.optimizers.schedules.LearningRateSchedule):
        return learning_rate
    with tf.init_scope():
        return max(float(learning_rate(step)) for step in (0, *(10**power for power in range(7))))
