"""One bucket of documents to its TFRecord files, one a pass: each finished or not there at all."""

import contextlib
import dataclasses
import os
import threading
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from data import gfiles, masking, records, vocabulary
from data.bert import sequences, spill
from data.bert.tokens import Encoder
from data.documents import SPLITS
from data.pieces import Piece, Shard

# Characters of text that are packed and masked at a time: some 200,000 words.
_BLOCK = 1_200_000


# What a thread keeps from bucket to bucket, as it remembers words: an engine may run several threads in a process.
_kept = threading.local()


@dataclasses.dataclass(frozen=True)
class Bucket(Piece):
    """What one process writes in one go.

    Attributes:
      split, number: Of the split's buckets, which.
      names: The files' names, one a pass over the documents.
      place: Of the bucket in the spills.
      folder: Where the files go.
      work: The folder with spills.json: `files`, the spills in it, and `inputs`, a hash of what they were read from.
      vocabulary: The path of vocab.txt.
      seq_length, max_predictions, seed: As for data/masking.py.
      next_sentence: Whether to make pairs.
    """

    split: str
    number: int
    names: tuple[str, ...]
    place: int
    folder: str
    work: str
    vocabulary: str
    seq_length: int
    max_predictions: int
    seed: int
    next_sentence: bool

    @property
    def name(self) -> str:
        """Of the record."""
        return f"{self.split}-{self.number:05d}.written"

    def _spills(self) -> dict:
        return gfiles.read_json(os.path.join(self.work, "spills.json")) or {}

    def inputs(self) -> str:
        """Of the spills; with them the vocabulary changes."""
        return self._spills()["inputs"]

    def make(self) -> dict:
        """Writes the bucket.

        Returns:
          files: By name: bytes, sha256. counts: documents, words, tokens, unknown_tokens, sequences, real_tokens,
          predictions.
        """
        paths = [os.path.join(self.work, name) for name in self._spills()["files"]]
        counts = dict.fromkeys(
            ("documents", "words", "tokens", "unknown_tokens", "sequences", "real_tokens", "predictions"), 0
        )
        learnt = _encoder(self.vocabulary)
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(Shard(self, name)) for name in self.names]
            for number, block in enumerate(_blocks(spill.merge(paths, self.place), 2 if self.next_sentence else 1)):
                counts["documents"] += len(block)
                counts["words"] += sum(body.count(" ") + body.count("\n") + 1 for _, body in block)
                _write_block(self, number, block, learnt, files, counts)
            written = {name: entry for file in files for name, entry in file.finish().items()}
        return {"files": written, "counts": counts}


def _encoder(path: str) -> tuple[Encoder, vocabulary.Special, int]:
    """Of the vocabulary as it is now: a process may outlive the build that it was started for."""
    with tf.io.gfile.GFile(path, "rb") as file:
        tokens = file.read().decode("utf-8").removesuffix("\n").split("\n")
    if getattr(_kept, "tokens", None) != tokens:
        _kept.tokens, _kept.encoder = tokens, Encoder(tokens)
    return _kept.encoder, vocabulary.Special.of(tokens), len(tokens)


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
    bucket: Bucket,
    number: int,
    block: list[tuple[bytes, str]],
    learnt: tuple[Encoder, vocabulary.Special, int],
    files: list[Shard],
    counts: dict[str, int],
) -> None:
    encoder, special, size = learnt
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
