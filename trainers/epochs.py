"""Epochs to steps: the one place where the size of the training set and the batch give a run's lengths."""

import fractions
import math
from typing import Annotated

from pydantic import Field

from trainers.configurable import configurable

Images = Annotated[int, Field(gt=0, le=2**40)]
BatchSize = Annotated[int, Field(gt=0, le=2**20)]
Epochs = Annotated[float, Field(ge=0, le=1e6)]


def first_step(epoch: float, images: int, batch_size: int, stretch: fractions.Fraction | int = 1) -> int:
    """The first step t, counted from 0, that begins at or after an epoch: t·batch_size ≥ epoch·images.

    An epoch is images/batch_size steps, a fraction: batches run across its end, so that none is short and none of the
    images is left out.

    Args:
      epoch: Passes over the training set, from 0.
      images: In the training set.
      batch_size: Images a step, over all replicas.
      stretch: Factor on the steps of an epoch, for runs that keep the shape of a longer one.
    """
    return math.ceil(fractions.Fraction(epoch) * images / batch_size * stretch)


@configurable
def epochs_to_steps(epochs: Epochs, images: Images, batch_size: BatchSize) -> int:
    """Steps in so many epochs, rounded up; see first_step."""
    return first_step(epochs, images, batch_size)
