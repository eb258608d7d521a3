"""The documents of the paper's text: articles of a Wikipedia dump or of TensorFlow Datasets' `wikipedia`, and books."""

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from data import gfiles
from data.bert import wikitext
from data.bert.dump import articles
from data.documents import FEWEST_WORDS
from data.errors import InputError, reason

# Books that one worker reads in one go, and the most of a document that is held in memory. Bytes.
_BOOKS_OF_A_UNIT = 64 << 20
_LONGEST_PART = 1 << 20
# As data/bert/wikitext.py: shorter lines are headings, captions and lists.
_FEWEST_WORDS_OF_A_LINE = 6


@dataclasses.dataclass(frozen=True)
class Unit:
    """What one worker reads in one go.

    Attributes:
      kind: "dump", "tfds" or "books".
      root: The folder or file that the user named.
      files: Paths or gs://….
    """

    kind: str
    root: str
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """Tells units apart, whatever order they are listed in. A hash: a path may be too long for a file's name."""
        return f"{self.kind}-{hashlib.sha256(self.relative(self.files[0]).encode()).hexdigest()[:24]}"

    def relative(self, file: str) -> str:
        """A file's name seen from the folder that the user named, or from the one that the named file is in."""
        folder = self.root.rstrip("/") + "/"
        return _readable(file.removeprefix(folder) if file.startswith(folder) else os.path.basename(file))


@dataclasses.dataclass(frozen=True)
class Document:
    """One text, or a part of a long one: paragraphs, one a line, words separated by single spaces."""

    title: str
    part: int
    text: str


def list_units(dump: str | None, tfds: str | None, books: str | None) -> list[Unit]:
    """The work there is, sorted by name.

    Args:
      dump: A `pages-articles` dump: a file, a folder of its parts or a glob of them; a path or gs://….
      tfds: The folder of a version of `wikipedia` that TensorFlow Datasets prepared.
      books: A folder of *.txt files, at any depth.

    Raises:
      InputError: There are no such files.
    """
    units = []
    if dump:
        files = _files_of_dump(dump)
        if not files:
            raise InputError(f"{dump}: no such dump; name a pages-articles file, or the folder of its parts: DUMP=")
        units += [Unit("dump", dump, (file,)) for file in files]
    if tfds:
        units += [Unit("tfds", tfds, (file,)) for file in sorted(map(str, _wikipedia(tfds).splits["train"].filepaths))]
    if books:
        units += _book_units(books)
    units.sort(key=lambda unit: unit.name)
    for one, other in itertools.pairwise(units):
        if one.name == other.name:
            raise InputError(f"{one.files[0]} and {other.files[0]} have the same name; keep one")
    return units


def _files_of_dump(dump: str) -> list[str]:
    """The file, those of the folder, or those that the pattern means, whatever characters the path has."""
    if tf.io.gfile.isdir(dump):
        # Beside a multistream dump lies its index, enwiki-…-multistream-index.txt.bz2.
        found = {file for pattern in ("*.xml", "*.bz2") for file in gfiles.files_in(dump, pattern)}
        return sorted(file for file in found if not file.endswith(".txt.bz2"))
    return [dump] if tf.io.gfile.exists(dump) else sorted(tf.io.gfile.glob(dump))


def documents(unit: Unit) -> Iterator[Document]:
    """The unit's documents, those of fewer than FEWEST_WORDS words left out; in memory that does not grow.

    Raises:
      InputError: A file is not what it should be.
    """
    read = {"dump": _articles_of_dump, "tfds": _articles_of_tfds, "books": _parts_of_books}[unit.kind]
    for document in read(unit):
        if len(document.text.split(None, FEWEST_WORDS)) >= FEWEST_WORDS:
            yield document


def _articles_of_dump(unit: Unit) -> Iterator[Document]:
    for file in unit.files:
        with gfiles.open_binary(file) as stream:
            for title, source in articles(stream, file):
                yield Document(title, 0, wikitext.plain_text(source))


def _wikipedia(folder: str) -> Any:
    """What TensorFlow Datasets knows about the folder: its DatasetInfo."""
    import tensorflow_datasets as tfds  # takes seconds to import

    try:
        info = tfds.builder_from_directory(folder).info
        if {"title", "text"} <= set(info.features) and info.splits["train"].num_examples:
            return info
    except Exception as error:  # whatever TensorFlow Datasets meets in a folder that is not its own
        mend = "name the folder wikipedia/CONFIG/VERSION: TFDS="
        raise InputError(f"{folder}: not a data set of TensorFlow Datasets ({reason(error)}); {mend}") from error
    raise InputError(f"{folder}: has no titles and texts; name the folder wikipedia/CONFIG/VERSION: TFDS=")


def _articles_of_tfds(unit: Unit) -> Iterator[Document]:
    features = _wikipedia(unit.root).features
    for file in unit.files:
        try:
            for record in tf.data.TFRecordDataset(file):
                article = features.deserialize_example(record)
                title, body = (article[name].numpy().decode("utf-8") for name in ("title", "text"))
                yield Document(title, 0, _paragraphs(body.split("\n"), _FEWEST_WORDS_OF_A_LINE))
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: cannot be read ({reason(error)}); prepare it again") from error


def _book_units(folder: str) -> list[Unit]:
    if not tf.io.gfile.isdir(folder):
        raise InputError(f"{folder}: no such folder; name one with a .txt file for each book: BOOKS=")
    paths = [path for path in gfiles.walk(folder) if path.lower().endswith(".txt")]
    if not paths:
        raise InputError(f"{folder}: has no .txt files; name the folder of the books: BOOKS=")
    units: list[Unit] = []
    files: list[str] = []
    size = 0
    for path in paths:
        files.append(path)
        size += gfiles.size_of(path)
        if size >= _BOOKS_OF_A_UNIT:
            units.append(Unit("books", folder, tuple(files)))
            files, size = [], 0
    return [*units, Unit("books", folder, tuple(files))] if files else units


def _parts_of_books(unit: Unit) -> Iterator[Document]:
    """A book is one document, in parts of a megabyte if it is longer; its file's name is the title."""
    for file in unit.files:
        title = _readable(os.path.splitext(os.path.basename(file))[0])
        lines: list[str] = []
        size = part = 0
        with gfiles.open_binary(file) as stream:
            try:
                for line in iter(stream.readline, b""):
                    lines.append(line.decode("utf-8").removeprefix("\ufeff"))
                    size += len(line)
                    if size >= _LONGEST_PART:
                        yield Document(title, part, _paragraphs(lines))
                        lines, size, part = [], 0, part + 1
            except UnicodeDecodeError as error:
                raise InputError(f"{file}: not UTF-8 ({error.reason}); convert it, for example with iconv") from error
        yield Document(title, part, _paragraphs(lines))


def _readable(name: str) -> str:
    """The name as UTF-8 has it; on a disk it may be of any bytes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _paragraphs(lines: list[str], fewest_words: int = 1) -> str:
    words = (line.split() for line in lines)
    return "\n".join(" ".join(line) for line in words if len(line) >= fewest_words)
