"""Where a run computes: one device, all of a machine's, several machines, or a TPU, by one name."""

import json
import os
import pathlib
import shutil
import tempfile

import tensorflow as tf
from official.common import distribute_utils

from data.errors import InputError, reason

# Tensors of a pod's workers come to the process that drives them, whose disk it is; a worker would write to its own.
_IO_DEVICE = "/job:localhost"


def build(name: str, tpu: str | None = None) -> tf.distribute.Strategy:
    """The strategy of that name, before TensorFlow has computed anything (several machines need that).

    Args:
      name: As Experiment.strategy. "one_device": the first GPU, or the CPU; "mirrored": all GPUs, or all logical CPUs;
        "multi_worker_mirrored": the same on each machine of TF_CONFIG; "tpu".
      tpu: The TPU's name; None: that of the environment variable TPU_NAME. It is "local" on a host with its own TPU
        (v3-8), and a pod's name on the pod's worker 0: with "local", tf-models-official does not connect to the others.

    Raises:
      InputError: There is no such device or cluster.
    """
    if name == "tpu":
        tpu = tpu or os.environ.get("TPU_NAME")
        if not tpu:
            raise InputError(
                "experiment.strategy is tpu and TPU_NAME is not set: launch on one (make … TPU=v3-8 ZONE=… PROJECT=… "
                "BUCKET=…), or give GIN=\"strategy='one_device'\""
            )
        try:
            return distribute_utils.get_distribution_strategy("tpu", tpu_address=tpu)
        except (ValueError, OSError, RuntimeError, tf.errors.OpError) as error:
            raise InputError(
                f"strategy = 'tpu': no TPU to be had ({reason(error)}); run on a TPU VM, or choose another"
            ) from error
    if name == "multi_worker_mirrored":
        task_index()
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    devices = [device.name for device in gpus or tf.config.list_logical_devices("CPU")]
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy(devices[0])
    # NCCL and the others of MirroredStrategy's choice are for GPUs.
    return tf.distribute.MirroredStrategy(devices, None if gpus else tf.distribute.HierarchicalCopyAllReduce())


def gpus() -> str:
    """The GPUs that TensorFlow sees, as ", 8 × NVIDIA H100"; nothing without one."""
    found = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in found]
    return "".join(f", {names.count(name)} × {name}" for name in dict.fromkeys(names))


def require_even_shares(strategy: tf.distribute.Strategy, sizes: dict[str, int]) -> None:
    """Each replica takes as many examples of a batch.

    Args:
      sizes: In examples, of the batches, by their settings' names.

    Raises:
      InputError: A batch cannot be shared.
    """
    replicas = strategy.num_replicas_in_sync
    for name, size in sizes.items():
        if size % replicas:
            raise InputError(
                f"{name} is {size}, which {replicas} replicas cannot share; make it a multiple of {replicas}"
            )


def task_index() -> int:
    """This process's number in TF_CONFIG; 0 is the chief.

    Raises:
      InputError: TF_CONFIG is missing or no cluster of workers.
    """
    text = os.environ.get("TF_CONFIG", "")
    try:
        content = json.loads(text or "{}")
        index, workers = int(content["task"]["index"]), content["cluster"]["worker"]
        if content["task"]["type"] == "worker" and set(content["cluster"]) == {"worker"} and 0 <= index < len(workers):
            return index
    except (ValueError, KeyError, TypeError):
        pass
    raise InputError(
        f"TF_CONFIG is {text or 'not set'}: multi_worker_mirrored needs, for the first of two, "
        '\'{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}\''
    )


def agree(strategy: tf.distribute.Strategy, value: int) -> int:
    """The chief's value, on all workers; a barrier besides. The others pass 0."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return value
    values = strategy.run(lambda: tf.constant(value, tf.int64))
    # A worker with several replicas gives its value several times.
    return int(strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)) // len(_local(strategy, values))


def _local(strategy: tf.distribute.Strategy, values: object) -> tuple:
    return strategy.experimental_local_results(values)


def checkpoint_options() -> tf.train.CheckpointOptions:
    """How checkpoints are read and written under the present strategy."""
    return tf.train.CheckpointOptions(experimental_io_device=_IO_DEVICE if _is_tpu() else None)


def save_options() -> tf.saved_model.SaveOptions:
    """How a SavedModel is written under the present strategy."""
    return tf.saved_model.SaveOptions(experimental_io_device=_IO_DEVICE if _is_tpu() else None)


def _is_tpu() -> bool:
    return isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy)


class WorkerDirectory:
    """In the place of the run's directory on all workers but the chief: nothing that they write is kept.

    Checkpoints and evaluations are work that all workers do together; the chief's files are the run's.

    Attributes:
      path: A temporary folder.
    """

    def __init__(self, chief: str):
        """chief: The run's directory, which all workers see."""
        self._chief, self.path = pathlib.Path(chief), pathlib.Path(tempfile.mkdtemp(prefix="worker-"))
        tempfile.tempdir = str(self.path)  # where tf-models-official puts such a worker's checkpoints

    def follow(self) -> None:
        """Copies what the run has evaluated so far: all workers have to do the same from here on."""
        if (self._chief / "metrics.csv").exists():
            shutil.copy(self._chief / "metrics.csv", self.path)
        if (self._chief / "best_ckpt").exists():
            shutil.copytree(self._chief / "best_ckpt", self.path / "best_ckpt")

    def begin(self, steps: int) -> None:
        """As RunDirectory's, and nothing."""

    def update(self, status: str, steps: int) -> None:
        """As RunDirectory's, and nothing."""

    def close(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
