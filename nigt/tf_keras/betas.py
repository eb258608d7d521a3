"""β as a function of the step, for the variants of the paper whose β is not one number."""

import inspect
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

Beta = float | Callable[[tf.Tensor], tf.Tensor]


@tf_keras.saving.register_keras_serializable(package="nigt")
class StartingAtFirstGradient:
    """β_1 = 0, hence m_1 = g_1 as Algorithm 1 is printed; β from then on. (A number as beta starts at m_0 = 0.)"""

    def __init__(self, beta: float):
        """
        Raises:
          ValueError: If beta is not in [0, 1).
        """
        check(beta)
        self.beta = beta

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """β of a step, counted from 0; a float64 scalar."""
        return tf.where(step > 0, tf.constant(self.beta, tf.float64), tf.zeros((), tf.float64))

    def get_config(self) -> dict[str, float]:
        """The constructor's arguments."""
        return {"beta": self.beta}

    @classmethod
    def from_config(cls, config: dict[str, float]) -> "StartingAtFirstGradient":
        """The reverse of get_config."""
        return cls(**config)


@tf_keras.saving.register_keras_serializable(package="nigt")
class Arnold:
    """β_t = t/(t+1) with t = 0 at the first gradient (Arnold et al. 2019; section 3 after Algorithm 1).

    So m is the plain mean of all gradients, each moved to the present iterate.
    """

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """β of a step, counted from 0; a float64 scalar."""
        t = tf.cast(step, tf.float64)
        return t / (t + 1)

    def get_config(self) -> dict[str, float]:
        """No arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, float]) -> "Arnold":
        """The reverse of get_config."""
        return cls(**config)


def check(beta: float) -> None:
    """Raises ValueError unless 0 ≤ β < 1, and says why."""
    if not 0 <= beta < 1:
        raise ValueError(
            f"beta must be in [0, 1), got {beta}: the gradient point x = w + beta/(1 - beta)·(w - previous w) "
            "needs beta < 1; 0.9 is the paper's"
        )


def serialize(beta: Any) -> Any:
    """A number as it is; of a callable its registered name, and its configuration if it has one.

    The same in every format that Keras saves in; its own functions for this differ between them.
    """
    if not callable(beta):
        return beta
    if inspect.isroutine(beta):
        return {"registered_name": tf_keras.saving.get_registered_name(beta)}
    return {"registered_name": tf_keras.saving.get_registered_name(type(beta)), "config": beta.get_config()}


def deserialize(beta: Any, custom_objects: dict[str, Any] | None = None) -> Beta:
    """The reverse of serialize.

    Raises:
      ValueError: If the name is not registered.
    """
    if not isinstance(beta, dict):
        return beta
    name = beta["registered_name"]
    found = tf_keras.saving.get_registered_object(name, custom_objects)
    if found is None:
        raise ValueError(
            f"beta is the unknown {name}: import what defines it, decorated by "
            "tf_keras.saving.register_keras_serializable, before loading"
        )
    return found.from_config(beta["config"]) if "config" in beta else found
