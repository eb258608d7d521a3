"""A small set in ImageNet's shape, cut from the two photographs in scikit-learn: tests and benchmarks of the JPEG path.

The photographs: china.jpg and flower.jpg, 427 × 640 pixels, CC BY (scikit-learn's sklearn/datasets/images/README.txt).
"""

import importlib.resources
import io
import pathlib
import tarfile

import numpy as np

from data.imagenet.labels import synsets, true_label

_PHOTOGRAPHS = ("china.jpg", "flower.jpg")
_ASPECTS, _AREAS, _LONGER = (0.66, 1.5), (0.3, 1.0), (250, 640)  # of the cut; its longer side in pixels


def cut(number: int, seed: int = 0, quality: int = 90) -> bytes:
    """A JPEG of a random part of a photograph at a random size.

    Args:
      number: Of the image; an odd one is of the second photograph.
      seed: Together with the number it decides the part and the size.
      quality: Of the JPEG.
    """
    from PIL import Image

    generator = np.random.default_rng([seed, number])
    path = importlib.resources.files("sklearn.datasets.images") / _PHOTOGRAPHS[number % 2]
    with path.open("rb") as stream:
        photograph = Image.open(stream).convert("RGB")
    area = generator.uniform(*_AREAS) * photograph.width * photograph.height
    aspect = np.exp(generator.uniform(*np.log(_ASPECTS)))
    width = int(min(photograph.width, np.sqrt(area * aspect)))
    height = int(min(photograph.height, np.sqrt(area / aspect)))
    left = int(generator.integers(photograph.width - width + 1))
    top = int(generator.integers(photograph.height - height + 1))
    scale = generator.uniform(*_LONGER) / max(width, height)
    part = photograph.crop((left, top, left + width, top + height))
    part = part.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    part.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def train_images(count: int, classes: int) -> list[tuple[str, bytes]]:
    """(file name, JPEG) of so many training images, of the first classes in turn."""
    return [(f"{synsets()[number % classes]}_{number}.JPEG", cut(number)) for number in range(count)]


def validation_images(count: int) -> list[tuple[str, bytes]]:
    """(file name, JPEG) of so many validation images, numbered from 1."""
    return [(f"ILSVRC2012_val_{number:08d}.JPEG", cut(number, seed=1)) for number in range(1, count + 1)]


def write_tars(folder: pathlib.Path, train: list[tuple[str, bytes]], validation: list[tuple[str, bytes]]) -> None:
    """The two tar files as image-net.org packs them: of train, one tar file a class inside."""
    by_class: dict[str, list[tuple[str, bytes]]] = {}
    for name, encoded in train:
        by_class.setdefault(f"{name.partition('_')[0]}.tar", []).append((name, encoded))
    inner = [(name, _tar(images)) for name, images in by_class.items()]
    (folder / "ILSVRC2012_img_train.tar").write_bytes(_tar(inner))
    (folder / "ILSVRC2012_img_val.tar").write_bytes(_tar(validation))


def write_records(
    folder: pathlib.Path,
    split: str,
    shards: int,
    images: list[tuple[str, bytes]],
    first_label: int,
) -> None:
    """TFRecords as the usual conversion scripts write them; first_label 1: of 1001 classes, 0: of 1000."""
    import tensorflow as tf

    for shard in range(shards):
        path = folder / f"{split}-{shard:05d}-of-{shards:05d}"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for name, encoded in images[len(images) * shard // shards : len(images) * (shard + 1) // shards]:
                example = tf.train.Example()
                feature = example.features.feature
                feature["image/encoded"].bytes_list.value.append(encoded)
                feature["image/class/label"].int64_list.value.append(true_label(split, name) + first_label)
                feature["image/filename"].bytes_list.value.append(name.encode())
                writer.write(example.SerializeToString(deterministic=True))


def _tar(members: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()
