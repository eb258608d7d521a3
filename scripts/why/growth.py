"""How far the weights have grown, by kind of layer, from what runs log with experiment.norms=True."""

import collections
import csv
import math
import pathlib
import re
from collections.abc import Iterable

import tensorflow as tf

from data.errors import InputError

# Of the encoder's variables by name: what they do. Biases and layer norm are not shown: NIGT does not normalize them.
KINDS = {
    "word embeddings": r"word_embeddings/",
    "position embeddings": r"position_embedding/",
    "query and key": r"self_attention/(query|key)/kernel",
    "value and output": r"self_attention/(value|attention_output)/kernel",
    "feed-forward": r"layer_\d+/(intermediate|output)/kernel",
}


def norms(run: pathlib.Path) -> dict[int, dict[str, float]]:
    """‖w‖ of each kind of layer by step, of a run's metrics.csv: all its variables taken together.

    Raises:
      InputError: The run did not log them.
    """
    squares: dict[int, dict[str, float]] = collections.defaultdict(lambda: dict.fromkeys(KINDS, 0.0))
    with open(run / "metrics.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] == "norms" and row["name"].startswith("norm/"):
                for kind, pattern in KINDS.items():
                    if re.search(pattern, row["name"]):
                        squares[int(row["step"])][kind] += float(row["value"]) ** 2
    if not squares:
        raise InputError(f'{run / "metrics.csv"}: no norms; run it with GIN="experiment.norms=True"')
    return {step: {kind: math.sqrt(value) for kind, value in of.items()} for step, of in sorted(squares.items())}


def initial(variables: Iterable[tf.Variable]) -> dict[str, float]:
    """‖w‖ of each kind of layer of a model as it is built.

    Args:
      variables: Its trainable variables.
    """
    squares = dict.fromkeys(KINDS, 0.0)
    for variable in variables:
        for kind, pattern in KINDS.items():
            if re.search(pattern, variable.name):
                squares[kind] += float((variable.numpy() ** 2).sum())
    return {kind: math.sqrt(value) for kind, value in squares.items()}
