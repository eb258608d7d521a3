"""What Beam's workers do: a unit of the sources to spills, or a bucket of the spills to records."""

import dataclasses
import os

import apache_beam as beam
import tensorflow as tf

from data import gfiles
from data.bert import sources, spill
from data.bert.write import Bucket, write
from data.documents import split_of
from data.errors import InputError


@dataclasses.dataclass(frozen=True)
class Reading:
    """A unit to read.

    Attributes:
      unit: See bert_sources.
      work: The folder for spills and records.
      seed: Of the order of the documents.
      held_out: See bert_build.Options.
      places: By split, its first bucket and how many it has.
    """

    unit: sources.Unit
    work: str
    seed: int
    held_out: float
    places: dict[str, tuple[int, int]]

    @property
    def record(self) -> str:
        """The file that says that the unit has been read: spills, documents, files with bytes and sha256."""
        return os.path.join(self.work, f"{self.unit.name}.read.json")


def read(reading: Reading) -> None:
    """Reads a unit, unless that has been done and its files have the same sizes."""
    unit, documents = reading.unit, 0
    done = gfiles.read_json(reading.record)
    sizes = {unit.relative(file): gfiles.size_of(file) for file in unit.files}
    if done and {name: entry["bytes"] for name, entry in done["files"].items()} == sizes:
        return
    buckets = sum(count for _, count in reading.places.values())
    spilled = spill.Spill(os.path.join(reading.work, unit.name), buckets)
    for document in sources.documents(unit):
        split = split_of(document.title, reading.held_out, reading.held_out)
        first, count = reading.places[split]
        key = spill.key_of(document, reading.seed)
        spilled.add(first + spill.bucket_of(key, count), key, document.text)
        documents += 1
    spilled.flush()
    files = {
        unit.relative(file): {"bytes": gfiles.size_of(file), "sha256": gfiles.sha256_of(file)} for file in unit.files
    }
    gfiles.write_json(reading.record, {"spills": spilled.paths, "documents": documents, "files": files})


class _Reporting(beam.DoFn):
    """Leaves what the user has to mend in a file: a runner would wrap the exception in others. The rest then stops."""

    def process(self, piece, errors: str):
        if tf.io.gfile.exists(errors):
            return
        try:
            self.work(piece)
        except InputError as error:
            gfiles.write_json(errors, {"kind": "input", "message": str(error)})


class Read(_Reporting):
    """`read`, on a worker."""

    def work(self, piece: Reading) -> None:
        read(piece)


class Write(_Reporting):
    """`write.write`, on a worker."""

    def work(self, piece: Bucket) -> None:
        write(piece)
