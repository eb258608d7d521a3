"""A run's checkpoints after whatever ended it: damaged ones are set aside, unfinished ones removed."""

import os
import pathlib
import re
import shutil

import tensorflow as tf
from absl import logging

from data.errors import reason
from trainers.running.strategies import checkpoint_options

_NUMBERED = re.compile(r"^(?P<name>.+)-(?P<number>\d+)\.index$")


def plain(directory: pathlib.Path) -> pathlib.Path:
    """A path to a directory that TensorFlow cannot take for a pattern, good until the process ends.

    TensorFlow looks for `*`, `?` and brackets in a checkpoint's path when it reads or deletes one.
    """
    if not set(str(directory)) & set("*?[]\\"):
        return directory
    return pathlib.Path(f"/proc/self/fd/{os.open(directory, os.O_RDONLY | os.O_DIRECTORY)}")


def recover(directory: pathlib.Path, name: str) -> int | None:
    """Leaves whole checkpoints alone in a directory, and its `checkpoint` file naming the newest as the latest.

    Every tensor is read, which checks TensorFlow's checksum of it. A checkpoint that cannot be read is renamed to
    *.damaged and the one before it is used, which is logged.

    Args:
      directory: May be missing.
      name: The checkpoints' name before the number.

    Returns:
      The newest whole checkpoint's number; None without one.
    """
    found = {}
    for file in directory.glob(f"{name}-*.index"):
        match = _NUMBERED.match(file.name)
        if match and match["name"] == name:
            found[int(match["number"])] = str(file.with_suffix(""))
    whole = []
    for number in sorted(found, reverse=True):
        error = _damage(found[number])
        if error is None:
            whole.append(number)
        else:
            _set_aside(directory, f"{name}-{number}")
            before = max((n for n in found if n < number), default=None)
            instead = f"{name}-{before}" if before is not None else "nothing: from the beginning"
            logging.warning("%s is damaged (%s); trying %s", found[number], error, instead)
    _remove_leftovers(directory, name, whole)
    if whole:
        # By their names alone, so that the directory can be moved; with times, for without one a manager never deletes
        # a checkpoint. The state file is written under another name and renamed.
        names, times = [f"{name}-{number}" for number in sorted(whole)], [float(n + 1) for n in range(len(whole))]
        tf.compat.v1.train.update_checkpoint_state(
            str(directory.absolute()), names[-1], names, all_model_checkpoint_timestamps=times
        )
        return whole[0]
    (directory / "checkpoint").unlink(missing_ok=True)
    return None


def _damage(prefix: str) -> str | None:
    """Why a checkpoint cannot be read; None if it can."""
    try:
        reader = tf.train.load_checkpoint(prefix)
        for tensor in reader.get_variable_to_shape_map():
            reader.get_tensor(tensor)
    except Exception as error:  # IndexError, RuntimeError, OpError …: as TensorFlow's status happens to be translated
        return reason(error)
    return None


def _set_aside(directory: pathlib.Path, prefix: str) -> None:
    for file in directory.glob(f"{prefix}.*"):
        if not file.name.endswith(".damaged"):
            file.rename(file.with_name(file.name + ".damaged"))


def _remove_leftovers(directory: pathlib.Path, name: str, whole: list[int]) -> None:
    """Files of checkpoints that were never completed."""
    kept = {f"{name}-{number}" for number in whole}
    for file in directory.glob(f"{name}-*"):
        if file.name.endswith(".damaged") or (file.name.split(".")[0] in kept and "tempstate" not in file.name):
            continue
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    for file in directory.glob("checkpoint.tmp*"):
        file.unlink()


class BestCheckpoint:
    """best_ckpt/: the variables that had the highest metric so far.

    tf-models-official's own exporter notes a new best before it writes it, and loses it when the run is killed between.
    """

    NAME = "best_ckpt"

    def __init__(self, directory: pathlib.Path, checkpoint: tf.train.Checkpoint, best: float | None):
        """
        Args:
          directory: Made if missing.
          checkpoint: What is saved.
          best: The highest metric of the run's evaluations so far; None before the first.
        """
        self._checkpoint, self._best = checkpoint, best
        if recover(directory, self.NAME) is None:
            self._best = None
        self._manager = tf.train.CheckpointManager(checkpoint, str(directory), 1, checkpoint_name=self.NAME)

    def offer(self, value: float, step: int) -> None:
        """Saves the variables as they are if `value` is the highest so far."""
        if self._best is None or value > self._best or self._best != self._best:
            self._manager.save(checkpoint_number=step, options=checkpoint_options())
            self._best = value

    def read(self) -> bool:
        """Gives the variables the best values; False if there are none."""
        if self._manager.latest_checkpoint is None:
            return False
        restored = self._checkpoint.read(self._manager.latest_checkpoint, checkpoint_options())
        restored.assert_existing_objects_matched()
        return True
