"""Pieces of work, each done once by whichever process of Beam's gets it: what the builds of text and images share.

What goes through the pipeline are names of files and numbers; the data stay on disk. Each piece writes files, then a
record of them, by which a build that was stopped goes on. The folder has its manifest last.
"""

import abc
import contextlib
import fcntl
import importlib
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence

import apache_beam as beam
import grpc
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo
from apache_beam.runners.runner import PipelineRunner, create_runner
from google.protobuf import struct_pb2

from data import gfiles, manifest
from data.errors import InputError, RunError

# In the folder that is being filled: the build's key, its lock, records and files that are not whole.
_WORK = ".building"


class Piece(abc.ABC):
    """What one process does in one go; it is pickled to get there.

    Attributes:
      work: The folder from `building`.
      folder: Where its files go.
      name: Of its record, in `work`.
    """

    work: str
    folder: str

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """See above."""

    @property
    def record(self) -> str:
        """The JSON file that says that the piece is done: what `make` returned, its `inputs`, and `by` whom."""
        return os.path.join(self.work, f"{self.name}.json")

    @abc.abstractmethod
    def inputs(self) -> object:
        """What the files are made from, as JSON has it; the piece is done again if that has changed."""

    @abc.abstractmethod
    def make(self) -> dict:
        """Writes the files; by name, their bytes and whatever else, as `files`, beside what the manifest needs.

        Raises:
          InputError: The user has to mend something.
        """

    def do(self) -> dict:
        """The record, after `make` unless the piece was done from the same inputs and its files are there."""
        inputs, done = self.inputs(), gfiles.read_json(self.record)
        if done and done["inputs"] == inputs and not _missing(self.folder, done["files"]):
            return done
        content = {"inputs": inputs, "by": [socket.gethostname(), os.getpid()], **self.make()}
        gfiles.write_json(self.record, content)
        return content


class Shard:
    """A TFRecord file of a piece, under a temporary name until it is whole.

    Two processes may write one: an engine that loses sight of a worker gives its piece to another.
    """

    def __init__(self, piece: Piece, name: str):
        self._name, self._path = name, os.path.join(piece.folder, name)
        self._partial = os.path.join(piece.work, f"{name}.{uuid.uuid4().hex}.partial")

    def __enter__(self) -> "Shard":
        self._writer = tf.io.TFRecordWriter(self._partial)
        return self

    def write(self, example: bytes) -> None:
        """Appends a serialised tf.train.Example."""
        self._writer.write(example)

    def finish(self, **more: int) -> dict[str, dict]:
        """Gives the file its name, unless it is empty; by that name bytes, sha256 and `more`."""
        self._writer.close()
        size = gfiles.size_of(self._partial)
        if not size:
            if tf.io.gfile.exists(self._path):  # of other inputs, before the build was stopped
                tf.io.gfile.remove(self._path)
            return {}
        digest = gfiles.sha256_of(self._partial)
        tf.io.gfile.rename(self._partial, self._path, overwrite=True)
        return {self._name: {"bytes": size, "sha256": digest, **more}}

    def __exit__(self, *_: object) -> None:
        self._writer.close()
        if tf.io.gfile.exists(self._partial):
            tf.io.gfile.remove(self._partial)


def finished(target: str, is_same: Callable[[dict], bool]) -> dict | None:
    """The manifest of a folder that has one.

    Args:
      target: The folder; a path or gs://….
      is_same: Whether a manifest is of the sources and options that are asked for.

    Raises:
      InputError: It is of others or no manifest, or a file is missing or has another size.
    """
    path, work = os.path.join(target, manifest.NAME), os.path.join(target, _WORK)
    try:
        content = gfiles.read_json(path)
    except ValueError as error:
        raise InputError(f"{path}: not a manifest ({error}); delete {target} and build again") from error
    if content is None:
        return None
    if not is_same(content):
        raise InputError(f"{target}: holds other data or was built with other options; delete it, then build again")
    for name in _missing(target, content["files"]):
        size = content["files"][name]["bytes"]
        raise InputError(
            f"{os.path.join(target, name)}: missing, or not {size} bytes long; delete {target} and build again"
        )
    if tf.io.gfile.exists(work):  # stopped while it was being removed
        tf.io.gfile.rmtree(work)
    return content


@contextlib.contextmanager
def building(target: str, key: dict) -> Iterator[str]:
    """Marks a folder as one that is being filled from this key, and keeps other builds out; the folder of the work.

    Raises:
      InputError: It was begun from another key, holds files of something else, or is being filled by another process.
    """
    work = os.path.join(target, _WORK)
    path = os.path.join(work, "key.json")
    begun = gfiles.read_json(path)
    if begun and begun != key:
        raise InputError(f"{target}: begun from another source or with other options; delete it, or repeat those")
    if not begun:
        others = tf.io.gfile.listdir(target) if tf.io.gfile.exists(target) else []
        if [name for name in others if name.strip("/") != _WORK]:
            raise InputError(f"{target}: has files that are not of this build; move them away, then repeat the command")
        tf.io.gfile.makedirs(work)
        gfiles.write_json(path, key)
    if "://" in target:
        yield work
        return
    with open(os.path.join(work, "lock"), "w", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{target}: another process is building there; wait for it, or choose another DATA_DIR="
            ) from None
        for partial in gfiles.files_in(work, "*.partial"):  # of processes that were killed
            os.remove(partial)
        yield work


def finish(target: str, content: dict) -> dict:
    """Writes the manifest and removes the folder of the work."""
    gfiles.write_json(os.path.join(target, manifest.NAME), content)
    tf.io.gfile.rmtree(os.path.join(target, _WORK))
    return content


def run(pieces: Sequence[Piece], workers: int = 1, beam_arguments: Sequence[str] = ()) -> list[dict]:
    """Has pieces of one build done that are not.

    Args:
      pieces: One at least.
      workers: Processes of Beam's FnApiRunner; one: this process.
      beam_arguments: Beam's pipeline options, for another runner: "--runner=DaskRunner", ….

    Returns:
      Their records, in their order.

    Raises:
      InputError: A piece's own, or Beam does not take the arguments or gets no answer.
      RunError: The disk is full.
    """
    errors = os.path.join(pieces[0].work, "error.json")
    if tf.io.gfile.exists(errors):
        tf.io.gfile.remove(errors)
    mode = "in_memory" if workers == 1 else "multi_processing"
    options = PipelineOptions([f"--direct_num_workers={workers}", f"--direct_running_mode={mode}", *beam_arguments])
    with _one_line(beam_arguments, ImportError, ValueError):
        pipeline = beam.Pipeline(_runner(options), options)
    _ = pipeline | beam.Create(pieces) | beam.Reshuffle() | type(pieces[0]).__name__ >> beam.ParDo(_Do(errors))
    try:
        with _one_line(beam_arguments, ImportError, OSError, grpc.FutureTimeoutError):
            result = pipeline.run()
        with getattr(result, "client", contextlib.nullcontext()):  # Dask's, with the processes that it started
            result.wait_until_finish()
    except Exception as error:  # of whatever kind the runner makes of a worker's
        if "No space left on device" in str(error):
            raise RunError(f"{pieces[0].work}: the disk is full; free some space, then repeat the command") from error
        raise
    failed = gfiles.read_json(errors)
    if failed:
        raise InputError(failed["message"])
    return [gfiles.read_json(piece.record) or {} for piece in pieces]


class _Do(beam.DoFn):
    """Leaves what the user has to mend in a file: a runner would wrap the exception in others. The rest then stops."""

    def __init__(self, errors: str):
        self._errors = errors

    def process(self, piece: Piece) -> None:
        if tf.io.gfile.exists(self._errors):
            return
        try:
            piece.do()
        except InputError as error:
            gfiles.write_json(self._errors, {"message": str(error)})


def _runner(options: PipelineOptions) -> PipelineRunner:
    name = options.view_as(StandardOptions).runner
    if not name:  # "DirectRunner" would first look for Prism, a program that it fetches from the internet
        return FnApiRunner(provision_info=_quiet())
    if name.lower() not in ("dask", "daskrunner"):
        return create_runner(name)
    try:  # Beam does not know it by its short name
        dask = importlib.import_module("apache_beam.runners.dask.dask_runner")
    except ImportError as error:
        raise ImportError(f"{error}; install apache-beam[dask]") from error
    partitions = options.view_as(dask.DaskOptions)
    if not (partitions.npartitions or partitions.partition_size):
        partitions.partition_size = 1  # its default is 128 pieces, which one process would do one after the other
    return dask.DaskRunner()


@contextlib.contextmanager
def _one_line(beam_arguments: Sequence[str], *kinds: type[Exception]) -> Iterator[None]:
    """What Beam says of its options, of a package that is missing and of an engine that does not answer."""
    try:
        yield
    except kinds as error:
        if not beam_arguments or getattr(error, "errno", None):  # a file's
            raise
        why = " ".join(str(error).split()) or "no answer"
        raise InputError(f"BEAM='{' '.join(beam_arguments)}': {why}; mend that, then repeat the command") from error


def _quiet() -> ExtendedProvisionInfo:
    """The FnApiRunner's own default, and that its processes do not tell of each connection."""
    options = struct_pb2.Struct()
    options["default_sdk_harness_log_level"] = "ERROR"
    return ExtendedProvisionInfo(
        beam_provision_api_pb2.ProvisionInfo(retrieval_token="unused-retrieval-token", pipeline_options=options)
    )


def _missing(folder: str, files: dict[str, dict]) -> list[str]:
    """Those of some files that are not there, or not with their bytes."""
    paths = {name: os.path.join(folder, name) for name in files}
    return [
        name
        for name, path in paths.items()
        if not tf.io.gfile.exists(path) or gfiles.size_of(path) != files[name]["bytes"]
    ]
