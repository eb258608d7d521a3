"""A unit of the sources to spills: what one process reads in one go."""

import dataclasses
import os

from data import gfiles
from data.bert import sources, spill
from data.documents import split_of
from data.pieces import Piece


@dataclasses.dataclass(frozen=True)
class Reading(Piece):
    """A unit to read.

    Attributes:
      unit: See data/bert/sources.py.
      work: The folder for records.
      seed: Of the order of the documents.
      held_out: See data/bert/build.py, Options.
      places: By split, its first bucket and how many it has.
      folder: For spills; the same.
    """

    unit: sources.Unit
    work: str
    seed: int
    held_out: float
    places: dict[str, tuple[int, int]]
    folder: str

    @property
    def name(self) -> str:
        """Of the record."""
        return f"{self.unit.name}.read"

    def inputs(self) -> dict[str, int]:
        """Bytes by file."""
        return {self.unit.relative(file): gfiles.size_of(file) for file in self.unit.files}

    def make(self) -> dict:
        """Reads the unit; files: the spills. sources: bytes and sha256 by file. documents: how many."""
        unit, documents = self.unit, 0
        spilled = spill.Spill(os.path.join(self.work, unit.name), sum(count for _, count in self.places.values()))
        for document in sources.documents(unit):
            split = split_of(document.title, self.held_out, self.held_out)
            first, count = self.places[split]
            key = spill.key_of(document, self.seed)
            spilled.add(first + spill.bucket_of(key, count), key, document.text)
            documents += 1
        spilled.flush()
        return {
            "files": {os.path.basename(path): {"bytes": gfiles.size_of(path)} for path in spilled.paths},
            "sources": {
                unit.relative(file): {"bytes": gfiles.size_of(file), "sha256": gfiles.sha256_of(file)}
                for file in unit.files
            },
            "documents": documents,
        }
