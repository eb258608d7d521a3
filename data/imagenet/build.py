"""Builds the paper-scale images from shards of ILSVRC2012: counted, checked, 1 % of train held out, one manifest."""

import os

import numpy as np

from data import manifest, pieces
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
    beam_arguments: list[str] | None = None,
    counts: dict[str, int] | None = None,
    held_out: float = HELD_OUT,
) -> dict:
    """Converts a folder of ImageNet records, of either layout, into the trainers' TFRecords.

    Args:
      source: The folder of the shards, see records.find_shards; a path or gs://….
      target: The folder to fill; a path or gs://…. It is finished when it has a manifest.json.
      workers, beam_arguments: As pieces.run takes them.
      counts: Images that must come out, by split of the source; None: ILSVRC2012's.
      held_out: The share of the training images that is for selection.

    Returns:
      The manifest.

    Raises:
      InputError: A shard is missing, short, damaged, there twice or of another layout; the counts are not right; or the
        folder has been filled from another source.
      RunError: The disk is full.
    """
    counts, options = counts or COUNTS, {"held_out": held_out}
    wanted = {"options": options, "sources": {"ILSVRC2012": counts}}
    finished = pieces.finished(target, lambda content: {name: content.get(name) for name in wanted} == wanted)
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
    with pieces.building(target, {"source": source, "options": options, "counts": counts}) as work:
        groups = _groups(shards, train, target, work, held_out)
        results = pieces.run(groups, workers, beam_arguments or ())
        found = {path: count for result in results for path, count in result["counts"].items()}
        for split, files in shards.items():
            known = records.known_counts(files, split)
            _check_counts(split, [found[path] for path in files], files, known, counts[split])
        _check_names(results, groups)
        return pieces.finish(target, _describe(results, options, counts))


def _groups(shards: dict[str, list[str]], layout: records.Layout, target: str, work: str, held_out: float) -> list:
    groups = []
    for split, files in shards.items():
        names = [f"{split}-{number:05d}-of-{len(files):05d}.tfrecord" for number in range(len(files))]
        pairs = list(zip(files, names, strict=True))
        number = min(GROUPS, len(files))
        for place in range(number):
            part = tuple(pairs[place * len(files) // number : (place + 1) * len(files) // number])
            selection = f"selection-{place:05d}-of-{number:05d}.tfrecord" if split == "train" else None
            groups.append(convert.Group(split, part, selection, held_out, layout, target, work))
    return groups


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
