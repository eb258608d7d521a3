"""The run's log: our own lines on standard error and in train.log, without the chatter of the libraries below."""

import logging
import os
import pathlib
import sys
import warnings

import absl.logging
from orbit import controller

from data.errors import InputError
from trainers.checkout import ROOT
from trainers.running import actions, summary

_OURS = ROOT / "trainers"


class _OwnRecords(logging.Filter):
    """Passes this package's records, and everybody's errors."""

    def __init__(self, all_of_ours: bool):
        """all_of_ours: also the lines in whose place a terminal shows something else."""
        super().__init__()
        self._all_of_ours = all_of_ours

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg in (actions.PROGRESS, summary.DONE) and not self._all_of_ours:
            return False
        return record.levelno >= logging.ERROR or pathlib.Path(record.pathname).resolve().is_relative_to(_OURS)


def start(model_dir: str) -> None:
    """Sets up logging to standard error and, appending, to model_dir/train.log.

    Raises:
      InputError: If the directory cannot be written.
    """
    absl.logging.set_verbosity(absl.logging.INFO)
    formatter = logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")
    try:
        os.makedirs(model_dir, exist_ok=True)
        file = logging.FileHandler(os.path.join(model_dir, "train.log"))
    except OSError as error:
        raise InputError(f"{model_dir}: {error.strerror}; choose another --model_dir or MODEL_DIR") from error
    handler = absl.logging.get_absl_handler()
    for each, all_of_ours in ((file, True), (handler, not sys.stderr.isatty())):
        each.addFilter(_OwnRecords(all_of_ours))
        each.setFormatter(formatter)
    absl.logging.get_absl_logger().addHandler(file)
    # orbit prints each of its lines besides logging it; Watch says the same in one line.
    controller._log = absl.logging.debug
    # Keras warns at every call that the labels are no input of the model, and of the pooler that has no gradient.
    warnings.filterwarnings("ignore", module="tf_keras")
