"""Files that lie on a disk or in a bucket (gs://…), by way of TensorFlow's file systems."""

import fnmatch
import hashlib
import json
import os
from typing import IO

import tensorflow as tf

_CHUNK = 8 << 20


def open_binary(path: str) -> IO[bytes]:
    """A file to read. Python's own files seek 20 times faster than gfile's."""
    return open(path, "rb") if os.path.isfile(path) else tf.io.gfile.GFile(path, "rb")


def size_of(path: str) -> int:
    """Bytes."""
    return os.path.getsize(path) if os.path.isfile(path) else tf.io.gfile.stat(path).length


def walk(folder: str) -> list[str]:
    """All files below a folder, sorted. Python's own walk takes names that are not UTF-8, gfile's does not."""
    tree = os.walk(folder) if os.path.isdir(folder) else tf.io.gfile.walk(folder)
    return sorted(os.path.join(parent, name) for parent, _, names in tree for name in names)


def files_in(folder: str, pattern: str) -> list[str]:
    """The files of a folder whose names match a pattern, sorted; none where there is no folder.

    In the folder's own path `*`, `?` and brackets stand for themselves: a glob would take them for patterns.
    """
    if not tf.io.gfile.isdir(folder):
        return []
    names = (name.rstrip("/") for name in tf.io.gfile.listdir(folder))  # of a folder in a bucket "name/"
    return sorted(os.path.join(folder, name) for name in names if fnmatch.fnmatchcase(name, pattern))


def sha256_of(path: str) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with open_binary(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_json(path: str) -> dict | None:
    """What a JSON file says; None where there is no file."""
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path) as file:
        return json.loads(file.read())


def write_json(path: str, content: dict) -> None:
    """Writes a JSON file under a temporary name, then renames it."""
    with tf.io.gfile.GFile(path + ".partial", "w") as file:
        file.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    tf.io.gfile.rename(path + ".partial", path, overwrite=True)
