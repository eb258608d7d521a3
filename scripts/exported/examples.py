"""A run's data as arrays: what its programs draw batches from, and the batches that are evaluated."""

import numpy as np
import tensorflow as tf
from official.core import base_task
from official.core import config_definitions as cfg

from data.errors import InputError
from data.masking import MASK_SHARE, RANDOM_SHARE, SHARE, Masked, unmask
from data.vocabulary import Special
from trainers.experiment import Experiment
from trainers.input.files import list_files
from trainers.schema.tasks import BertPretraining, ResnetClassification

_AT_ONCE = 4096  # records


def training(experiment: Experiment, task: base_task.Task) -> tuple[dict[str, np.ndarray], dict]:
    """The training set, and the rule by which a program makes batches of it.

    Returns:
      Of BERT "tokens", uint16 [N, L], the records' sequences before they were masked; of the ResNet "images", uint8
      [N, height, width, channels] as stored, and "labels", uint8 [N]. The rule is a dict for programs.py: `kind`, and
      of BERT what data.masking.mask uses.

    Raises:
      InputError: The examples need more than a program does to them.
    """
    if isinstance(experiment.task, BertPretraining):
        return _text(experiment.task, task)
    if isinstance(experiment.task, ResnetClassification):
        return _images(experiment.task, task)
    raise InputError(f"experiment.task = @{experiment.task.gin_name}() is not exported")


def evaluation(task: base_task.Task, data: cfg.DataConfig) -> dict[str, np.ndarray]:
    """All batches of a split, stacked, by the names of lowering.Lowered's inputs; in their smallest exact types."""
    batches = [tf.nest.flatten(batch) for batch in task.build_inputs(data)]
    arrays = [_smallest(np.stack([tensor.numpy() for tensor in column])) for column in zip(*batches, strict=True)]
    spec = task.build_inputs(data).element_spec
    return dict(zip(sorted(spec) if isinstance(spec, dict) else ("images", "labels", "weights"), arrays, strict=True))


def _text(settings: BertPretraining, task: base_task.Task) -> tuple[dict[str, np.ndarray], dict]:
    special = Special()
    records = tf.data.TFRecordDataset(list_files(task.task_config.train_data.input_path))
    parts = []
    for batch in records.map(task.check_record, num_parallel_calls=tf.data.AUTOTUNE).batch(_AT_ONCE):
        named = {name: value.numpy() for name, value in batch.items()}
        if named["input_type_ids"].any():
            raise InputError(f"{settings.data_dir}: sequences of two segments are not exported; build others")
        masked = Masked(
            *(named[name] for name in ("input_word_ids", "input_mask", "masked_lm_positions")),
            *(named[name] for name in ("masked_lm_ids", "masked_lm_weights")),
        )
        parts.append(unmask(masked).astype(np.uint16))
    tokens = np.concatenate(parts)
    if not (tokens[:, 0] == special.cls).all():
        raise InputError(f"{settings.data_dir}: the ids of the special tokens are not 0 to 4, as a program takes them")
    # Near neighbours compress better; the programs draw in an order of their own.
    tokens = tokens[np.lexsort(tokens.T[::-1])]
    counts = np.arange(settings.sequence_length + 1)
    rule = {
        "kind": "text",
        "vocabulary_size": settings.vocabulary_size,
        "max_predictions": settings.max_predictions,
        # How many of n ordinary tokens are masked, as data.masking.mask counts them.
        "wanted": np.clip(np.rint(SHARE * counts), 1, settings.max_predictions).astype(int).tolist(),
        "first_ordinary": max(special.ids()) + 1,
        "pad": special.pad,
        "mask": special.mask,
        "mask_share": MASK_SHARE,
        "random_share": RANDOM_SHARE,
    }
    return {"tokens": tokens}, rule


def _images(settings: ResnetClassification, task: base_task.Task) -> tuple[dict[str, np.ndarray], dict]:
    if settings.crop != "none" or not settings.small_images:
        raise InputError("resnet_classification.crop: images that are cropped or resized are not exported; use 'none'")
    records = tf.data.TFRecordDataset(list_files(task.task_config.train_data.input_path))
    images, labels = [], []
    for batch, of_batch in records.map(task.check_record, num_parallel_calls=tf.data.AUTOTUNE).batch(_AT_ONCE):
        if batch.shape[1:] != (settings.image_size, settings.image_size, 3):
            raise InputError(f"{settings.data_dir}: images of another size than image_size are not exported")
        images.append(batch.numpy())
        labels.append(of_batch.numpy())
    whole = np.concatenate(images)
    if (whole == whole[..., :1]).all():  # grey
        whole = whole[..., :1]
    from official.vision.ops import preprocess_ops

    rule = {"kind": "images", "mean": list(preprocess_ops.MEAN_RGB), "deviation": list(preprocess_ops.STDDEV_RGB)}
    return {"images": np.ascontiguousarray(whole), "labels": _smallest(np.concatenate(labels))}, rule


def _smallest(array: np.ndarray) -> np.ndarray:
    """The array in the smallest integer type that holds it exactly, or as it is."""
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        return array
    for dtype in (np.uint8, np.int8, np.uint16, np.int16):
        if np.iinfo(dtype).min <= array.min() and array.max() <= np.iinfo(dtype).max:
            return array.astype(dtype)
    return array
