"""Builds the laptop-scale images: Fashion-MNIST as PNG in the schema of the ImageNet TFRecords."""

import pathlib
import struct
import zlib

import numpy as np

from data import manifest, records
from data.laptop import fashion

SPLITS = ("train", "selection", "validation")
SHARDS = {"train": 4, "selection": 1, "validation": 1}
SELECTION_PER_CLASS = 500


def expected(options: dict[str, int]) -> dict:
    """The fields of the manifest that are known before building: a folder that has others is out of date."""
    source = {"sha256": fashion.SHA256, "licence": fashion.LICENCE}
    return {"options": options, "sources": {"fashion-mnist": source}}


def png(image: np.ndarray) -> bytes:
    """Encodes uint8 [height, width] as a greyscale PNG without loss (W3C PNG specification, filter type 0)."""
    height, width = image.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter type
    rows[:, 1:] = image
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def choose_selection(labels: np.ndarray, per_class: int, generator: np.random.Generator) -> np.ndarray:
    """A bool mask of `labels` with `per_class` examples of each class, chosen uniformly."""
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        chosen[generator.choice(np.flatnonzero(labels == label), per_class, replace=False)] = True
    return chosen


def write_images(
    folder: pathlib.Path, split: str, shards: int, images: np.ndarray, labels: np.ndarray, filenames: list[str]
) -> list[str]:
    """Writes one split, in the given order, for tf-models' `classification_input` with `decode_jpeg_only=False`.

    Args:
      images: uint8 [N, height, width].
      labels: int [N], 0 … 9. (ImageNet's own records count from 1; tf-models takes the label as it is.)
      filenames: N names.

    Returns:
      The names of the files.
    """
    from tensorflow.core.example import example_pb2  # seconds to import, see records.write

    def example(number: int) -> bytes:
        record = example_pb2.Example()
        feature = record.features.feature
        label = int(labels[number])
        feature["image/encoded"].bytes_list.value.append(png(images[number]))
        feature["image/format"].bytes_list.value.append(b"png")
        feature["image/class/label"].int64_list.value.append(label)
        feature["image/class/text"].bytes_list.value.append(fashion.CLASSES[label].encode())
        feature["image/filename"].bytes_list.value.append(filenames[number].encode())
        feature["image/height"].int64_list.value.append(images.shape[1])
        feature["image/width"].int64_list.value.append(images.shape[2])
        feature["image/colorspace"].bytes_list.value.append(b"Grayscale")
        feature["image/channels"].int64_list.value.append(1)
        return record.SerializeToString(deterministic=True)

    return records.write(folder, split, shards, len(images), example)


def build(folder: pathlib.Path, downloads: pathlib.Path, options: dict[str, int]) -> dict:
    """Writes the shards and manifest.json into `folder`, which exists and is empty.

    Train and selection share out Fashion-MNIST's 60,000 training images; validation is its 10,000 test images. Each
    split is shuffled. A file name tells an image's place in the canonical order (see `data.laptop.fashion`).

    Args:
      options: seed.

    Returns:
      The manifest.

    Raises:
      InputError: the images cannot be had, or are damaged.
    """
    arrays = fashion.fetch(downloads)
    images, labels = arrays["train"]
    generator = np.random.default_rng([options["seed"], len(images)])
    selected = choose_selection(labels, SELECTION_PER_CLASS, generator)
    places = {
        "train": ("train", np.flatnonzero(~selected)),
        "selection": ("train", np.flatnonzero(selected)),
        "validation": ("test", np.arange(len(arrays["test"][0]))),
    }
    files, splits = [], {}
    for split in SPLITS:
        origin, place = places[split]
        order = generator.permutation(place)
        names = [f"{origin}-{number:05d}.png" for number in order.tolist()]
        images, labels = arrays[origin][0][order], arrays[origin][1][order]
        files += write_images(folder, split, SHARDS[split], images, labels, names)
        per_class = np.bincount(labels, minlength=len(fashion.CLASSES)).tolist()
        splits[split] = {"images": len(labels), "images_per_class": per_class}
    fields = {"licence": fashion.LICENCE, "classes": list(fashion.CLASSES), "splits": splits}
    return manifest.write(folder, "images", files, expected(options) | fields)
