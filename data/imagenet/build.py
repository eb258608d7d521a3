"""Builds the paper-scale images from shards of ILSVRC2012: counted, checked, 1 % of train held out, one manifest."""

import contextlib
import json
import multiprocessing
import os

import numpy as np
import tensorflow as tf
from absl import logging

from data import manifest
from data.errors import InputError
from data.imagenet import convert, records
from data.imagenet.labels import COUNTS, synsets

HELD_OUT = 0.01
# Groups of training shards: as many workers can share the work, and so many files hold what is kept for selection.
GROUPS = 16
LICENCE = "ImageNet: non-commercial research and education, by the terms of image-net.org"


def build(
    source: str,
    target: str,
    workers: int = 1,
    counts: dict[str, int] | None = None,
    held_out: float = HELD_OUT,
) -> dict:
    """Converts a folder of ImageNet records, of either layout, into the trainers' TFRecords.

    Args:
      source: The folder of the shards, see records.find_shards; a path or gs://….
      target: The folder to fill; a path or gs://…. It is finished when it has a manifest.json.
      workers: Processes.
      counts: Images that must come out, by split of the source; None: ILSVRC2012's.
      held_out: The share of the training images that is for selection.

    Returns:
      The manifest.

    Raises:
      InputError: A shard is missing, short, damaged, there twice or of another layout; the counts are not right; or the
        folder has been filled from another source.
    """
    counts, options = counts or COUNTS, {"held_out": held_out}
    finished = _finished(target, options, counts)
    if finished:
        return finished
    shards = {split: records.find_shards(source, split) for split in ("train", "validation")}
    layouts = {split: records.find_layout(files[0], split) for split, files in shards.items()}
    train, validation = layouts["train"], layouts["validation"]
    if train != validation:
        raise InputError(
            f"{source}: labels count from {train.first_label} in {train.label} of the train shards, from "
            f"{validation.first_label} in {validation.label} of the validation shards: they are of two sets; keep one"
        )
    building = _begin(target, {"source": source, "options": options, "counts": counts})
    groups = _groups(shards, train, target, held_out)
    results = _convert_all(groups, workers)
    found = {path: count for result in results for path, count in result["counts"].items()}
    for split, files in shards.items():
        known = records.known_counts(files, split)
        _check_counts(split, [found[path] for path in files], files, known, counts[split])
    _check_names(results, groups)
    content = _describe(results, options, counts)
    _write_json(os.path.join(target, manifest.NAME), content)
    for path in (*(group.record for group in groups), building):
        tf.io.gfile.remove(path)
    return content


def _groups(shards: dict[str, list[str]], layout, target: str, held_out: float) -> list:
    groups = []
    for split, files in shards.items():
        names = [f"{split}-{number:05d}-of-{len(files):05d}.tfrecord" for number in range(len(files))]
        pairs = list(zip(files, names, strict=True))
        number = min(GROUPS, len(files))
        for place in range(number):
            part = tuple(pairs[place * len(files) // number : (place + 1) * len(files) // number])
            selection = f"selection-{place:05d}-of-{number:05d}.tfrecord" if split == "train" else None
            groups.append(convert.Group(split, part, selection, held_out, layout, target))
    return groups


def _convert_all(groups: list, workers: int) -> list[dict]:
    # spawn: TensorFlow's threads do not survive a fork.
    pool = multiprocessing.get_context("spawn").Pool(workers) if workers > 1 else contextlib.nullcontext()
    with pool:
        results = []
        for result in (pool.imap if workers > 1 else map)(convert.convert, groups):
            results.append(result)
            logging.info("%d of %d groups of shards", len(results), len(groups))
    return results


def _check_counts(split: str, found: list[int], shards: list[str], known: list[int] | None, total: int) -> None:
    for path, count, expected in zip(shards, found, known or found, strict=True):
        if count != expected:
            raise InputError(f"{path}: {count} images, not {expected} as its dataset_info.json says; get it again")
    if sum(found) == total:
        return
    # The usual TFRecords share out the images equally: a shard outside of that is the one to look at.
    least, most = total // len(shards), -(-total // len(shards))
    odd = [f"{path} ({count})" for path, count in zip(shards, found, strict=True) if not least <= count <= most]
    where = f"; not between {least} and {most}: {', '.join(odd[:3])}{' …' if len(odd) > 3 else ''}" if odd else ""
    raise InputError(f"{os.path.dirname(shards[0])}: {sum(found):,} {split} images, not {total:,}{where}")


def _check_names(results: list[dict], groups: list) -> None:
    names = [convert.name_hashes(result) for result in results]
    values, places = np.unique(np.concatenate(names), return_index=True)
    if len(values) == sum(map(len, names)):
        return
    again = np.setdiff1d(np.arange(sum(map(len, names))), places)[0]
    bounds = np.cumsum([count for result in results for count in result["counts"].values()])
    paths = [path for group in groups for path, _ in group.shards]
    shard = paths[int(np.searchsorted(bounds, again, side="right"))]
    raise InputError(f"{shard}: holds images that another shard holds too; get it again")


def _describe(results: list[dict], options: dict, counts: dict[str, int]) -> dict:
    files = {name: entry for result in results for name, entry in result["files"].items()}
    splits = {}
    for split in ("train", "selection", "validation"):
        parts = [result["classes"][split] for result in results if split in result["classes"]]
        per_class = [sum(column) for column in zip(*parts, strict=True)]
        splits[split] = {"images": sum(per_class), "images_per_class": per_class}
    return {
        "format_version": manifest.FORMAT_VERSION,
        "kind": "images",
        "licence": LICENCE,
        "options": options,
        "sources": {"ILSVRC2012": counts},
        "classes": synsets(),
        "splits": splits,
        "files": dict(sorted(files.items())),
    }


def _finished(target: str, options: dict, counts: dict[str, int]) -> dict | None:
    path = os.path.join(target, manifest.NAME)
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path) as file:
        try:
            content = json.load(file)
        except ValueError as error:
            raise InputError(f"{path}: not a manifest ({error}); delete {target} and build again") from error
    if content.get("options") != options or content.get("sources") != {"ILSVRC2012": counts}:
        raise InputError(f"{target}: holds other images or was built with other options; delete it, then build again")
    for name, entry in content["files"].items():
        file = os.path.join(target, name)
        if not tf.io.gfile.exists(file) or tf.io.gfile.stat(file).length != entry["bytes"]:
            raise InputError(f"{file}: missing, or not {entry['bytes']} bytes long; delete {target} and build again")
    return content


def _begin(target: str, key: dict) -> str:
    """Marks the folder as one that is being filled from this source; the marker. Files of two would be read as one."""
    path = os.path.join(target, ".building.json")
    if tf.io.gfile.exists(path):
        with tf.io.gfile.GFile(path) as file:
            if json.load(file) != key:
                raise InputError(
                    f"{target}: begun from another source or with other options; delete it, or repeat those"
                )
    elif tf.io.gfile.exists(target) and tf.io.gfile.listdir(target):
        raise InputError(f"{target}: has files that are not of this build; move them away, then repeat the command")
    else:
        tf.io.gfile.makedirs(target)
        _write_json(path, key)
    return path


def _write_json(path: str, content: dict) -> None:
    with tf.io.gfile.GFile(path + ".partial", "w") as file:
        file.write(json.dumps(content, indent=1) + "\n")
    tf.io.gfile.rename(path + ".partial", path, overwrite=True)
