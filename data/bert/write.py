"""One bucket of documents to its TFRecord files, one a pass: each finished or not there at all."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from data import gfiles, masking, records, vocabulary
from data.bert import sequences, spill
from data.bert.tokens import Encoder
from data.documents import SPLITS

# Characters of text that are packed and masked at a time: some 200,000 words.
_BLOCK = 1_200_000


@dataclasses.dataclass(frozen=True)
class Bucket:
    """What one worker writes in one go.

    Attributes:
      split, number: Of the split's buckets, which.
      names: The files' names, one a pass over the documents.
      place: Of the bucket in the spills.
      spills: A JSON file: `paths` of the spills, and `inputs`, a hash of what they were read from.
      folder: Where the files go.
      record: The file that says that the bucket is finished, and what it holds.
      vocabulary: The path of vocab.txt.
      seq_length, max_predictions, seed: As for data/masking.py.
      next_sentence: Whether to make pairs.
    """

    split: str
    number: int
    names: tuple[str, ...]
    place: int
    spills: str
    folder: str
    record: str
    vocabulary: str
    seq_length: int
    max_predictions: int
    seed: int
    next_sentence: bool


@functools.lru_cache(1)
def _encoder(path: str) -> tuple[Encoder, vocabulary.Special, int]:
    """Kept from bucket to bucket: it remembers words."""
    with tf.io.gfile.GFile(path, "rb") as file:
        tokens = file.read().decode("utf-8").removesuffix("\n").split("\n")
    return Encoder(tokens), vocabulary.Special.of(tokens), len(tokens)


def write(bucket: Bucket) -> dict:
    """Writes a bucket, or reads what it held if it is finished.

    Returns:
      files: By name: bytes, sha256. counts: documents, words, tokens, unknown_tokens, sequences, real_tokens,
      predictions.
    """
    spills = gfiles.read_json(bucket.spills)
    paths, inputs = spills["paths"], spills["inputs"]
    finished = gfiles.read_json(bucket.record)
    if finished and finished["inputs"] == inputs:
        if all(_is_there(bucket.folder, name, entry) for name, entry in finished["files"].items()):
            return finished
    counts = dict.fromkeys(
        ("documents", "words", "tokens", "unknown_tokens", "sequences", "real_tokens", "predictions"), 0
    )
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(_Shard(bucket.folder, name)) for name in bucket.names]
        for number, block in enumerate(_blocks(spill.merge(paths, bucket.place), 2 if bucket.next_sentence else 1)):
            counts["documents"] += len(block)
            counts["words"] += sum(body.count(" ") + body.count("\n") + 1 for _, body in block)
            _write_block(bucket, number, block, files, counts)
        written = {name: entry for file in files for name, entry in file.finish().items()}
    content = {"inputs": inputs, "files": written, "counts": counts}
    gfiles.write_json(bucket.record, content)
    return content


def _blocks(texts: Iterable[tuple[bytes, str]], titles: int) -> Iterator[list[tuple[bytes, str]]]:
    """The (title, text) of a bucket in blocks of _BLOCK characters or more, each of so many titles at least.

    A bucket of fewer is one block.
    """
    whole: list[tuple[bytes, str]] = []
    held: list[tuple[bytes, str]] = []
    size = 0
    for title, body in texts:
        held.append((title, body))
        size += len(body)
        if size >= _BLOCK and len({own for own, _ in held}) >= titles:
            if whole:
                yield whole
            whole, held, size = held, [], 0
    if whole and len({own for own, _ in held}) >= titles:
        yield whole
        whole = []
    if whole or held:
        yield whole + held


def _write_block(
    bucket: Bucket, number: int, block: list[tuple[bytes, str]], files: list["_Shard"], counts: dict[str, int]
) -> None:
    encoder, special, size = _encoder(bucket.vocabulary)
    # Chance is a function of what is being made: neither of the worker nor of what it made before.
    split = SPLITS.index(bucket.split)
    chance = [np.random.default_rng([bucket.seed, split, bucket.number, one, number]) for one in range(len(files))]
    titles, texts = zip(*block, strict=True)
    ids, bounds = sequences.encode_sentences(list(texts), encoder)
    if bucket.next_sentence:
        passes = sequences.pairs(ids, bounds, list(titles), bucket.seq_length, chance, special)
    else:
        cuts = chance if bucket.split == "train" else [None]
        passes = sequences.single(ids, bounds, bucket.seq_length, cuts, special)
    counts["tokens"] += len(ids)
    counts["unknown_tokens"] += int((ids == special.unk).sum())
    for found, generator, file in zip(passes, chance, files, strict=True):
        kept = np.flatnonzero(masking.has_ordinary(found.word_ids, special))
        found = found.take(generator.permutation(kept))
        masked = masking.mask(found.word_ids, size, bucket.max_predictions, generator, special)
        for example in records.masked_examples(masked, found.types, found.labels):
            file.write(example)
        counts["sequences"] += len(masked)
        counts["real_tokens"] += int(masked.mask.sum()) - (3 if bucket.next_sentence else 2) * len(masked)
        counts["predictions"] += int(masked.weights.sum())


def _is_there(folder: str, name: str, entry: dict) -> bool:
    path = os.path.join(folder, name)
    return tf.io.gfile.exists(path) and gfiles.size_of(path) == entry["bytes"]


class _Shard:
    """A TFRecord file under a temporary name until it is finished."""

    def __init__(self, folder: str, name: str):
        self._name, self._path = name, os.path.join(folder, name)
        self._partial = os.path.join(folder, f".{name}.partial")

    def __enter__(self) -> "_Shard":
        self._writer = tf.io.TFRecordWriter(self._partial)
        return self

    def write(self, example: bytes) -> None:
        self._writer.write(example)

    def finish(self) -> dict:
        """Gives the file its name, unless it is empty; by that name, what it holds."""
        self._writer.close()
        size = gfiles.size_of(self._partial)
        if not size:
            if tf.io.gfile.exists(self._path):  # of other inputs, before the build was stopped
                tf.io.gfile.remove(self._path)
            return {}
        digest = gfiles.sha256_of(self._partial)
        tf.io.gfile.rename(self._partial, self._path, overwrite=True)
        return {self._name: {"bytes": size, "sha256": digest}}

    def __exit__(self, *_) -> None:
        self._writer.close()
        if tf.io.gfile.exists(self._partial):
            tf.io.gfile.remove(self._partial)
