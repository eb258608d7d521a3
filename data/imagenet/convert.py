"""Shards of any layout to the trainers' TFRecords: one group of them at a time, each finished or not there at all."""

import base64
import collections
import contextlib
import dataclasses
import hashlib
import json
import os

import numpy as np
import tensorflow as tf

from data.imagenet import records
from data.imagenet.labels import synsets

_CHUNK = 8 << 20


@dataclasses.dataclass(frozen=True)
class Group:
    """What one worker converts in one go.

    Attributes:
      split: Of the source, "train" or "validation".
      shards: The source's files, and the names that their records get in `folder`.
      selection: The name of the file for what is held out of all of them; None: nothing is held out.
      held_out: The share of the images that is held out.
    """

    split: str
    shards: tuple[tuple[str, str], ...]
    selection: str | None
    held_out: float
    layout: records.Layout
    folder: str

    @property
    def record(self) -> str:
        """The file that says that the group is finished, and what it holds."""
        return os.path.join(self.folder, f".{self.shards[0][1]}.finished.json")


def is_held_out(name: str, share: float) -> bool:
    """Whether an image is for selection: a function of its file name alone, the same for every source and machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") < share * 2**64


def convert(group: Group) -> dict:
    """Converts a group, or reads what it held if it is finished.

    Returns:
      files: By name: bytes, sha256, images. counts, sizes: Images and bytes by source shard. classes: Images by split
      and label.
      names: The first 8 bytes of each file name's SHA-256, in base64.

    Raises:
      InputError: As records.read.
    """
    finished = _finished(group)
    if finished:
        return finished
    classes, counts, files = collections.defaultdict(lambda: [0] * len(synsets())), {}, {}
    names = []
    with contextlib.ExitStack() as stack:
        selection = _Writer(group.folder, group.selection, stack) if group.selection else None
        for source, target in group.shards:
            with contextlib.ExitStack() as inner:
                writer = _Writer(group.folder, target, inner)
                count = 0
                for image in records.read(source, group.split, group.layout):
                    held_out = selection is not None and is_held_out(image.name, group.held_out)
                    (selection if held_out else writer).write(image)
                    classes["selection" if held_out else group.split][image.label] += 1
                    names.append(hashlib.sha256(image.name.encode()).digest()[:8])
                    count += 1
                files |= writer.finish()
            counts[source] = count
        if selection:
            files |= selection.finish()
    content = {
        "files": files,
        "counts": counts,
        "sizes": _sizes(group),
        "classes": dict(classes),
        "names": base64.b64encode(b"".join(names)).decode(),
    }
    with tf.io.gfile.GFile(group.record + ".partial", "w") as file:
        json.dump(content, file)
    tf.io.gfile.rename(group.record + ".partial", group.record, overwrite=True)
    return content


def name_hashes(content: dict) -> np.ndarray:
    """The names of what `convert` returned, uint64 (images,)."""
    return np.frombuffer(base64.b64decode(content["names"]), np.uint64)


def _finished(group: Group) -> dict | None:
    if not tf.io.gfile.exists(group.record):
        return None
    with tf.io.gfile.GFile(group.record) as file:
        content = json.load(file)
    if content["sizes"] != _sizes(group):  # a shard that was found to be short has been replaced
        return None
    for name, entry in content["files"].items():
        path = os.path.join(group.folder, name)
        if not tf.io.gfile.exists(path) or tf.io.gfile.stat(path).length != entry["bytes"]:
            return None
    return content


def _sizes(group: Group) -> dict[str, int]:
    return {source: tf.io.gfile.stat(source).length for source, _ in group.shards}


class _Writer:
    """One TFRecord file in the schema of the usual ImageNet TFRecords, under a temporary name until it is finished."""

    def __init__(self, folder: str, name: str, stack: contextlib.ExitStack):
        self._name, self._path = name, os.path.join(folder, name)
        self._partial = os.path.join(folder, f".{name}.partial")
        self._writer = tf.io.TFRecordWriter(self._partial)
        self._images = 0
        stack.callback(self._discard)

    def write(self, image: records.Image) -> None:
        example = tf.train.Example()
        feature = example.features.feature
        feature["image/encoded"].bytes_list.value.append(image.encoded)
        feature["image/format"].bytes_list.value.append(b"jpeg")
        feature["image/class/label"].int64_list.value.append(image.label)
        feature["image/class/synset"].bytes_list.value.append(synsets()[image.label].encode())
        feature["image/filename"].bytes_list.value.append(image.name.encode())
        # The features are a map: without this the file's bytes could change from run to run.
        self._writer.write(example.SerializeToString(deterministic=True))
        self._images += 1

    def finish(self) -> dict:
        """Gives the file its name, unless it is empty; by that name, what it holds."""
        self._writer.close()
        if not self._images:
            return {}
        digest, size = hashlib.sha256(), 0
        with tf.io.gfile.GFile(self._partial, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        tf.io.gfile.rename(self._partial, self._path, overwrite=True)
        return {self._name: {"bytes": size, "sha256": digest.hexdigest(), "images": self._images}}

    def _discard(self) -> None:
        self._writer.close()
        if tf.io.gfile.exists(self._partial):
            tf.io.gfile.remove(self._partial)
