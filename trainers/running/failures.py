"""What an error of the libraries below means for the user of a run: one line, what went wrong and how to mend it."""

import os
import pathlib
import re
import traceback
from collections.abc import Callable

import tensorflow as tf

from data.errors import InputError, RunError, reason
from trainers.input import files
from trainers.running.held import DISK_FULL

_INPUT = re.compile("IteratorGetNext|GetNextFromShard")  # in an error that comes out of the input's graph


def explained(
    error: Exception, directory: pathlib.Path, step: int, patterns: list[str], check: Callable[[tf.Tensor], object]
) -> Exception:
    """One of this project's exceptions for an error of a run; the error itself goes to its train.log.

    Args:
      error: An OSError or one of TensorFlow's.
      directory: The run's.
      step: Of its last checkpoint.
      patterns: Of its input files.
      check: Raises InvalidArgumentError in a graph where a serialized record does not fit.
    """
    again = f"the same command goes on from step {step}"
    disk_full = _is_disk_full(error)
    with open(os.devnull if disk_full else directory / "train.log", "a") as file:
        traceback.print_exception(error, file=file)
    if disk_full:
        return RunError(f"{directory}: the disk is full; free some space, and {again}")
    if isinstance(error, OSError):
        return RunError(f"{error.filename or directory}: {error.strerror}; mend that, and {again}")
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return RunError(f"out of memory ({reason(error)}); lower batch_size or the model's sizes in the gin file")
    is_loss = isinstance(error, tf.errors.DataLossError)
    if is_loss or _INPUT.search(str(error)):
        if found := files.find_damage(patterns, check):
            damaged, number, fault = found
            where = f"{damaged}: record {number} (counted from 0)"
            if isinstance(fault, tf.errors.DataLossError):
                return InputError(f"{where} is damaged or cut off; build the data again")
            return InputError(f"{where} does not fit: {reason(fault)}; build the data again, or correct the gin file")
        if is_loss:
            return RunError(f"{', '.join(patterns)}: a read failed that now succeeds; check the disk, and {again}")
    if isinstance(error, tf.errors.InvalidArgumentError):
        return InputError(f"the sizes in the gin file do not fit the records ({reason(error)}); correct them")
    return RunError(f"{reason(error)} ({type(error).__name__}; more in {directory / 'train.log'}); {again}")


def _is_disk_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in DISK_FULL
    return any(os.strerror(number) in str(error) for number in DISK_FULL)
