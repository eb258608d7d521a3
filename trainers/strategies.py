"""The distribution strategy of a run, and what a strategy asks of its checkpoints."""

import os

import tensorflow as tf
from official.common import distribute_utils
from official.core import config_definitions as cfg

from data.errors import InputError

# Tensors of a pod's workers come to the process that drives them, whose disk it is; a worker would write to its own.
_IO_DEVICE = "/job:localhost"


def build(runtime: cfg.RuntimeConfig) -> tf.distribute.Strategy:
    """The strategy of tf-models-official's name; a TPU is that of the environment variable TPU_NAME.

    TPU_NAME is "local" on a host with its own TPU (v3-8), and a pod's name on the pod's worker 0: with "local",
    tf-models-official does not connect to the other workers.

    Raises:
      InputError: strategy is "tpu" and there is no TPU_NAME.
    """
    address = runtime.tpu
    if runtime.distribution_strategy == "tpu" and not address:
        address = os.environ.get("TPU_NAME")
        if not address:
            raise InputError(
                "experiment.strategy is tpu and TPU_NAME is not set: launch on one (make … TPU=v3-8 ZONE=… PROJECT=… "
                "BUCKET=…), or give GIN=\"experiment.strategy='one_device'\""
            )
    return distribute_utils.get_distribution_strategy(
        distribution_strategy=runtime.distribution_strategy, num_gpus=runtime.num_gpus, tpu_address=address
    )


def checkpoint_options() -> tf.train.CheckpointOptions:
    """How checkpoints are read and written under the present strategy."""
    return tf.train.CheckpointOptions(experimental_io_device=_IO_DEVICE if _is_tpu() else None)


def save_options() -> tf.saved_model.SaveOptions:
    """How a SavedModel is written under the present strategy."""
    return tf.saved_model.SaveOptions(experimental_io_device=_IO_DEVICE if _is_tpu() else None)


def _is_tpu() -> bool:
    return isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy)
