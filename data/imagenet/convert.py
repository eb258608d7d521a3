"""Shards of any layout to the trainers' TFRecords: one group of them at a time."""

import base64
import collections
import contextlib
import dataclasses
import hashlib

import numpy as np
import tensorflow as tf

from data import gfiles
from data.imagenet import records
from data.imagenet.labels import synsets
from data.pieces import Piece, Shard


@dataclasses.dataclass(frozen=True)
class Group(Piece):
    """What one process converts in one go.

    Attributes:
      split: Of the source, "train" or "validation".
      shards: The source's files, and the names that their records get in `folder`.
      selection: The name of the file for what is held out of all of them; None: nothing is held out.
      held_out: The share of the images that is held out.
      folder, work: See data/pieces.py.
    """

    split: str
    shards: tuple[tuple[str, str], ...]
    selection: str | None
    held_out: float
    layout: records.Layout
    folder: str
    work: str

    @property
    def name(self) -> str:
        """Of the record."""
        return f"{self.shards[0][1]}.finished"

    def inputs(self) -> dict[str, int]:
        """Bytes by source shard: one that was found to be short may have been replaced."""
        return {source: gfiles.size_of(source) for source, _ in self.shards}

    def make(self) -> dict:
        """Converts the group.

        Returns:
          files: By name: bytes, sha256, images. counts: Images by source shard. classes: Images by split and label.
          names: The first 8 bytes of each file name's SHA-256, in base64.

        Raises:
          InputError: As records.read.
        """
        classes: dict[str, list[int]] = collections.defaultdict(lambda: [0] * len(synsets()))
        counts: dict[str, int] = {}
        files: dict[str, dict] = {}
        names, held_out = [], 0
        with contextlib.ExitStack() as stack:
            selection = stack.enter_context(Shard(self, self.selection)) if self.selection else None
            for source, target in self.shards:
                with Shard(self, target) as shard:
                    counts[source] = kept = 0
                    for image in records.read(source, self.split, self.layout):
                        names.append(hashlib.sha256(image.name.encode()).digest()[:8])
                        counts[source] += 1
                        if selection and is_held_out(image.name, self.held_out):
                            selection.write(_example(image))
                            classes["selection"][image.label] += 1
                            held_out += 1
                        else:
                            shard.write(_example(image))
                            classes[self.split][image.label] += 1
                            kept += 1
                    files |= shard.finish(images=kept)
            if selection:
                files |= selection.finish(images=held_out)
        return {
            "files": files,
            "counts": counts,
            "classes": dict(classes),
            "names": base64.b64encode(b"".join(names)).decode(),
        }


def is_held_out(name: str, share: float) -> bool:
    """Whether an image is for selection: a function of its file name alone, the same for every source and machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") < share * 2**64


def name_hashes(content: dict) -> np.ndarray:
    """The names in a group's record, uint64 (images,)."""
    return np.frombuffer(base64.b64decode(content["names"]), np.uint64)


def _example(image: records.Image) -> bytes:
    """In the schema of the usual ImageNet TFRecords."""
    example = tf.train.Example()
    feature = example.features.feature
    feature["image/encoded"].bytes_list.value.append(image.encoded)
    feature["image/format"].bytes_list.value.append(b"jpeg")
    feature["image/class/label"].int64_list.value.append(image.label)
    feature["image/class/synset"].bytes_list.value.append(synsets()[image.label].encode())
    feature["image/filename"].bytes_list.value.append(image.name.encode())
    # The features are a map: without this the file's bytes could change from run to run.
    return example.SerializeToString(deterministic=True)
