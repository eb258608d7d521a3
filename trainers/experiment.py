"""The root of every gin file: one experiment, as tf-models-official's ExperimentConfig."""

import dataclasses
from typing import Annotated, Literal

from official.core import config_definitions as cfg
from pydantic import Field

from trainers import baselines  # noqa: F401 (a gin file may name the baselines)
from trainers.configurable import configurable
from trainers.optimizers import OptimizationConfig
from trainers.running import strategies  # noqa: F401 (a gin file may name the baselines)
from trainers.schedules import Steps
from trainers.tasks.bert import BertPretrainingConfig
from trainers.tasks.resnet import ResnetConfig


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What one run is.

    Attributes:
      config: What tf-models-official's trainer takes.
      task, optimizer: Their names: "bert" or "resnet"; the optimizer factory's.
      scale: "paper" or "laptop".
      eta0: η0, the base learning rate.
      seed: Of initialization, order, augmentation and dropout.
    """

    config: cfg.ExperimentConfig
    task: str
    optimizer: str
    scale: str
    eta0: float
    seed: int


@configurable
def experiment(
    scale: Literal["paper", "laptop"],
    task: BertPretrainingConfig | ResnetConfig,
    optimizer: OptimizationConfig,
    eta0: Annotated[float, Field(gt=0)],
    train_steps: Steps,
    validation_interval: Steps,
    checkpoint_interval: Steps,
    steps_per_loop: Steps,
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0,
    keep_checkpoints: Steps = 2,
    strategy: strategies.Name = "one_device",
    activations: Literal["float32", "bfloat16"] = "float32",
) -> Experiment:
    """One experiment.

    Args:
      scale: Which of the two scales it is; where its results go.
      task: @bert_pretraining() or @resnet_classification().
      optimizer: @nigt(), @adam(), @sgd(), or one of trainers/baselines.py.
      eta0: η0, for the records of the run.
      train_steps, validation_interval, checkpoint_interval: Steps.
      steps_per_loop: Steps between two looks at the loss: a line of log, a check for NaN and for signals.
      seed: See Experiment.
      keep_checkpoints: How many.
      strategy: See strategies.build.
      activations: bfloat16 on TPUs: the mixed_bfloat16 policy; variables, gradients and the optimizer stay float32.
    """
    batch_size = task.train_data.global_batch_size
    if optimizer.optimizer.type == "nigt" and optimizer.optimizer.nigt.adaptive == "algorithm2" and batch_size % 2:
        raise ValueError(f'batch_size ({batch_size}) must be even: adaptive = "algorithm2" splits each batch in two')
    for data in (task.train_data, task.selection_data, task.validation_data):
        data.seed = seed
    runtime = cfg.RuntimeConfig(
        distribution_strategy=strategy,
        mixed_precision_dtype=None if activations == "float32" else activations,
        num_gpus=0,
    )
    trainer = cfg.TrainerConfig(
        optimizer_config=optimizer,
        train_steps=train_steps,
        validation_interval=validation_interval,
        validation_steps=-1,
        checkpoint_interval=checkpoint_interval,
        steps_per_loop=steps_per_loop,
        summary_interval=steps_per_loop,
        max_to_keep=keep_checkpoints,
        recovery_max_trials=-1,  # a NaN is reported as divergence, not tried again
    )
    return Experiment(
        config=cfg.ExperimentConfig(task=task, trainer=trainer, runtime=runtime),
        task="bert" if isinstance(task, BertPretrainingConfig) else "resnet",
        optimizer=optimizer.optimizer.type,
        scale=scale,
        eta0=float(eta0),
        seed=seed,
    )
