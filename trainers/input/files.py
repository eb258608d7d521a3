"""The TFRecord files of a run: that they are there and whole, how many records they hold, which one is damaged."""

import hashlib
import json
import os
import struct
from collections.abc import Callable

import tensorflow as tf

from data import gfiles
from data.errors import InputError

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


def _read_manifest(folder: str, mend: str, *names: str) -> dict:
    """manifest.json of a folder, which has these fields besides `files`; every file that it lists is there."""
    path = os.path.join(folder, "manifest.json")
    if not tf.io.gfile.exists(path):
        raise InputError(f"{path}: not there; {mend}")
    try:
        with tf.io.gfile.GFile(path) as file:
            content = json.load(file)
        files = content["files"].keys()
        for name in names:
            len(content[name])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a manifest ({error!r}); delete {folder}, then {mend}") from error
    missing = sorted(files - set(tf.io.gfile.listdir(folder)))
    if missing:
        raise InputError(f"{os.path.join(folder, missing[0])}: missing; delete {folder}, then {mend}")
    return content


def require_text(task, mend: str) -> None:
    """Checks that a folder of text is finished and was built as the model takes it, by its manifest.json.

    Args:
      task: A BertPretrainingConfig: the folder, and the sizes of the model.
      mend: What to do where there is no manifest.

    Raises:
      InputError: There is no manifest, it cannot be read, it says otherwise, or a file is missing.
    """
    data = task.train_data
    folder = os.path.dirname(data.input_path)
    content = _read_manifest(folder, mend, "options", "vocabulary")
    options = content["options"] | {"vocabulary_size": content["vocabulary"].get("tokens")}
    wanted = {
        "vocabulary_size": ("vocabulary_size", task.model.encoder.get().vocab_size),
        "seq_length": ("sequence_length", data.seq_length),
        "max_predictions": ("max_predictions", data.max_predictions_per_seq),
    }
    if data.use_next_sentence_label:
        wanted["next_sentence"] = ("next_sentence", True)
    for name, (ours, value) in wanted.items():
        if options.get(name) != value:
            raise InputError(
                f"{os.path.join(folder, 'manifest.json')}: {name} is {options.get(name)}, not {value}; correct "
                f"bert_pretraining.{ours}, or build the text anew"
            )


def require_classes(folder: str, classes: int, mend: str) -> None:
    """Checks that a folder of images says in its manifest.json that it has so many classes: labels 0 … classes − 1.

    Labels of another count, as of records that were not converted, would train in silence on shifted classes.

    Args:
      folder: A path or gs://….
      classes: Of the model.
      mend: What to do where there is no manifest.

    Raises:
      InputError: There is no manifest, it cannot be read, it has another number of classes, or a file is missing.
    """
    found = len(_read_manifest(folder, mend, "classes")["classes"])
    if found != classes:
        path = os.path.join(folder, "manifest.json")
        raise InputError(f"{path}: {found} classes, not {classes}; correct resnet_classification.classes or data_dir")


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
