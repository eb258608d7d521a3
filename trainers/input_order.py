"""Training records in an order that is a function of the seed, from any step on.

No iterator state is kept: example number i of the run, and the seed of its augmentation, follow from (seed, i).
A run that resumes at step t reads from example t × batch on. What lies before it is skipped as raw records, which costs
reading, not decoding.
"""

from collections.abc import Callable

import tensorflow as tf
from official.core import config_definitions as cfg

from data.errors import InputError

Parse = Callable[[tf.Tensor, tf.Tensor], object]


def training_examples(
    params: cfg.DataConfig, parse: Parse, start_step: int, input_context: tf.distribute.InputContext | None
) -> tf.data.Dataset:
    """Endless batches for training.

    Args:
      params: input_path (a glob of TFRecord files), global_batch_size, seed, cycle_length and shuffle_buffer_size (in
        records; each record that leaves the buffer is drawn from so many).
      parse: Takes a serialized tf.Example and a seed (int64, shape [2]) of its own; gives the tensors of one example.
      start_step: Batches that the run has consumed already.
      input_context: The host's part of the batch under a distribution strategy.

    Raises:
      InputError: If no file matches input_path.
    """
    context = input_context or tf.distribute.InputContext()
    batch_size = context.get_per_replica_batch_size(params.global_batch_size)
    files = _files(params.input_path)
    dataset = tf.data.Dataset.from_tensor_slices(files)
    if len(files) >= context.num_input_pipelines > 1:
        dataset = dataset.shard(context.num_input_pipelines, context.input_pipeline_id)
    dataset = dataset.shuffle(len(files), seed=params.seed, reshuffle_each_iteration=True)
    dataset = dataset.interleave(
        tf.data.TFRecordDataset, cycle_length=params.cycle_length, num_parallel_calls=1, deterministic=True
    )
    dataset = dataset.shuffle(params.shuffle_buffer_size, seed=params.seed, reshuffle_each_iteration=True).repeat()
    dataset = dataset.enumerate().skip(start_step * batch_size)

    def parse_numbered(number, record):
        host = tf.cast(context.input_pipeline_id, tf.int64)
        return parse(record, tf.stack([tf.constant(params.seed, tf.int64) + host * 2**32, number]))

    dataset = dataset.map(parse_numbered, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.batch(batch_size, drop_remainder=True)
    return dataset.prefetch(tf.data.AUTOTUNE)


def evaluation_examples(
    params: cfg.DataConfig, parse: Parse, input_context: tf.distribute.InputContext | None, limit: int | None = None
) -> tf.data.Dataset:
    """Every record (the first `limit`) once, in file order, the last batch as short as it comes out.

    Arguments as in training_examples.
    """
    context = input_context or tf.distribute.InputContext()
    dataset = tf.data.Dataset.from_tensor_slices(_files(params.input_path)).flat_map(tf.data.TFRecordDataset)
    if limit is not None:
        dataset = dataset.take(limit)
    if context.num_input_pipelines > 1:
        dataset = dataset.shard(context.num_input_pipelines, context.input_pipeline_id)
    no_seed = tf.zeros([2], tf.int64)
    dataset = dataset.map(lambda record: parse(record, no_seed), num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(context.get_per_replica_batch_size(params.global_batch_size))
    # The records are few beside the training set and read at every evaluation: decode them once.
    return dataset.cache().prefetch(tf.data.AUTOTUNE) if params.cache else dataset.prefetch(tf.data.AUTOTUNE)


def _files(pattern: str) -> list[str]:
    files = sorted(tf.io.gfile.glob(pattern))
    if not files:
        raise InputError(f"{pattern}: no such files; build the data, or correct data_dir in the gin file")
    return files
