"""Epochs to steps: the one place where the size of the training set and the batch give a run's lengths."""

import fractions
import math
from typing import Annotated

from pydantic import Field

from trainers.configurable import configurable

Images = Annotated[int, Field(gt=0, le=2**40)]
BatchSize = Annotated[int, Field(gt=0, le=2**20)]
Epochs = Annotated[float, Field(ge=0, le=1e6)]


def first_step(epoch: float, images: int, batch_size: int, run: tuple[int, float] | None = None) -> int:
    """The first step t, counted from 0, that begins at or after an epoch: t·batch_size ≥ epoch·images.

    An epoch is images/batch_size steps, a fraction: batches run across its end, so that none is short and none of the
    images is left out.

    Args:
      epoch: Passes over the training set, from 0.
      images: In the training set.
      batch_size: Images a step, over all replicas.
      run: (steps, epochs) of a run that keeps the shape of a longer one: so many steps stand for so many epochs.
    """
    steps = fractions.Fraction(epoch) * images / batch_size
    return math.ceil(steps * fractions.Fraction(run[0], first_step(run[1], images, batch_size)) if run else steps)


@configurable
def epochs_to_steps(
    epochs: Epochs,
    images: Images,
    batch_size: BatchSize,
    run_steps: Annotated[int, Field(gt=0)] | None = None,
    run_epochs: Annotated[float, Field(gt=0, le=1e6)] | None = None,
) -> int:
    """Steps in so many epochs, rounded up.

    Args:
      epochs, images, batch_size: See first_step.
      run_steps, run_epochs: If given, the run's length in both: where run_steps has been set by hand, the epochs shrink
        with it.
    """
    if (run_steps is None) != (run_epochs is None):
        raise ValueError("epochs_to_steps: give run_steps and run_epochs both, or neither")
    run = None if run_steps is None else (run_steps, run_epochs)
    return first_step(epochs, images, batch_size, run)
