"""Documents on disk, sorted, between reading them and writing them as records: an external sort.

A spill holds so many documents as fit into a worker's memory, sorted by bucket (the future shard) and key. Merging a
bucket's part of all spills gives its documents in the order of their keys, which is a hash of (seed, title): it does
not depend on the files, workers and spills that they came by.
"""

import hashlib
import heapq
import struct
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from data import gfiles
from data.bert.sources import Document
from data.documents import normalised_title

# Bytes of text that a worker holds while it reads.
BUFFER = 32 << 20
# Bytes that it holds of all spills together while it merges, and of each at least.
_MERGE_BUFFER = 16 << 20
_LEAST_READ = 8 << 10
_RECORD = struct.Struct("<28sI")
_OFFSET = struct.Struct("<Q")
_TITLE_BYTES = 16


def key_of(document: Document, seed: int) -> bytes:
    """28 bytes: a hash of seed and normalised title, the part's number, a hash of the text."""
    title = hashlib.sha256(f"{seed}\n{normalised_title(document.title)}".encode()).digest()[:_TITLE_BYTES]
    body = hashlib.sha256(document.text.encode("utf-8")).digest()[:8]
    return title + document.part.to_bytes(4, "big") + body


def bucket_of(key: bytes, buckets: int) -> int:
    """The bucket, of so many, that a key is in: equal parts of all titles."""
    return int.from_bytes(key[:8], "big") * buckets >> 64


class Spill:
    """Collects documents and writes a file whenever BUFFER is full: `prefix`-00000.spill, …

    Each begins with the offset of every bucket, then of the end.
    """

    def __init__(self, prefix: str, buckets: int):
        self._prefix, self._buckets = prefix, buckets
        self._held: list[tuple[int, bytes, bytes]] = []
        self._size = 0
        self.paths: list[str] = []

    def add(self, bucket: int, key: bytes, body: str) -> None:
        """Takes a document."""
        encoded = body.encode("utf-8")
        self._held.append((bucket, key, encoded))
        self._size += len(encoded)
        if self._size >= BUFFER:
            self.flush()

    def flush(self) -> None:
        """Writes what is held."""
        if not self._held:
            return
        self._held.sort()
        sizes = np.zeros(self._buckets + 1, np.int64)
        for bucket, _, encoded in self._held:
            sizes[bucket + 1] += _RECORD.size + len(encoded)
        path = f"{self._prefix}-{len(self.paths):05d}.spill"
        with tf.io.gfile.GFile(path, "wb") as file:
            file.write((np.cumsum(sizes) + _OFFSET.size * (self._buckets + 1)).astype("<u8").tobytes())
            for _, key, encoded in self._held:
                file.write(_RECORD.pack(key, len(encoded)) + encoded)
        self.paths.append(path)
        self._held, self._size = [], 0


def merge(paths: list[str], bucket: int) -> Iterator[tuple[bytes, str]]:
    """A bucket's texts in the order of their keys, each once, after a hash of its title; memory does not grow.

    Args:
      paths: Of all spills, in any order.
      bucket: Its number.
    """
    piece = max(_LEAST_READ, _MERGE_BUFFER // max(1, len(paths)))
    last = b""
    for key, encoded in heapq.merge(*(_read(path, bucket, piece) for path in paths)):
        if key != last:  # an article that two parts of a dump, or two books of one text and title, have in common
            yield key[:_TITLE_BYTES], encoded.decode("utf-8")
        last = key


def _read(path: str, bucket: int, piece: int) -> Iterator[tuple[bytes, bytes]]:
    """A bucket's (key, text) of one spill, which is open only while it is read from: there may be thousands."""
    with gfiles.open_binary(path) as file:
        file.seek(bucket * _OFFSET.size)
        begin, end = struct.unpack("<QQ", file.read(2 * _OFFSET.size))
    held = b""
    while begin < end or held:
        if len(held) < _RECORD.size or len(held) < _RECORD.size + _RECORD.unpack_from(held)[1]:
            wanted = piece if len(held) < _RECORD.size else _RECORD.size + _RECORD.unpack_from(held)[1] - len(held)
            with gfiles.open_binary(path) as file:
                file.seek(begin)
                got = file.read(min(max(piece, wanted), end - begin))
            if not got:
                raise OSError(f"{path}: ends too soon")
            held += got
            begin += len(got)
            continue
        place = 0
        while len(held) - place >= _RECORD.size:
            key, size = _RECORD.unpack_from(held, place)
            if len(held) - place < _RECORD.size + size:
                break
            yield key, held[place + _RECORD.size : place + _RECORD.size + size]
            place += _RECORD.size + size
        held = held[place:]
