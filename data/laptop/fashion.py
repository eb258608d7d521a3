"""Fashion-MNIST by whichever route this machine has, checked to be the same images and labels by each.

Xiao et al. (2017), "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms". MIT licence.
"""

import gzip
import hashlib
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import zlib

import numpy as np

from data.errors import InputError
from data.laptop.sources import MEND

PACKAGE = "dataset-fashion-mnist"
INSTALLED = pathlib.Path("/usr/share/datasets/fashion-mnist")
LICENCE = "MIT (Zalando SE)"
CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
SIDE = 28
COUNTS = {"train": 60_000, "test": 10_000}
# SHA-256 of the pixels of all images in canonical order, then of their labels.
SHA256 = {
    "train": "a9263a2c6fe4f8344082fdb669906b02a934d0dbf3eaf6c0a051ce9355ca0fc7",
    "test": "7ff84c2972beeeeb4f29d3b5752cc6bc495abdeb11a986df59929fa92f1fa251",
}
_PREFIX = {"train": "train", "test": "t10k"}

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]


def fetch(downloads: pathlib.Path) -> Arrays:
    """The images and labels, from the first route that has them.

    The routes: the files of the Debian package `dataset-fashion-mnist` where it is installed; a copy of the package
    in `downloads`; `apt-get download`, which needs no root; TensorFlow Datasets' `fashion_mnist`.

    Args:
      downloads: folder that keeps what was downloaded.

    Returns:
      By "train" and "test": images uint8 [60000 or 10000, 28, 28], labels uint8 [60000 or 10000], in canonical order.

    Raises:
      InputError: no route works (the message says why for each), or one has other images.
    """
    reasons = []
    for name, route in (("installed package", _installed), ("apt-get", _debian), ("TensorFlow Datasets", _tfds)):
        try:
            arrays = route(downloads)
        except LookupError as error:
            reasons.append(f"{name}: {error}")
            continue
        return {split: check(split, *arrays[split], origin=f"{name}, {downloads}") for split in COUNTS}
    raise InputError(
        f"Fashion-MNIST is not to be had ({'; '.join(reasons)}): apt-get install {PACKAGE}, or copy its "
        f"{PACKAGE}_*.deb into {downloads}, or allow TensorFlow Datasets the network, then {MEND}"
    )


def canonical(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same examples sorted by pixels (row by row, then by label): every route has its own order.

    No two images of Fashion-MNIST are equal, so the order is unique.
    """
    rows = np.concatenate([images.reshape(len(images), -1), labels.reshape(-1, 1).astype(np.uint8)], axis=1)
    rows = np.ascontiguousarray(rows)
    order = np.argsort(rows.view(f"S{rows.shape[1]}").ravel(), kind="stable")
    return images[order], labels[order].astype(np.uint8)


def check(split: str, images: np.ndarray, labels: np.ndarray, origin: str) -> tuple[np.ndarray, np.ndarray]:
    """The examples in canonical order. `origin` says in an error where they are from.

    Raises:
      InputError: they are not Fashion-MNIST's.
    """
    images, labels = canonical(images, labels)
    actual = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    if actual != SHA256[split]:
        raise InputError(
            f"Fashion-MNIST {split} ({origin}): SHA-256 of the pixels and labels is {actual[:12]}…, expected "
            f"{SHA256[split][:12]}…: delete that copy and {MEND}"
        )
    return images, labels


def read_idx(content: bytes, name: str) -> np.ndarray:
    """Decodes a gzip-compressed IDX file of unsigned bytes (LeCun's MNIST format) into uint8 of its shape.

    Raises:
      InputError: it is no such file, or ends too soon.
    """
    try:
        data = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name}: not a whole gzip file ({error}): delete it and {MEND}") from error
    if len(data) < 4 or data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
        raise InputError(f"{name}: not an IDX file of unsigned bytes: delete it and {MEND}")
    shape = np.frombuffer(data, ">u4", data[3], 4).astype(np.int64)
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    if values.size != shape.prod():
        raise InputError(f"{name}: has {values.size} bytes for the shape {tuple(shape.tolist())}: delete it and {MEND}")
    return values.reshape(shape)


def _files() -> dict[str, tuple[str, str]]:
    return {split: (f"{name}-images-idx3-ubyte.gz", f"{name}-labels-idx1-ubyte.gz") for split, name in _PREFIX.items()}


def _installed(downloads: pathlib.Path) -> Arrays:
    """The files where the Debian package puts them."""
    arrays = {}
    for split, names in _files().items():
        paths = [INSTALLED / name for name in names]
        if not all(path.is_file() for path in paths):
            raise LookupError(f"no {INSTALLED}")
        images, labels = (read_idx(path.read_bytes(), str(path)) for path in paths)
        arrays[split] = images, labels
    return arrays


def _debian(downloads: pathlib.Path) -> Arrays:
    """The Debian package: a copy in `downloads`, else `apt-get download`."""
    if not shutil.which("dpkg-deb"):
        raise LookupError("no dpkg-deb")
    copies = sorted(downloads.glob(f"{PACKAGE}_*.deb"))
    return _read_package(copies[-1] if copies else _apt_download(downloads))


def _read_package(package: pathlib.Path) -> Arrays:
    wanted = {name for names in _files().values() for name in names}
    unpack = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], capture_output=True, check=False)
    found = {}
    if unpack.returncode == 0:
        with tempfile.TemporaryFile() as stream:
            stream.write(unpack.stdout)
            stream.seek(0)
            with tarfile.open(fileobj=stream) as archive:
                for member in archive:
                    name = pathlib.PurePosixPath(member.name).name
                    content = archive.extractfile(member) if name in wanted else None
                    if content:
                        found[name] = content.read()
    if found.keys() != wanted:
        raise InputError(f"{package}: not a whole {PACKAGE} package: delete it and {MEND}")
    images_and_labels = {}
    for split, (images, labels) in _files().items():
        images_and_labels[split] = read_idx(found[images], images), read_idx(found[labels], labels)
    return images_and_labels


def _apt_download(downloads: pathlib.Path) -> pathlib.Path:
    if not shutil.which("apt-get"):
        raise LookupError("no apt-get")
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".apt-", dir=downloads) as scratch:
        result = _apt("download", PACKAGE, folder=scratch)
        # Container images come without package lists; only root may fetch them.
        if result.returncode != 0 and os.geteuid() == 0 and _apt("update", folder=scratch).returncode == 0:
            result = _apt("download", PACKAGE, folder=scratch)
        packages = sorted(pathlib.Path(scratch).glob(f"{PACKAGE}_*.deb"))
        if result.returncode != 0 or not packages:
            errors = [line for line in result.stderr.splitlines() if line.startswith("E:")]
            raise LookupError((errors[-1] if errors else "it failed")[:160])
        return packages[0].rename(downloads / packages[0].name)


def _apt(*arguments: str, folder: str) -> subprocess.CompletedProcess[str]:
    command = ["apt-get", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _tfds(downloads: pathlib.Path) -> Arrays:
    """TensorFlow Datasets' `fashion_mnist`, kept in `downloads`/tfds."""
    folder = downloads / "tfds"
    new = not folder.exists()
    try:
        # Seconds to import: only where the other routes fail.
        import requests
        import tensorflow_datasets as tfds

        builder = tfds.builder("fashion_mnist", data_dir=folder)
        if not builder.is_prepared():
            # Without a network TFDS would try each file for minutes.
            requests.head(next(iter(builder.url_infos)), timeout=20)
            builder.download_and_prepare()
        arrays = {split: tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1)) for split in COUNTS}
    except Exception as error:  # whatever the network, its proxies and TFDS's writers raise
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise LookupError(f"{type(error).__name__} {' '.join(str(error).split())[:120]}") from error
    return {split: (array["image"].reshape(-1, SIDE, SIDE), array["label"]) for split, array in arrays.items()}
