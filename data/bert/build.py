"""Builds the paper's text with Apache Beam: documents to sorted spills, a vocabulary, spills to records, a manifest.

What goes through the pipelines are names of files and numbers of buckets; the text stays on disk. Each piece of work
leaves a record when it is whole, by which a build that was stopped goes on.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Iterator

import apache_beam as beam
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo
from google.protobuf import struct_pb2

from data import gfiles, manifest, vocabulary
from data.bert import sources, spill
from data.bert.work import Read, Reading, Write
from data.bert.write import Bucket
from data.documents import SPLITS
from data.errors import InputError, RunError

# Characters of train documents that a vocabulary is trained on: 200 million words or so.
_VOCABULARY_SAMPLE = 1_200_000_000
# Of a build that is not finished: spills and records.
_WORK = ".building"
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
    finished = _finished(target, options, units)
    if finished:
        work = os.path.join(target, _WORK)
        if tf.io.gfile.exists(work):  # stopped while it was being removed
            tf.io.gfile.rmtree(work)
        return finished
    work = _begin(target, options)
    with _lock(target, work):
        return _fill(units, target, work, options, tokens, _Pipelines(work, workers, beam_arguments or []))


def _fill(
    units: list[sources.Unit],
    target: str,
    work: str,
    options: Options,
    tokens: list[str] | None,
    run: "_Pipelines",
) -> dict:
    read = run.read([Reading(unit, work, options.seed, options.held_out, _places(options)) for unit in units])
    inputs = _digest(repr([sorted(one["files"].items()) for one in read]))
    paths = [path for one in read for path in one["spills"]]
    gfiles.write_json(os.path.join(work, "spills.json"), {"inputs": inputs, "paths": paths})
    path, record = os.path.join(target, "vocab.txt"), os.path.join(work, "vocabulary.json")
    if gfiles.read_json(record) != {"inputs": inputs}:
        _write_vocabulary(path, tokens or _train(paths, options))
        gfiles.write_json(record, {"inputs": inputs})
    written = run.write(_buckets(target, work, path, options))
    content = _describe(units, target, options, read, written)
    gfiles.write_json(os.path.join(target, manifest.NAME), content)
    tf.io.gfile.rmtree(work)
    return content


class _Pipelines:
    """Runs a list of pieces of work, each of which leaves a record, on Beam's workers."""

    def __init__(self, work: str, workers: int, arguments: list[str]):
        self._work, self._arguments = work, arguments
        if not any(argument.startswith("--runner") for argument in arguments):
            mode = "in_memory" if workers == 1 else "multi_processing"
            self._arguments = [f"--direct_num_workers={workers}", f"--direct_running_mode={mode}", *arguments]

    def read(self, readings: list) -> list[dict]:
        return self._run("read documents", readings, Read())

    def write(self, buckets: list[Bucket]) -> list[dict]:
        return self._run("write records", buckets, Write())

    def _run(self, label: str, pieces: list, worker: beam.DoFn) -> list[dict]:
        options = PipelineOptions(self._arguments)
        # By name, DirectRunner would first look for Prism, a program that it fetches from the internet.
        runner = options.view_as(StandardOptions).runner or FnApiRunner(provision_info=_quiet())
        errors = os.path.join(self._work, "error.json")
        if tf.io.gfile.exists(errors):
            tf.io.gfile.remove(errors)
        try:
            with beam.Pipeline(runner, options) as pipeline:
                _ = pipeline | beam.Create(pieces) | beam.Reshuffle() | label >> beam.ParDo(worker, errors)
        except Exception as error:  # of whatever kind the runner makes of a worker's
            if "No space left on device" in str(error):
                raise RunError(f"{self._work}: the disk is full; free some space, then repeat the command") from error
            raise
        failed = gfiles.read_json(errors)
        if failed:
            raise (InputError if failed["kind"] == "input" else RunError)(failed["message"])
        return [gfiles.read_json(piece.record) for piece in pieces]


def _quiet() -> ExtendedProvisionInfo:
    """The FnApiRunner's own default, and that its processes do not tell of each connection."""
    options = struct_pb2.Struct()
    options["default_sdk_harness_log_level"] = "ERROR"
    return ExtendedProvisionInfo(
        beam_provision_api_pb2.ProvisionInfo(retrieval_token="unused-retrieval-token", pipeline_options=options)
    )


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
                    spills=os.path.join(work, "spills.json"),
                    folder=target,
                    record=os.path.join(work, f"{split}-{number:05d}.written.json"),
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

    def sample():
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
    files = {}
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
        entry["files"] |= result["files"]
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


def _finished(target: str, options: Options, units: list[sources.Unit]) -> dict | None:
    path = os.path.join(target, manifest.NAME)
    try:
        content = gfiles.read_json(path)
    except ValueError as error:
        raise InputError(f"{path}: not a manifest ({error}); delete {target} and build again") from error
    if content is None:
        return None
    sizes = {kind: (entry["files"], entry["bytes"]) for kind, entry in content.get("sources", {}).items()}
    if content.get("options") != dataclasses.asdict(options) or sizes != _sizes(units):
        raise InputError(f"{target}: holds other text or was built with other options; delete it, then build again")
    for name, entry in content["files"].items():
        file = os.path.join(target, name)
        if not tf.io.gfile.exists(file) or gfiles.size_of(file) != entry["bytes"]:
            raise InputError(f"{file}: missing, or not {entry['bytes']} bytes long; delete {target} and build again")
    return content


def _begin(target: str, options: Options) -> str:
    """Marks the folder as one that is being filled with these options; the folder of the work."""
    key = dataclasses.asdict(options)
    work = os.path.join(target, _WORK)
    path = os.path.join(work, "key.json")
    begun = gfiles.read_json(path)
    if begun and begun != key:
        raise InputError(f"{target}: begun with other options; delete it, or repeat those")
    if not begun:
        others = tf.io.gfile.listdir(target) if tf.io.gfile.exists(target) else []
        if [name for name in others if name.strip("/") != os.path.basename(work)]:
            raise InputError(f"{target}: has files that are not of this build; move them away, then repeat the command")
        tf.io.gfile.makedirs(work)
        gfiles.write_json(path, key)
    return work


@contextlib.contextmanager
def _lock(target: str, work: str) -> Iterator[None]:
    """Keeps a second process out: both would write under the same temporary names. Buckets have no locks."""
    if "://" in target:
        yield
        return
    with open(os.path.join(work, "lock"), "w", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{target}: another process is building there; wait for it, or choose another DATA_DIR="
            ) from None
        yield


def _sizes(units: list[sources.Unit]) -> dict[str, tuple[int, int]]:
    """Files and bytes, by kind of source."""
    sizes: dict[str, tuple[int, int]] = {}
    for unit in units:
        files, size = sizes.get(unit.kind, (0, 0))
        sizes[unit.kind] = files + len(unit.files), size + sum(map(gfiles.size_of, unit.files))
    return sizes


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
