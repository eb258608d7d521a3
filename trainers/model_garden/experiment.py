"""An experiment as tf-models-official's ExperimentConfig."""

import importlib
from typing import TYPE_CHECKING

from official.core import config_definitions as cfg

from trainers.model_garden import optimizers

if TYPE_CHECKING:
    from trainers.experiment import Experiment


def configuration(experiment: "Experiment") -> cfg.ExperimentConfig:
    """What tf-models-official's trainer takes."""
    task = importlib.import_module(f"trainers.tasks.{experiment.task.name}").configuration(experiment.task)
    for data in (task.train_data, task.selection_data, task.validation_data):
        data.seed = experiment.seed
    trainer = cfg.TrainerConfig(
        optimizer_config=optimizers.configuration(experiment.optimizer),
        train_steps=experiment.train_steps,
        validation_interval=experiment.validation_interval,
        validation_steps=-1,
        checkpoint_interval=experiment.checkpoint_interval,
        steps_per_loop=experiment.steps_per_loop,
        summary_interval=experiment.steps_per_loop,
        max_to_keep=experiment.keep_checkpoints,
        recovery_max_trials=-1,  # a NaN is reported as divergence, not tried again
    )
    runtime = cfg.RuntimeConfig(
        distribution_strategy=experiment.strategy,
        mixed_precision_dtype=None if experiment.activations == "float32" else experiment.activations,
        enable_xla=experiment.compile,
        num_gpus=int(experiment.compile),  # read for this alone: whether enable_xla counts
    )
    return cfg.ExperimentConfig(task=task, trainer=trainer, runtime=runtime)
