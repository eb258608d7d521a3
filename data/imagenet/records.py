"""Existing ImageNet records, in either layout: the shards of a folder, that none is missing, and what is in them."""

import dataclasses
import json
import os
import re
from collections.abc import Iterator

import tensorflow as tf
from google.protobuf.message import DecodeError

from data import gfiles
from data.errors import InputError, reason
from data.imagenet.labels import true_label

# "train-00000-of-01024", of the usual TFRecords; "imagenet2012-train.tfrecord-00000-of-01024", of TensorFlow Datasets.
_SHARD = re.compile(r"(?:imagenet2012-)?(train|validation)(?:\.tfrecord)?-(\d{5})-of-(\d{5})(?:\.tfrecord)?")
_PNG, _JPEG = b"\x89PNG", b"\xff\xd8"


@dataclasses.dataclass(frozen=True)
class Image:
    """One image as it is kept.

    Attributes:
      encoded: A JPEG.
      label: 0 … 999, whatever the source counts from.
      name: Its file name in ILSVRC2012.
    """

    encoded: bytes
    label: int
    name: str


@dataclasses.dataclass(frozen=True)
class Layout:
    """How records name their fields, and from what their labels count.

    Attributes:
      first_label: 1: of 1001 classes, where 0 is the background; 0: of 1000, as in TensorFlow Datasets.
    """

    image: str
    label: str
    name: str
    first_label: int


_FIELDS = (("image/encoded", "image/class/label", "image/filename"), ("image", "label", "file_name"))


def find_shards(folder: str, split: str) -> list[str]:
    """The files of a split, in order; in the folder, in a folder of the split's name, or in TensorFlow Datasets' place.

    Args:
      folder: A path, or gs://….
      split: "train" or "validation".

    Raises:
      InputError: There is none, one is missing or empty, or they are of different sets.
    """
    places = (folder, os.path.join(folder, split), *gfiles.files_in(os.path.join(folder, "imagenet2012"), "*"))
    for place in places:
        found: dict[int, list[str]] = {}
        totals = set()
        for path in gfiles.files_in(place, f"*{split}*"):
            match = _SHARD.fullmatch(os.path.basename(path))
            if match and match[1] == split:
                found.setdefault(int(match[2]), []).append(path)
                totals.add(int(match[3]))
        if found:
            break
    else:
        raise InputError(
            f"{folder}: no {split} shards: {split}-00000-of-…, or imagenet2012-{split}.tfrecord-00000-of-…"
        )
    several = next((paths for paths in found.values() if len(paths) > 1), None)
    if len(totals) > 1 or several:
        names = ", ".join(sorted(map(os.path.basename, several or [found[min(found)][0], found[max(found)][0]])))
        raise InputError(f"{place}: {split} shards of more than one set, as {names}; keep one")
    (total,) = totals
    missing = [number for number in range(total) if number not in found]
    if missing:
        example = os.path.basename(found[min(found)][0]).replace(f"-{min(found):05d}-of-", f"-{missing[0]:05d}-of-")
        raise InputError(f"{place}: {len(missing)} of {total} {split} shards are missing, the first is {example}")
    shards = [found[number][0] for number in range(total)]
    for shard in shards:
        if tf.io.gfile.stat(shard).length == 0:
            raise InputError(f"{shard}: an empty shard; get it again")
    return shards


def known_counts(shards: list[str], split: str) -> list[int] | None:
    """How many records each shard should have by TensorFlow Datasets' own dataset_info.json; None without one."""
    path = os.path.join(os.path.dirname(shards[0]), "dataset_info.json")
    if not tf.io.gfile.exists(path):
        return None
    try:
        with tf.io.gfile.GFile(path) as file:
            splits = {entry["name"]: entry for entry in json.load(file)["splits"]}
        counts = [int(count) for count in splits[split]["shardLengths"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not TensorFlow Datasets' description of this set ({error!r})") from error
    if len(counts) != len(shards):
        raise InputError(f"{path}: says {len(counts)} {split} shards, there are {len(shards)}")
    return counts


def find_layout(shard: str, split: str) -> Layout:
    """The layout of a set, from its first record.

    Raises:
      InputError: The record cannot be read, or is of another kind.
    """
    for _, features in _features(shard):
        for fields in _FIELDS:
            if all(_values(features[field]) for field in fields if field in features) and set(fields) <= set(features):
                image, label, name = fields
                found = _values(features[label])[0]
                expected = _true_label(shard, 0, split, _name(features[name]))
                if found - expected not in (0, 1):
                    raise InputError(_wrong_label(shard, 0, _name(features[name]), found, (expected, expected + 1)))
                return Layout(image, label, name, found - expected)
        break
    wanted = " or ".join(", ".join(fields) for fields in _FIELDS)
    raise InputError(f"{shard}: no record with the fields {wanted}")


def read(shard: str, split: str, layout: Layout) -> Iterator[Image]:
    """The images of one shard.

    Raises:
      InputError: A record is damaged or cut off, its image cannot be decoded or is no JPEG, or it has another label
        than ILSVRC2012 gives it in this layout: 1001-class and 1000-class labels are mixed, or images are mislabelled.
    """
    for number, features in _features(shard):
        fields = (layout.image, layout.label, layout.name)
        missing = [field for field in fields if field not in features or not _values(features[field])]
        if missing:
            raise InputError(
                f"{shard}: record {number} has no {missing[0]}: it is of another layout than the first shard"
            )
        name = _name(features[layout.name])
        found, expected = _values(features[layout.label])[0], _true_label(shard, number, split, name)
        if found != expected + layout.first_label:
            raise InputError(_wrong_label(shard, number, name, found, (expected + layout.first_label,)))
        encoded = _values(features[layout.image])[0]
        try:
            if encoded.startswith(_PNG):  # one image of ILSVRC2012 is a PNG by another name
                encoded = tf.io.encode_jpeg(tf.io.decode_png(encoded, channels=3), quality=100).numpy()
            if not encoded.startswith(_JPEG):
                raise InputError(f"{shard}: record {number}, {name}, is no JPEG; get the shard again")
            tf.io.decode_jpeg(encoded, channels=3, ratio=8)  # of every eighth pixel, but all of the file
        except tf.errors.InvalidArgumentError as error:
            message = f"{shard}: record {number}, {name}, cannot be decoded ({reason(error)}); get the shard again"
            raise InputError(message) from error
        yield Image(encoded, expected, name)


def _features(shard: str) -> Iterator[tuple[int, dict]]:
    """The number of each record, and its features."""
    number = -1
    try:
        for number, record in enumerate(tf.data.TFRecordDataset(shard).as_numpy_iterator()):
            yield number, tf.train.Example.FromString(record).features.feature
    except tf.errors.DataLossError as error:
        raise InputError(f"{shard}: damaged or cut off after record {number}; get it again") from error
    except DecodeError as error:
        raise InputError(f"{shard}: record {number} is no tf.Example; get the shard again") from error


def _values(feature: tf.train.Feature) -> list:
    """What a feature holds, of whatever type."""
    kind = feature.WhichOneof("kind")
    return getattr(feature, kind).value if kind else []


def _name(feature: tf.train.Feature) -> str:
    return os.path.basename(_values(feature)[0].decode("utf-8", "replace"))


def _true_label(shard: str, number: int, split: str, name: str) -> int:
    try:
        return true_label(split, name)
    except LookupError as error:
        raise InputError(f"{shard}: record {number}: {error}") from error


def _wrong_label(shard: str, number: int, name: str, found: int, expected: tuple[int, ...]) -> str:
    mixed = ""
    if min(abs(found - label) for label in expected) == 1:
        mixed = ": 1001-class labels (from 1) and 1000-class labels (from 0) are mixed, as of two sets; keep one"
    return f"{shard}: record {number}, {name}, has label {found}, not {' or '.join(map(str, expected))}{mixed}"
