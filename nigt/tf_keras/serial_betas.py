"""How Keras saves and loads a β that is not one number (nigt/betas.py)."""

import inspect
from typing import Any

import tf_keras

from nigt.betas import Arnold, Beta, StartingAtFirstGradient

for _beta in (Arnold, StartingAtFirstGradient):
    tf_keras.saving.register_keras_serializable(package="nigt")(_beta)


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
