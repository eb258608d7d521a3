"""The loss of a trained model by how frequent the masked token is (Kunstner et al., 2024, figure 1)."""

import pathlib

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import base_task, task_factory

from scripts.why import growth
from trainers import gin_files
from trainers.experiment import Experiment
from trainers.input.files import list_files
from trainers.running.run import prepare

GROUPS = 10  # of a tenth of the masked tokens each, the most frequent tokens first


def losses(run: pathlib.Path, step: int) -> list[float]:
    """The mean cross-entropy at w on validation, in nats, in each tenth of its masked tokens.

    Args:
      run: The run's directory.
      step: Of one of its checkpoints.

    Raises:
      InputError: It has no such checkpoint.
    """
    experiment, task = _task(run, f"bert_pretraining.init_checkpoint = {str(run / f'ckpt-{step}')!r}")
    model = task.build_model()
    task.initialize(model)
    batches = task.build_inputs(experiment.config.task.validation_data)
    found = [_of_batch(model, batch) for batch in batches]
    tokens, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    counts = _counts(experiment.config.task.train_data.input_path, int(tokens.max()) + 1)
    return [float(values[group].mean()) for group in by_frequency(tokens, counts)]


def initial_norms(run: pathlib.Path) -> dict[str, float]:
    """‖w‖ of each kind of layer before a run's first step: its seed makes the same weights again."""
    experiment, task = _task(run)
    prepare(experiment)
    return growth.initial(task.build_model().trainable_variables)


def _task(run: pathlib.Path, *bindings: str) -> tuple[Experiment, base_task.Task]:
    experiment = gin_files.load(str(run / "config.gin"), list(bindings))
    return experiment, task_factory.get_task(experiment.config.task)


def by_frequency(tokens: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """Places of the tokens in GROUPS parts of equal size: those that the training text has most often come first.

    Args:
      tokens: Numbers of the masked tokens, of shape (n,).
      counts: How often the training text has each.
    """
    order = np.lexsort((tokens, -counts[tokens]))  # equal counts: by number, so that a token stays together
    return np.array_split(order, GROUPS)


@tf.function
def _logits(model: tf_keras.Model, batch: dict[str, tf.Tensor]) -> tf.Tensor:
    return model(batch, training=False)["mlm_logits"]


def _of_batch(model: tf_keras.Model, batch: dict[str, tf.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Number and loss of each masked token that counts."""
    targets, logits = batch["masked_lm_ids"], tf.cast(_logits(model, batch), tf.float32)
    values = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    counting = batch["masked_lm_weights"].numpy() > 0
    return targets.numpy()[counting], values.numpy()[counting]


def _counts(pattern: str, size: int) -> np.ndarray:
    """How often the training records mask each token, which is as often as the text has it, but for a factor."""
    counts = np.zeros(size, np.int64)
    feature = {"masked_lm_ids": tf.io.VarLenFeature(tf.int64), "masked_lm_weights": tf.io.VarLenFeature(tf.float32)}
    for batch in tf.data.TFRecordDataset(list_files(pattern)).batch(4096):
        parsed = tf.io.parse_example(batch, feature)
        ids = parsed["masked_lm_ids"].values.numpy()[parsed["masked_lm_weights"].values.numpy() > 0]
        counts += np.bincount(ids[ids < size], minlength=size)
    return counts
