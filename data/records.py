"""Sharded TFRecords of tf.train.Example, written under temporary names, and what BERT's masked sequences hold."""

import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from data.masking import Masked


def shard_names(split: str, shards: int) -> list[str]:
    """`train-00000-of-00004.tfrecord`, …"""
    return [f"{split}-{shard:05d}-of-{shards:05d}.tfrecord" for shard in range(shards)]


def write(folder: pathlib.Path, split: str, shards: int, count: int, example: Callable[[int], bytes]) -> list[str]:
    """Writes `count` records, as equally as possible, into `shards` consecutive shards.

    Args:
      folder: exists. A shard gets its name when it is whole.
      example: the serialised record by number, 0 … count-1.

    Returns:
      The names of the files.
    """
    # TensorFlow takes seconds to import; a call that only checks what is built should not wait for it.
    import tensorflow as tf

    names = shard_names(split, shards)
    bounds = [count * shard // shards for shard in range(shards + 1)]
    for name, begin, end in zip(names, bounds[:-1], bounds[1:], strict=True):
        partial = folder / f".{name}.partial"
        try:
            with tf.io.TFRecordWriter(str(partial)) as writer:
                for number in range(begin, end):
                    writer.write(example(number))
            os.replace(partial, folder / name)
        finally:
            partial.unlink(missing_ok=True)
    return names


def write_masked(folder: pathlib.Path, split: str, shards: int, masked: Masked) -> list[str]:
    """Writes masked sequences as `masked_examples` serialises them.

    Returns:
      The names of the files.
    """
    examples = masked_examples(masked)
    return write(folder, split, shards, len(masked), lambda number: next(examples))


def masked_examples(
    masked: Masked, types: np.ndarray | None = None, labels: np.ndarray | None = None
) -> Iterator[bytes]:
    """Serialises masked sequences with the features of tf-models' `BertPretrainDataLoader` (v2 names).

    Features of a record: input_word_ids, input_mask, input_type_ids (int64 [L]), masked_lm_positions, masked_lm_ids
    (int64 [P]), masked_lm_weights (float [P]); with labels next_sentence_labels (int64 [1]).

    Args:
      masked: N sequences.
      types: 0 or 1 for each token, int [N, L]; None: 0.
      labels: 1 where the second segment is not the next one, int [N]; None: there is no such feature.
    """
    from tensorflow.core.example import example_pb2  # TensorFlow takes seconds to import, see above

    # Python's own numbers go into protocol buffers several times faster than NumPy's.
    word_ids, mask = masked.word_ids.tolist(), masked.mask.tolist()
    positions, targets, weights = masked.positions.tolist(), masked.target_ids.tolist(), masked.weights.tolist()
    segments = [[0] * masked.word_ids.shape[1]] * len(masked) if types is None else types.tolist()
    for number in range(len(masked)):
        record = example_pb2.Example()
        feature = record.features.feature
        feature["input_word_ids"].int64_list.value.extend(word_ids[number])
        feature["input_mask"].int64_list.value.extend(mask[number])
        feature["input_type_ids"].int64_list.value.extend(segments[number])
        feature["masked_lm_positions"].int64_list.value.extend(positions[number])
        feature["masked_lm_ids"].int64_list.value.extend(targets[number])
        feature["masked_lm_weights"].float_list.value.extend(weights[number])
        if labels is not None:
            feature["next_sentence_labels"].int64_list.value.append(int(labels[number]))
        # The features are a map: without this their order, and so the file's bytes, may change from run to run.
        yield record.SerializeToString(deterministic=True)
