"""Builds the paper's text: documents to sorted spills, a vocabulary, spills to records, a manifest."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Iterator

import tensorflow as tf

from data import gfiles, manifest, pieces, vocabulary
from data.bert import sources, spill
from data.bert.read import Reading
from data.bert.write import Bucket
from data.documents import SPLITS
from data.errors import InputError

# Characters of train documents that a vocabulary is trained on: 200 million words or so.
_VOCABULARY_SAMPLE = 1_200_000_000
_PACKAGES = ("apache-beam", "tensorflow", "tensorflow-datasets", "tokenizers", "numpy")
_LICENCES = {
    "dump": "Wikipedia: CC BY-SA, as the dump says",
    "tfds": "Wikipedia: CC BY-SA, as the data set says",
    "books": "the books' own",
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What decides the bytes, besides the inputs.

    Attributes:
      vocab_size, seq_length, max_predictions: Tokens; tokens of a sequence; masked ones of it at most.
      dupe_factor: Passes over the train documents, each cut and masked afresh.
      next_sentence: Whether sequences are pairs, as for next-sentence prediction.
      held_out: The share of all titles that is for selection, and that which is for validation.
      shards: Files of one pass over the train documents.
      held_out_shards: Files of selection, and of validation.
      vocabulary: SHA-256 of the vocab.txt that was named; None: it is trained.
      seed: Of order, cuts and masks.
    """

    vocab_size: int = 30522
    seq_length: int = 512
    max_predictions: int = 76
    dupe_factor: int = 10
    next_sentence: bool = False
    held_out: float = 0.001
    shards: int = 256
    held_out_shards: int = 8
    vocabulary: str | None = None
    seed: int = 0

    def buckets(self, split: str) -> int:
        """Into how many parts the documents of a split fall."""
        return self.shards if split == "train" else self.held_out_shards

    def first_bucket(self, split: str) -> int:
        """Where a split's buckets begin, of all buckets."""
        return sum(self.buckets(before) for before in SPLITS[: SPLITS.index(split)])


def build(
    units: list[sources.Unit],
    target: str,
    options: Options,
    vocabulary_path: str | None = None,
    workers: int = 1,
    beam_arguments: list[str] | None = None,
) -> dict:
    """Fills a folder, or goes on filling it.

    Args:
      units: From sources.list_units.
      target: The folder; a path or gs://…. It is finished when it has a manifest.json.
      options: See there; `vocabulary` is set from vocabulary_path.
      vocabulary_path: A vocab.txt; None: trained on the train documents.
      workers: Processes of the FnApiRunner; one: in this process.
      beam_arguments: Pipeline options, for another runner ("--runner=DataflowRunner", …).

    Returns:
      The manifest.

    Raises:
      InputError: An input is not what it should be, or the folder is of another build.
      RunError: The disk is full.
    """
    tokens = vocabulary.load_published(vocabulary_path, options.vocab_size) if vocabulary_path else None
    if tokens:
        options = dataclasses.replace(options, vocabulary=_digest("\n".join(tokens)))

    def is_same(content: dict) -> bool:
        sizes = {kind: (entry["files"], entry["bytes"]) for kind, entry in content.get("sources", {}).items()}
        return content.get("options") == dataclasses.asdict(options) and sizes == _sizes(units)

    finished = pieces.finished(target, is_same)
    if finished:
        return finished
    run = functools.partial(pieces.run, workers=workers, beam_arguments=beam_arguments or ())
    with pieces.building(target, dataclasses.asdict(options)) as work:
        read = run([Reading(unit, work, options.seed, options.held_out, _places(options), work) for unit in units])
        inputs = _digest(repr([sorted(one["sources"].items()) for one in read]))
        spills = [name for one in read for name in one["files"]]
        gfiles.write_json(os.path.join(work, "spills.json"), {"inputs": inputs, "files": spills})
        path, record = os.path.join(target, "vocab.txt"), os.path.join(work, "vocabulary.json")
        if gfiles.read_json(record) != {"inputs": inputs}:
            _write_vocabulary(path, tokens or _train([os.path.join(work, name) for name in spills], options))
            gfiles.write_json(record, {"inputs": inputs})
        written = run(_buckets(target, work, path, options))
        return pieces.finish(target, _describe(units, target, options, read, written))


def _places(options: Options) -> dict[str, tuple[int, int]]:
    return {split: (options.first_bucket(split), options.buckets(split)) for split in SPLITS}


def _buckets(target: str, work: str, vocab: str, options: Options) -> list[Bucket]:
    buckets = []
    for split in SPLITS:
        count, passes = options.buckets(split), options.dupe_factor if split == "train" else 1
        for number in range(count):
            names = (f"{split}-{one * count + number:05d}-of-{count * passes:05d}.tfrecord" for one in range(passes))
            buckets.append(
                Bucket(
                    split=split,
                    number=number,
                    names=tuple(names),
                    place=options.first_bucket(split) + number,
                    folder=target,
                    work=work,
                    vocabulary=vocab,
                    seq_length=options.seq_length,
                    max_predictions=options.max_predictions,
                    seed=options.seed,
                    next_sentence=options.next_sentence,
                )
            )
    return buckets


def _train(paths: list[str], options: Options) -> list[str]:
    """A vocabulary of the documents of the first train buckets: a random sample that does not grow with the corpus."""

    def sample() -> Iterator[str]:
        size = 0
        for bucket in range(options.shards):
            for _, body in spill.merge(paths, options.first_bucket("train") + bucket):
                yield body
                size += len(body)
                if size >= _VOCABULARY_SAMPLE:
                    return

    return vocabulary.train(sample(), options.vocab_size)


def _write_vocabulary(path: str, tokens: list[str]) -> None:
    with tf.io.gfile.GFile(path + ".partial", "wb") as file:
        file.write("".join(f"{token}\n" for token in tokens).encode())
    tf.io.gfile.rename(path + ".partial", path, overwrite=True)


def _describe(units: list, target: str, options: Options, read: list[dict], written: list[dict]) -> dict:
    splits = {split: dict.fromkeys(written[0]["counts"], 0) for split in SPLITS}
    files: dict[str, dict] = {}
    for bucket, result in zip(_buckets(target, "", "", options), written, strict=True):
        files |= result["files"]
        for name, count in result["counts"].items():
            splits[bucket.split][name] += count
    path = os.path.join(target, "vocab.txt")
    files["vocab.txt"] = {"bytes": gfiles.size_of(path), "sha256": gfiles.sha256_of(path)}
    with tf.io.gfile.GFile(path, "rb") as file:
        tokens = file.read().decode().count("\n")
    empty = next((split for split in SPLITS if not splits[split]["sequences"]), None)
    if empty:
        raise InputError(f"{units[0].root}: no document falls into {empty}; give more text, or a larger HELD_OUT=")
    sources: dict = {}
    for unit, result in zip(units, read, strict=True):
        entry = sources.setdefault(unit.kind, {"licence": _LICENCES[unit.kind], "documents": 0, "files": {}})
        entry["documents"] += result["documents"]
        entry["files"] |= result["sources"]
    for entry in sources.values():
        names = sorted(entry["files"])
        entry["bytes"] = sum(entry["files"][name]["bytes"] for name in names)
        entry["sha256"] = _digest("\n".join(f"{name} {entry['files'][name]['sha256']}" for name in names))
        entry["files"] = len(names)  # of books there are thousands
    return {
        "format_version": manifest.FORMAT_VERSION,
        "kind": "text",
        "options": dataclasses.asdict(options),
        "sources": dict(sorted(sources.items())),
        "vocabulary": {"tokens": tokens, "trained": options.vocabulary is None, "lower_case": True},
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "splits": splits,
        "files": dict(sorted(files.items())),
    }


def _sizes(units: list[sources.Unit]) -> dict[str, tuple[int, int]]:
    """Files and bytes, by kind of source."""
    sizes: dict[str, tuple[int, int]] = {}
    for unit in units:
        files, size = sizes.get(unit.kind, (0, 0))
        sizes[unit.kind] = files + len(unit.files), size + sum(map(gfiles.size_of, unit.files))
    return sizes


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
