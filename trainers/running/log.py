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
from trainers.running import actions

_OURS = ROOT / "trainers"


class _OwnRecords(logging.Filter):
    """Passes this package's records, and everybody's errors."""

    def __init__(self, progress: bool):
        """progress: whether to pass the lines that a progress bar shows as well."""
        super().__init__()
        self._progress = progress

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg == actions.PROGRESS and not self._progress:
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
    for each, progress in ((file, True), (handler, not sys.stderr.isatty())):
        each.addFilter(_OwnRecords(progress))
        each.setFormatter(formatter)
    absl.logging.get_absl_logger().addHandler(file)
    # orbit prints each of its lines besides logging it; Watch says the same in one line.
    controller._log = absl.logging.debug
    # Keras warns at every call that the labels are no input of the model, and of the pooler that has no gradient.
    warnings.filterwarnings("ignore", module="tf_keras")
