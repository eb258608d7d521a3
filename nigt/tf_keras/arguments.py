"""What NIGT refuses, and what it warns of."""

import warnings
from typing import Any

import tensorflow as tf
import tf_keras

CHOICES = {
    "normalization": ("layer", "global", "none"),
    "momentum_dtype": ("float32", "bfloat16"),
    "adaptive": (None, "released", "algorithm2"),
}
# Under noise alone ‖w‖ grows within 20/(1−β) steps by ×1.05 at β/(1−β)·η = 0.05, ×1.24 at 0.1, ×2.6 at 0.2 and ×10.5 at
# 0.3 (β = 0.9, 1000 parameters, mean of 3 seeds; tests/nigt/tf_keras/test_hazards.py holds the two ends).
LARGEST_TRANSPORT = 0.1


def check(
    *,
    choices: dict[str, Any],
    not_negative: dict[str, float],
    patterns: dict[str, Any],
    gradient_bound: float | None,
    adaptive_constant: float,
    keywords: dict[str, Any],
) -> None:
    """Checks the constructor's arguments.

    Args:
      choices: Of the arguments in CHOICES.
      not_negative: Arguments that must be ≥ 0.
      patterns: Arguments that are several regular expressions.
      keywords: Those for the base class.

    Raises:
      ValueError: Names the argument and what it may be.
    """
    for name, value in choices.items():
        if value not in CHOICES[name]:
            raise ValueError(f"{name} must be one of {CHOICES[name]}, got {value!r}")
    for name, value in not_negative.items():
        if not value >= 0:
            raise ValueError(f"{name} must not be negative, got {value}")
    for name, value in patterns.items():
        if isinstance(value, str):
            raise ValueError(f"{name} must be a sequence of regular expressions, got the string {value!r}: [{value!r}]")
    if choices["adaptive"] == "algorithm2":
        if gradient_bound is None or not gradient_bound > 0:
            raise ValueError(
                f'gradient_bound must be positive with adaptive="algorithm2", got {gradient_bound}: it is the '
                "algorithm's input g, a bound on the norm of every gradient sample"
            )
    elif gradient_bound is not None:
        raise ValueError('gradient_bound is for adaptive="algorithm2" alone')
    if not adaptive_constant > 0:
        raise ValueError(f"adaptive_constant must be positive (26 as printed, 52 as proved), got {adaptive_constant}")
    if keywords.get("use_ema"):
        raise ValueError("use_ema averages the gradient points x and overwrites them: use `evaluating` for w instead")


def check_variable(variable: Any) -> None:
    """Checks a variable to be trained.

    Raises:
      ValueError: If it is of Keras 3, or of 16 bits.
    """
    if type(variable).__module__.split(".")[0] == "keras":
        raise ValueError(
            f"NIGT is an optimizer of tf_keras (Keras 2) and {variable.name} is a variable of Keras 3: build the model "
            "with tf_keras, or set the environment variable TF_USE_LEGACY_KERAS=1 before TensorFlow is imported"
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
        warnings.warn(
            f"NIGT: {variable.name} starts at 0: its first step is not scaled by ‖x‖ and the later ones are scaled by "
            "next to nothing (as released), so it stays near 0; exclude it from normalization, initialize it "
            "differently, or set weight_norm_floor",
            stacklevel=2,
        )


def warn_of_growing_weights(learning_rate: Any, beta: Any, transport: bool, adaptive: str | None) -> None:
    """Warns if β/(1−β)·η, the distance of x from w in units of ‖x‖, lets the weights grow.

    A schedule is looked at in steps 0 and powers of 10; a β that is no number is not looked at.
    """
    if not transport or adaptive or callable(beta):
        return
    if isinstance(learning_rate, tf_keras.optimizers.schedules.LearningRateSchedule):
        with tf.init_scope():
            largest = max(float(learning_rate(step)) for step in (0, *(10**power for power in range(7))))
    elif isinstance(learning_rate, (int, float)):
        largest = float(learning_rate)
    else:
        return
    distance = beta / (1 - beta) * largest
    if distance > LARGEST_TRANSPORT:
        warnings.warn(
            f"NIGT: beta/(1 - beta)·learning_rate is {distance:.2g}: above {LARGEST_TRANSPORT} the distance between x "
            "and w makes the weights grow (×10 per 20/(1 - beta) steps at 0.3); lower the learning rate or beta",
            stacklevel=3,
        )
