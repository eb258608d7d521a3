"""The root of every gin file: one experiment."""

import functools
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, InstanceOf, model_validator

from trainers.configurable import Settings, configurable
from trainers.schema.optimizers import Nigt, Optimizer
from trainers.schema.schedules import Rate, Steps
from trainers.schema.tasks import Dtype, Task

if TYPE_CHECKING:
    from official.core import config_definitions as cfg


@configurable
class Experiment(Settings):
    """What one run is.

    Attributes:
      scale: Which of the two scales it is; where its results go.
      task: @bert_pretraining(), @resnet_classification(), or another of trainers/schema/tasks.py.
      optimizer: @nigt(), @adam(), @sgd(), or another of trainers/schema/optimizers.py.
      eta0: η0, the base learning rate, for the records of the run.
      train_steps, validation_interval, checkpoint_interval: Steps.
      steps_per_loop: Steps between two looks at the loss: a line of log, a check for NaN and for signals.
      seed: Of initialization, order, augmentation and dropout.
      keep_checkpoints: How many.
      strategy: See trainers.running.strategies.build.
      activations: bfloat16 on TPUs: the mixed_bfloat16 policy; variables, gradients and the optimizer stay float32.
      compile: Whether XLA compiles the training step, on one device; on a TPU it always does. Its dropout draws other
        masks.
      norms: Whether evaluations log ‖w‖ and the relative step of every variable (split "norms").
    """

    scale: Literal["paper", "laptop"]
    task: InstanceOf[Task]
    optimizer: InstanceOf[Optimizer]
    eta0: Rate
    train_steps: Steps
    validation_interval: Steps
    checkpoint_interval: Steps
    steps_per_loop: Steps
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    keep_checkpoints: Steps = 2
    strategy: Literal["one_device", "mirrored", "multi_worker_mirrored", "tpu"] = "one_device"
    activations: Dtype = "float32"
    compile: bool = False
    norms: bool = False

    @functools.cached_property
    def config(self) -> "cfg.ExperimentConfig":
        """What tf-models-official's trainer takes. The first look at it imports TensorFlow."""
        from trainers.model_garden.experiment import configuration

        return configuration(self)

    @model_validator(mode="after")
    def _compiles_for_one_device(self) -> Self:
        if self.compile and self.strategy != "one_device":
            raise ValueError(
                f"compile = True goes with strategy = 'one_device', not '{self.strategy}': inside a compiled step "
                "TensorFlow cannot sum over replicas, and on a TPU every step is compiled"
            )
        return self

    @model_validator(mode="after")
    def _has_two_samples_a_step(self) -> Self:
        size = self.task.batch_size
        if isinstance(self.optimizer, Nigt) and self.optimizer.adaptive == "algorithm2" and size % 2:
            raise ValueError(f'batch_size ({size}) must be even: adaptive = "algorithm2" splits each batch in two')
        return self
