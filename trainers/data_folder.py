"""Whether a run's data is there, told before TensorFlow is imported, and how to get it."""

import os

from data.documents import SPLITS
from data.errors import InputError
from trainers.experiment import Experiment


def how_to_get_it(experiment: Experiment) -> str:
    """What to do where a run's files are missing: the second half of a line."""
    command = experiment.task.made_by.get(experiment.scale, "build them (docs/extend.md)")
    return f"{command}; or correct {experiment.task.gin_name}.data_dir"


def require(experiment: Experiment) -> None:
    """Refuses a folder on this machine without files of each split; what lies in a bucket the run itself looks at.

    Raises:
      InputError.
    """
    folder = experiment.task.data_dir
    if "://" in folder:
        return
    names = os.listdir(folder) if os.path.isdir(folder) else []
    for split in SPLITS:
        if not any(name.startswith(f"{split}-") for name in names):
            raise InputError(f"{os.path.join(folder, split)}-*: no such files; {how_to_get_it(experiment)}")
