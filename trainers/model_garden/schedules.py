"""The learning-rate schedules of trainers/schema for tf-models-official. t counts steps from 0; T: all, W: warm-up."""

import dataclasses

import tensorflow as tf
import tf_keras
from official.modeling import optimization
from official.modeling.hyperparams import base_config
from official.modeling.optimization import optimizer_factory

from trainers.schema import schedules


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


def configuration(schedule: schedules.Schedule) -> tuple[LearningRateConfig, optimization.WarmupConfig]:
    """The schedule as tf-models-official's OptimizationConfig takes it: its learning_rate and its warmup."""
    if isinstance(schedule, schedules.WarmupStepDecay):
        return _steps(schedule)
    if not isinstance(schedule, schedules.WarmupPolynomialDecay):
        raise TypeError(f"{schedule!r}: not one of trainers/schema/schedules.py")
    polynomial = WarmupPolynomialConfig(
        initial_learning_rate=schedule.eta0,
        warmup_steps=schedule.warmup_steps,
        decay_steps=schedule.train_steps,
        power=schedule.power,
    )
    return LearningRateConfig(type="warmup_polynomial", warmup_polynomial=polynomial), optimization.WarmupConfig()


def _steps(schedule: schedules.WarmupStepDecay) -> tuple[LearningRateConfig, optimization.WarmupConfig]:
    boundaries = schedule.boundaries
    stepwise = optimization.StepwiseLrConfig(
        # The library keeps the old rate at a boundary itself; epoch 30 begins at its first step.
        boundaries=[boundary - 1 for boundary in boundaries],
        values=[schedule.eta0 * schedule.factor**i for i in range(len(boundaries) + 1)],
    )
    warmup = optimization.LinearWarmupConfig(warmup_steps=schedule.warmup_steps, warmup_learning_rate=0.0)
    return (
        LearningRateConfig(type="stepwise", stepwise=stepwise),
        optimization.WarmupConfig(type="linear", linear=warmup),
    )
