"""The TFRecord files of a run: that they are there and whole, how many records they hold, which one is damaged."""

import hashlib
import json
import os
import struct
from collections.abc import Callable

import tensorflow as tf

from data import gfiles
from data.errors import InputError
from trainers.schema.tasks import Task

# length (uint64), its checksum (uint32), the record, its checksum (uint32): tensorflow/core/lib/io/record_writer.h
_HEADER, _FOOTER = 12, 4


def list_files(pattern: str) -> list[str]:
    """The files that a folder and a pattern of names, "FOLDER/train-*", name; sorted.

    Raises:
      InputError: There are none, or one is empty: a shard that was never written.
    """
    files = gfiles.files_in(*os.path.split(pattern))
    if not files:
        raise InputError(f"{pattern}: no such files; build the data, or correct data_dir in the gin file")
    for file in files:
        if tf.io.gfile.stat(file).length == 0:
            raise InputError(f"{file}: an empty shard; build the data again, or delete it if it belongs to nothing")
    return files


def require_manifest(task: Task, mend: str) -> None:
    """Checks by the data's manifest.json that the folder is finished and was built as the model takes it.

    What does not fit would train in silence: token ids of another vocabulary, classes that are numbered from 1.

    Args:
      task: With its data_dir, a path or gs://…, and what the manifest has to say.
      mend: What to do where there is no manifest.

    Raises:
      InputError: There is no manifest, it cannot be read, it says otherwise, or a file that it lists is missing.
    """
    folder = task.data_dir
    path = os.path.join(folder, "manifest.json")
    if not tf.io.gfile.exists(path):
        raise InputError(f"{path}: not there; {mend}")
    try:
        with tf.io.gfile.GFile(path) as file:
            content = json.load(file)
        files = content["files"].keys()
        found = dict(content.get("options", {}))
        if "vocabulary" in content:
            found["vocabulary_size"] = content["vocabulary"]["tokens"]
        if "classes" in content:
            found["classes"] = len(content["classes"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a manifest ({error!r}); delete {folder}, then {mend}") from error
    missing = sorted(files - set(tf.io.gfile.listdir(folder)))
    if missing:
        raise InputError(f"{os.path.join(folder, missing[0])}: missing; delete {folder}, then {mend}")
    for name, field in task.said_by_manifest().items():
        wanted = getattr(task, field)
        if found.get(name) != wanted:
            binding = f"{task.gin_name}.{field}"
            raise InputError(f"{path}: {name} is {found.get(name)}, not {wanted}; correct {binding}, or {mend}")


def fingerprint(patterns: list[str]) -> str:
    """SHA-256 of the names and sizes of the files, in hex: whether a run that goes on reads what it began with.

    Args:
      patterns: As list_files takes them.

    Raises:
      InputError: As list_files.
    """
    digest = hashlib.sha256()
    for pattern in patterns:
        for file in list_files(pattern):
            digest.update(f"{os.path.basename(file)} {tf.io.gfile.stat(file).length}\n".encode())
    return digest.hexdigest()


def count_records(file: str) -> int:
    """How many records a file holds, from their headers alone: no record is read.

    Raises:
      InputError: The headers do not lead to the end of the file.
    """
    size = tf.io.gfile.stat(file).length
    position = count = 0
    # Python's own files seek 20 times faster than gfile's.
    with open(file, "rb") if os.path.isfile(file) else tf.io.gfile.GFile(file, "rb") as stream:
        while position < size:
            stream.seek(position)
            header = stream.read(_HEADER)
            if len(header) < _HEADER:
                break
            position += _HEADER + struct.unpack("<Q", header[:8])[0] + _FOOTER
            count += 1
    if position != size:
        raise InputError(f"{file}: truncated or damaged after record {max(count - 1, 0)}; build the data again")
    return count


def find_damage(patterns: list[str], check: Callable[[tf.Tensor], object]) -> tuple[str, int, tf.errors.OpError] | None:
    """The first file with a record that cannot be read or does not fit, the record's number and the error; None: none.

    Args:
      patterns: As list_files takes them. All their files are read through.
      check: Raises InvalidArgumentError in a graph where a serialized record does not fit.
    """
    for file in (file for pattern in patterns for file in list_files(pattern)):
        number = 0
        try:
            for _ in tf.data.TFRecordDataset(file).map(check, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True):
                number += 1
        except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
            return file, number, error
    return None
