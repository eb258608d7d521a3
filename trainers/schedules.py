"""The learning-rate schedules of section 5. t counts steps from 0, T is the run's length, W the warm-up's."""

import dataclasses
from typing import Annotated

import tensorflow as tf
import tf_keras
from official.modeling import optimization
from official.modeling.hyperparams import base_config
from official.modeling.optimization import optimizer_factory
from pydantic import Field

from trainers.configurable import configurable
from trainers.epochs import BatchSize, Images, first_step

# The schedules count in float32, which is exact up to 2^24: 33 times the longest run here.
Steps = Annotated[int, Field(gt=0, le=2**24)]
Epoch = Annotated[float, Field(gt=0, le=1e6)]
Rate = Annotated[float, Field(gt=0, le=1e4, allow_inf_nan=False)]  # for Algorithm 2 a factor, best at 100


class WarmupPolynomialDecay(tf_keras.optimizers.schedules.LearningRateSchedule):
    """η0·t/W for t < W, then η0·(1 − t/T)^p: Devlin et al.'s schedule (p = 1), and section 5.1's for ResNet (p = 2).

    tf-models-official's own combination of warm-up and polynomial decay ends the warm-up at η0·(1 − W/T)^p instead.
    """

    def __init__(self, initial_learning_rate: float, warmup_steps: int, decay_steps: int, power: float):
        super().__init__()
        self._config = {
            "initial_learning_rate": initial_learning_rate,
            "warmup_steps": warmup_steps,
            "decay_steps": decay_steps,
            "power": power,
        }

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The learning rate of step t, a float32 scalar; 0 from T on."""
        t = tf.cast(step, tf.float32)
        eta0 = tf.constant(self._config["initial_learning_rate"], tf.float32)
        warmup_steps = float(self._config["warmup_steps"])
        remaining = tf.maximum(1 - t / self._config["decay_steps"], 0.0)
        decayed = eta0 * tf.pow(remaining, self._config["power"])
        return tf.where(t < warmup_steps, eta0 * t / max(warmup_steps, 1.0), decayed)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return dict(self._config)


@dataclasses.dataclass
class WarmupPolynomialConfig(base_config.Config):
    """See WarmupPolynomialDecay."""

    initial_learning_rate: float = 0.0
    warmup_steps: int = 0
    decay_steps: int = 0
    power: float = 1.0


@dataclasses.dataclass
class LearningRateConfig(optimization.LrConfig):
    """tf-models-official's schedules and ours."""

    warmup_polynomial: WarmupPolynomialConfig = dataclasses.field(default_factory=WarmupPolynomialConfig)


optimizer_factory.LR_CLS["warmup_polynomial"] = WarmupPolynomialDecay


@dataclasses.dataclass
class Schedule:
    """A schedule as tf-models-official's OptimizationConfig takes it: its learning_rate and its warmup."""

    learning_rate: LearningRateConfig
    warmup: optimization.WarmupConfig


@configurable
def warmup_polynomial_decay(
    eta0: Rate,
    train_steps: Steps,
    warmup_steps: Annotated[int, Field(ge=0, le=2**24)],
    power: Annotated[float, Field(gt=0, le=100)],
) -> Schedule:
    """η0·t/W for t < W, then η0·(1 − t/T)^power (section 5.1). Steps; power 1 for BERT, 2 for ResNet."""
    if warmup_steps >= train_steps:
        raise ValueError(f"warmup_steps ({warmup_steps}) must be below train_steps ({train_steps})")
    return Schedule(
        learning_rate=LearningRateConfig(
            type="warmup_polynomial",
            warmup_polynomial=WarmupPolynomialConfig(
                initial_learning_rate=float(eta0),
                warmup_steps=warmup_steps,
                decay_steps=train_steps,
                power=float(power),
            ),
        ),
        warmup=optimization.WarmupConfig(),
    )


@configurable
def warmup_step_decay(
    eta0: Rate,
    train_steps: Steps,
    images: Images,
    batch_size: BatchSize,
    epochs: Epoch = 90.0,
    warmup_epochs: Annotated[float, Field(ge=0, le=1e6)] = 5,
    boundary_epochs: tuple[Epoch, ...] | list[Epoch] = (30, 60, 80),
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1,
) -> Schedule:
    """Warm-up from 0 to η0 in 5 epochs, then η0 divided by 10 at epochs 30, 60 and 80 of 90 (section 5.3).

    Args:
      eta0: η0.
      train_steps: The run's length. If it is not that of `epochs`, all is shortened or lengthened in proportion.
      images, batch_size: They make the epochs steps, see trainers/epochs.py.
      epochs, warmup_epochs, boundary_epochs: In epochs.
      factor: On the rate, at each boundary.
    """
    run = (train_steps, epochs)
    boundaries = [first_step(epoch, images, batch_size, run) for epoch in boundary_epochs]
    warmup_steps = first_step(warmup_epochs, images, batch_size, run)
    if sorted(set(boundaries)) != boundaries or not warmup_steps < boundaries[0] or not boundaries[-1] < train_steps:
        raise ValueError(
            f"{train_steps} steps are too few to hold the boundaries {list(boundary_epochs)} of {epochs:g} epochs apart"
        )
    return Schedule(
        learning_rate=LearningRateConfig(
            type="stepwise",
            stepwise=optimization.StepwiseLrConfig(
                # The library keeps the old rate at a boundary itself; epoch 30 begins at its first step.
                boundaries=[boundary - 1 for boundary in boundaries],
                values=[eta0 * factor**i for i in range(len(boundaries) + 1)],
            ),
        ),
        warmup=optimization.WarmupConfig(
            type="linear", linear=optimization.LinearWarmupConfig(warmup_steps=warmup_steps, warmup_learning_rate=0.0)
        ),
    )
