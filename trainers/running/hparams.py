"""η0 for TensorBoard's HParams page, which shows it beside the accuracy of every run."""

import pathlib

import tensorflow as tf
from tensorboard.plugins.hparams import api

from trainers.experiment import Experiment


def write(directory: pathlib.Path, experiment: Experiment, metric: str) -> None:
    """Writes η0, the optimizer's name and the seed among the events of the evaluations.

    Args:
      directory: The run's.
      experiment: What it trains.
      metric: Of the task, as the evaluations name it.
    """
    values = {"eta0": experiment.eta0, "optimizer": experiment.optimizer.name, "seed": experiment.seed}
    splits = ("validation", "selection")
    with tf.summary.create_file_writer(str(directory / "validation")).as_default():
        api.hparams_config(
            hparams=[api.HParam(name) for name in values],
            metrics=[api.Metric(metric, group=split, display_name=f"{metric} on {split}") for split in splits],
        )
        api.hparams(values, trial_id=directory.resolve().name)
