"""Training records in an order that is a function of the seed, from any step on.

No iterator state is kept. The order of epoch e follows from (seed, e), and the augmentation of the epoch's record
number i from (seed, e, i). A run that resumes at step t works out the epoch and its place in it from t, and begins
there: what lies before it in that epoch passes by as raw records, read but not decoded; earlier epochs are not read.
"""

from collections.abc import Callable

import tensorflow as tf
from official.core import config_definitions as cfg

from trainers.input.files import count_records, list_files

Parse = Callable[[tf.Tensor, tf.Tensor], object]
ParseWeighted = Callable[[tf.Tensor, tf.Tensor], object]


def training_examples(
    params: cfg.DataConfig, parse: Parse, start_step: int, input_context: tf.distribute.InputContext | None
) -> tf.data.Dataset:
    """Endless batches for training, one a replica and step.

    Hosts share the files among them; where there are fewer files than hosts, the records.

    Args:
      params: input_path (TFRecord files, as list_files takes them), global_batch_size, seed, cycle_length (files that
        are read in turn), shuffle_buffer_size (in records; each that leaves the buffer is drawn from so many).
      parse: Takes a serialized tf.Example and a seed (int64, shape [2]) of its own; gives the tensors of one example.
      start_step: Steps that the run has taken already.
      input_context: The host's part of the batch under a distribution strategy.

    Raises:
      InputError: No file matches input_path, or one is empty; where start_step > 0, one is cut off.
      ValueError: The batch cannot be shared equally.
    """
    context = input_context or tf.distribute.InputContext()
    batch_size = context.get_per_replica_batch_size(params.global_batch_size)
    records = raw_records(params, start_step, context)

    def parse_numbered(epoch: tf.Tensor, number: tf.Tensor, record: tf.Tensor) -> object:
        host = tf.cast(context.input_pipeline_id, tf.int64)
        return parse(record, tf.stack([tf.constant(params.seed, tf.int64) + host * 2**32, epoch * 2**32 + number]))

    dataset = records.map(parse_numbered, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.batch(batch_size, drop_remainder=True)
    return dataset.prefetch(tf.data.AUTOTUNE)


def raw_records(params: cfg.DataConfig, start_step: int, context: tf.distribute.InputContext) -> tf.data.Dataset:
    """(epoch, number in the epoch, serialized record), from a step on; arguments as in training_examples."""
    hosts, host = context.num_input_pipelines, context.input_pipeline_id
    paths = list_files(params.input_path)
    by_file = len(paths) >= hosts
    if by_file:
        paths = paths[host::hosts]
    first_epoch = first_number = 0
    if start_step:
        count = sum(map(count_records, paths))
        if not by_file:
            count = (count - host + hosts - 1) // hosts
        # All replicas of the host draw from this one stream.
        first_epoch, first_number = divmod(start_step * (params.global_batch_size // hosts), count)

    def epoch_of_records(epoch: tf.Tensor) -> tf.data.Dataset:
        # TensorFlow mixes its global seed, or that of the graph at hand, into the seeds of a data set. This one is the
        # graph of this function alone; from 1 to 2^31 − 2, for 0 and its multiples modulo 2^31 − 1 cannot be combined
        # with a seed that is a tensor.
        tf.random.set_seed(params.seed % (2**31 - 2) + 1)
        names = tf.random.experimental.stateless_shuffle(tf.constant(paths), seed=tf.stack([params.seed, epoch]))
        dataset = tf.data.Dataset.from_tensor_slices(names).interleave(
            tf.data.TFRecordDataset, cycle_length=params.cycle_length, num_parallel_calls=1, deterministic=True
        )
        dataset = dataset.shuffle(params.shuffle_buffer_size, seed=epoch, reshuffle_each_iteration=False)
        if not by_file:
            dataset = dataset.shard(hosts, host)
        dataset = dataset.enumerate().skip(tf.where(epoch == first_epoch, tf.constant(first_number, tf.int64), 0))
        return dataset.map(lambda number, record: (epoch, number, record))

    return tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(epoch_of_records)


def evaluation_examples(
    params: cfg.DataConfig,
    parse: ParseWeighted,
    input_context: tf.distribute.InputContext | None,
    limit: int | None = None,
) -> tf.data.Dataset:
    """Every record (the first `limit`) once, in file order, in batches that are all full, as a TPU needs them.

    The last batch is filled up with copies of the first record that weigh nothing. All hosts get as many batches: of
    each global batch, every host and replica has its part.

    Args:
      params, input_context: As in training_examples.
      parse: Takes a serialized tf.Example and its weight, 1.0 or 0.0 (a float32 scalar); gives the tensors of one
        example, among them one that makes it count so much.
      limit: Records.
    """
    context = input_context or tf.distribute.InputContext()
    batch_size = context.get_per_replica_batch_size(params.global_batch_size)
    host_batch, host = params.global_batch_size // context.num_input_pipelines, context.input_pipeline_id
    records = tf.data.Dataset.from_tensor_slices(list_files(params.input_path))
    records = records.flat_map(tf.data.TFRecordDataset)
    if limit is not None:
        records = records.take(limit)
    filling = records.take(1).repeat(params.global_batch_size - 1)
    dataset = records.map(lambda record: (record, 1.0)).concatenate(filling.map(lambda record: (record, 0.0)))
    # What is left after the last full batch is filling alone.
    dataset = dataset.batch(params.global_batch_size, drop_remainder=True)
    if context.num_input_pipelines > 1:
        own = slice(host * host_batch, (host + 1) * host_batch)
        dataset = dataset.map(lambda records, weights: (records[own], weights[own]))
    dataset = dataset.unbatch().map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size, drop_remainder=True)
    # The records are few beside the training set and read at every evaluation: decode them once.
    return dataset.cache().prefetch(tf.data.AUTOTUNE) if params.cache else dataset.prefetch(tf.data.AUTOTUNE)
