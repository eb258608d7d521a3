"""Whether a run's data is there, told before TensorFlow is imported, and how to get it."""

import os

from data.documents import SPLITS
from data.errors import InputError
from trainers.experiment import Experiment

_NOW = "SCALE=laptop trains a small model now; the paper's"
_COMMANDS = {
    ("laptop", "bert"): "make them with `make laptop-data`",
    ("laptop", "resnet"): "make them with `make laptop-data`",
    (
        "paper",
        "bert",
    ): f"{_NOW} text is made by `make bert-data DUMP=FILE BOOKS=FOLDER`, where DUMP is a "
    "pages-articles dump of Wikipedia (.xml.bz2, from dumps.wikimedia.org) and BOOKS a folder of .txt files, one a "
    "book (docs/bert_data.md)",
    ("paper", "resnet"): f"{_NOW} images are made by `make imagenet-data TARS=FOLDER`, where TARS is the folder of "
    "ILSVRC2012's two tar files (docs/imagenet.md)",
}


def how_to_get_it(experiment: Experiment) -> str:
    """What to do where a run's files are missing: the second half of a line."""
    command = _COMMANDS[experiment.scale, experiment.task.name]
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
