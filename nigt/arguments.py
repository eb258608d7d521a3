"""What every framework's NIGT refuses, and what it warns of."""

import warnings
from typing import Any

CHOICES = {"normalization": ("layer", "global", "none"), "adaptive": (None, "algorithm2")}
# Under noise alone ‖w‖ grows within 20/(1−β) steps by ×1.05 at β/(1−β)·η = 0.05, ×1.24 at 0.1, ×2.6 at 0.2 and ×10.5 at
# 0.3 (β = 0.9, 1000 parameters, mean of 3 seeds; tests/nigt/tf_keras/test_hazards.py holds the two ends).
LARGEST_TRANSPORT = 0.1


def check(
    choices: dict[str, Any],
    gradient_bound: Any,
    adaptive_constant: Any,
    allowed: dict[str, tuple[str | None, ...]] = CHOICES,
) -> None:
    """Checks a constructor's arguments; of the numbers those that are Python's, not a traced value's.

    Args:
      choices: What was chosen for each name in allowed; "adaptive" is one of them.
      gradient_bound: Needed with "algorithm2", and there alone.

    Raises:
      ValueError: Names the argument and what it may be.
    """
    for name, value in choices.items():
        if value not in allowed[name]:
            raise ValueError(f"{name} must be one of {allowed[name]}, got {value!r}")
    if choices["adaptive"] == "algorithm2":
        if gradient_bound is None or (_known(gradient_bound) and not gradient_bound > 0):
            raise ValueError(
                f'gradient_bound must be positive with adaptive="algorithm2", got {gradient_bound}: it is the '
                "algorithm's input g, a bound on the norm of every gradient sample"
            )
    elif gradient_bound is not None:
        raise ValueError('gradient_bound is for adaptive="algorithm2" alone')
    if _known(adaptive_constant) and not adaptive_constant > 0:
        raise ValueError(f"adaptive_constant must be positive (26 as printed, 52 as proved), got {adaptive_constant}")


def check_not_negative(values: dict[str, Any]) -> None:
    """Raises ValueError for a number below 0, and names it."""
    for name, value in values.items():
        if _known(value) and not value >= 0:
            raise ValueError(f"{name} must not be negative, got {value}")


def check_keras(patterns: dict[str, Any], keywords: dict[str, Any]) -> None:
    """Checks a constructor's arguments that are Keras's own, tf_keras's or those of Keras 3.

    Args:
      patterns: Arguments that are several regular expressions.
      keywords: Those for the base class.

    Raises:
      ValueError: Names the argument and what it may be.
    """
    for name, value in patterns.items():
        if isinstance(value, str):
            raise ValueError(f"{name} must be a sequence of regular expressions, got the string {value!r}: [{value!r}]")
    if keywords.get("use_ema"):
        raise ValueError("use_ema averages the gradient points x and overwrites them: use `evaluating` for w instead")


def check_second_gradients(adaptive: str | None, second_gradients: Any) -> None:
    """Raises ValueError unless there are second gradients where Algorithm 2 runs, and there alone."""
    if (adaptive == "algorithm2") == (second_gradients is not None):
        return
    raise ValueError(
        'NIGT: adaptive="algorithm2" needs second_gradients, of an independent sample at the same point'
        if second_gradients is None
        else 'NIGT: second_gradients are for adaptive="algorithm2" alone'
    )


def warn_of_growing_weights(learning_rate: Any, beta: Any, stacklevel: int = 3) -> None:
    """Warns if β/(1−β)·η, the distance of x from w in units of ‖x‖, lets the weights grow; what is no number passes."""
    if not (_known(learning_rate) and _known(beta)):
        return
    distance = beta / (1 - beta) * learning_rate
    if distance > LARGEST_TRANSPORT:
        warnings.warn(
            f"NIGT: beta/(1 - beta)·learning_rate is {distance:.2g}: above {LARGEST_TRANSPORT} the distance between x "
            "and w makes the weights grow (×10 per 20/(1 - beta) steps at 0.3); lower the learning rate or beta",
            stacklevel=stacklevel,
        )


def zero_weights(name: str) -> str:
    """The warning of a normalized variable that starts at 0."""
    return (
        f"NIGT: {name} starts at 0: its first step is not scaled by ‖x‖ and the later ones are scaled by "
        "next to nothing (as released), so it stays near 0; exclude it from normalization, initialize it "
        "differently, or set weight_norm_floor"
    )


def _known(value: Any) -> bool:
    return isinstance(value, (int, float))
