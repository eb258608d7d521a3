"""The weights that a run starts from, where they are those of another run (init_checkpoint)."""

import hashlib
from collections.abc import Callable, Sequence

import tensorflow as tf
import tf_keras
from official.core import config_definitions as cfg

from data.errors import InputError, reason
from nigt import update

_SETTING = "init_checkpoint"
_SLOT = "optimizer/{}/{}/.ATTRIBUTES/VARIABLE_VALUE"


def find(path: str) -> str:
    """The checkpoint that a path names: itself, or the newest of a folder.

    Raises:
      InputError: There is none.
    """
    found = tf.train.latest_checkpoint(path) if tf.io.gfile.isdir(path) else path
    if not found or not tf.io.gfile.exists(f"{found}.index"):
        raise InputError(f"{_SETTING} = {path}: no such checkpoint; name one as RUN/ckpt-3000, or a folder of them")
    return found


def digest(path: str) -> str:
    """SHA-256 of a checkpoint's index, in hex; the index holds a checksum of every tensor.

    Raises:
      InputError: As `find`.
    """
    with tf.io.gfile.GFile(f"{find(path)}.index", "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def read(
    settings: cfg.TaskConfig,
    model: tf_keras.Model,
    given: Sequence[tf.Variable],
    initialize: Callable[[tf_keras.Model], None],
) -> None:
    """Gives the model a checkpoint's weights. Where NIGT has trained them they are x, and become w.

    Args:
      settings: Whose init_checkpoint is as `find` takes it.
      model: Built.
      given: Those of its variables that the checkpoint gives; the first that its own model trained.
      initialize: tf-models-official's, of the task.

    Raises:
      InputError: There is no such checkpoint, or it does not hold every variable in the model's shapes.
    """
    found = find(settings.init_checkpoint)
    try:
        initialize(model)
        _move_to_iterates(found, given)
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        raise InputError(f"{_SETTING} = {found}: of another model ({reason(error)}); name one of this model") from error


def _move_to_iterates(path: str, variables: Sequence[tf.Variable]) -> None:
    """Moves x to w (nigt/update.py) by the checkpoint's m and offsets; without these, as of Adam, x is w."""
    is_rounded = tf.bfloat16 in tf.train.load_checkpoint(path).get_variable_to_dtype_map().values()
    dtype = tf.bfloat16 if is_rounded else tf.float32  # of m alone; all else is float32
    state = tf.Module()
    state._momentums = [tf.Variable(tf.zeros(variable.shape, dtype)) for variable in variables]
    state._offsets = [tf.Variable(0.0) for _ in variables]
    tf.train.Checkpoint(optimizer=state).read(path).expect_partial()
    for variable, momentum, offset in zip(variables, state._momentums, state._offsets, strict=True):
        x = tf.convert_to_tensor(variable)
        variable.assign(update.iterate(x, tf.cast(momentum, x.dtype), tf.convert_to_tensor(offset)))
