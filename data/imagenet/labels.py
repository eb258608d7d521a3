"""ILSVRC2012's labels: which class each image has, by its file name, from the tables in TensorFlow Datasets."""

import functools
import importlib.resources
import re

_TABLES = importlib.resources.files("tensorflow_datasets") / "datasets" / "imagenet2012"
_TRAIN = re.compile(r"(n\d{8})_\d+\.JPEG")
_VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")

# Russakovsky et al. (2015), table 2.
COUNTS = {"train": 1_281_167, "validation": 50_000}


@functools.cache
def synsets() -> list[str]:
    """The 1000 WordNet identifiers; a class's label, 0 … 999, is its place."""
    return (_TABLES / "labels.txt").read_text().split()


@functools.cache
def _label_of() -> dict[str, int]:
    return {synset: label for label, synset in enumerate(synsets())}


@functools.cache
def validation_synsets() -> list[str]:
    """The classes of the 50,000 validation images, in the order of their numbers, which begin at 1."""
    return (_TABLES / "validation_labels.txt").read_text().split()


def true_label(split: str, name: str) -> int:
    """The label, 0 … 999, of an image.

    Args:
      split: "train" or "validation".
      name: "n01440764_10026.JPEG" or "ILSVRC2012_val_00000293.JPEG".

    Raises:
      LookupError: ILSVRC2012 has no image of this name in this split.
    """
    match = (_TRAIN if split == "train" else _VALIDATION).fullmatch(name)
    if match and split == "train" and match[1] in _label_of():
        return _label_of()[match[1]]
    if match and split != "train" and 1 <= int(match[1]) <= len(validation_synsets()):
        return _label_of()[validation_synsets()[int(match[1]) - 1]]
    raise LookupError(f"ILSVRC2012 has no {split} image named {name!r}")
