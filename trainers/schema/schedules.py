"""The learning-rate schedules of section 5, and epochs as steps. t counts steps from 0, T is the run's length."""

import fractions
import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from trainers.configurable import Settings, configurable

# The schedules count in float32, which is exact up to 2^24: 33 times the longest run here.
Steps = Annotated[int, Field(gt=0, le=2**24)]
Images = Annotated[int, Field(gt=0, le=2**40)]
BatchSize = Annotated[int, Field(gt=0, le=2**20)]
Epochs = Annotated[float, Field(ge=0, le=1e6)]
Epoch = Annotated[float, Field(gt=0, le=1e6)]
Rate = Annotated[float, Field(gt=0, le=1e4, allow_inf_nan=False)]  # for Algorithm 2 a factor, best at 100


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
    run_epochs: Epoch | None = None,
) -> int:
    """Steps in so many epochs, rounded up.

    Args:
      epochs, images, batch_size: See first_step.
      run_steps, run_epochs: If given, the run's length in both: where run_steps has been set by hand, the epochs shrink
        with it.
    """
    if (run_steps is None) != (run_epochs is None):
        raise ValueError("epochs_to_steps: give run_steps and run_epochs both, or neither")
    run = None if run_steps is None or run_epochs is None else (run_steps, run_epochs)
    return first_step(epochs, images, batch_size, run)


@configurable
def share_of_steps(
    steps: Steps,
    share: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(gt=0)]],
    least: Annotated[int, Field(ge=0)] = 0,
) -> int:
    """A share of so many steps, to the nearest step.

    Args:
      steps: Of the run.
      share: (5, 90): 5 of 90.
      least: Steps, however short the run is.
    """
    return max(least, math.floor(fractions.Fraction(*share) * steps + fractions.Fraction(1, 2)))


class Schedule(Settings):
    """A learning-rate schedule."""


@configurable
class WarmupPolynomialDecay(Schedule):
    """η0·t/W for t < W, then η0·(1 − t/T)^power (section 5.1). Steps; power 1 for BERT, 2 for ResNet."""

    eta0: Rate
    train_steps: Steps
    warmup_steps: Annotated[int, Field(ge=0, le=2**24)]
    power: Annotated[float, Field(gt=0, le=100)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.warmup_steps >= self.train_steps:
            raise ValueError(
                f"{self.gin_name}.warmup_steps ({self.warmup_steps}) must be below train_steps ({self.train_steps})"
            )
        return self


@configurable
class WarmupStepDecay(Schedule):
    """Warm-up from 0 to η0 in 5 epochs, then η0 divided by 10 at epochs 30, 60 and 80 of 90 (section 5.3).

    Attributes:
      eta0: η0.
      train_steps: The run's length. If it is not that of `epochs`, all is shortened or lengthened in proportion.
      images, batch_size: They make the epochs steps, see first_step.
      epochs, warmup_epochs, boundary_epochs: In epochs.
      factor: On the rate, at each boundary.
    """

    eta0: Rate
    train_steps: Steps
    images: Images
    batch_size: BatchSize
    epochs: Epoch = 90.0
    warmup_epochs: Epochs = 5
    boundary_epochs: tuple[Epoch, ...] | list[Epoch] = (30, 60, 80)
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1

    @property
    def warmup_steps(self) -> int:
        """Steps of the warm-up."""
        return self._step(self.warmup_epochs)

    @property
    def boundaries(self) -> list[int]:
        """The first step of each boundary's epoch."""
        return [self._step(epoch) for epoch in self.boundary_epochs]

    def _step(self, epoch: float) -> int:
        return first_step(epoch, self.images, self.batch_size, (self.train_steps, self.epochs))

    @model_validator(mode="after")
    def _holds_its_boundaries(self) -> Self:
        steps = [self.warmup_steps, *self.boundaries, self.train_steps]
        if sorted(set(steps)) != steps:
            raise ValueError(
                f"{self.gin_name}: {self.train_steps} steps are too few to hold the boundaries "
                f"{list(self.boundary_epochs)} of {self.epochs:g} epochs apart"
            )
        return self
