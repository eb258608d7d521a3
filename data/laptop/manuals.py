"""Builds BERT's text at laptop scale: the documentation of web services inside `botocore`, as masked BERT sequences.

Formulaic English, each paragraph once. On prose a model of this size stays on a plateau of commonest pieces for longer
than a laptop has time; on this it learns to look at its context within minutes (README, "Data at laptop scale").
"""

import gzip
import html.parser
import json
import pathlib
import re
from collections.abc import Iterator

from data.errors import InputError
from data.laptop import corpus, sources, text

FEWEST_WORDS = 8  # of a paragraph

_API = re.compile(r"botocore/data/([^/]+)/[^/]+/service-2\.json(\.gz)?$")
_BLOCKS = frozenset("br dd div dl dt h1 h2 h3 h4 h5 h6 important li note ol p pre table td th tr ul".split())


def expected(options: dict[str, int]) -> dict:
    """The fields of the manifest that are known before building: a folder that has others is out of date."""
    return {"options": options, "sources": {sources.MANUALS.name: sources.MANUALS.record()}}


def build(folder: pathlib.Path, downloads: pathlib.Path, options: dict[str, int]) -> dict:
    """Writes vocab.txt, the shards and manifest.json into `folder`; arguments, result and errors as corpus.build."""
    paths = sources.fetch(downloads, (sources.MANUALS,))
    found = documents(sources.read_members(paths[sources.MANUALS.name], sources.MANUALS))
    return corpus.write(folder, "manuals", found, options, expected(options))


def documents(members: dict[str, bytes]) -> Iterator[text.Document]:
    """One document a service, its title the service's name; of several versions the newest, a paragraph only once.

    Raises:
      InputError: A description is not JSON.
    """
    newest = {match[1]: name for name in sorted(members) if (match := _API.match(name))}
    seen: set[str] = set()
    for service, name in newest.items():
        own = []
        for documentation in _documentation(_read(name, members[name])):
            for paragraph in paragraphs(documentation):
                if paragraph not in seen:
                    seen.add(paragraph)
                    own.append(paragraph)
        if own:
            yield text.Document(service, "\n".join(own), sources.MANUALS.name)


def paragraphs(documentation: str) -> list[str]:
    """The paragraphs of a piece of HTML that have at least FEWEST_WORDS words, as plain text."""
    parser = _Paragraphs()
    parser.feed(documentation)
    parser.close()
    joined = [" ".join("".join(pieces).split()) for pieces in parser.found]
    return [paragraph for paragraph in joined if len(paragraph.split()) >= FEWEST_WORDS]


class _Paragraphs(html.parser.HTMLParser):
    """Gathers text; a block's beginning and end are the end of a paragraph."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[list[str]] = [[]]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.found.append([])

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.found.append([])

    def handle_data(self, data: str) -> None:
        self.found[-1].append(data)


def _read(name: str, content: bytes) -> dict:
    try:
        return json.loads(gzip.decompress(content) if name.endswith(".gz") else content)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{name}: not JSON ({error}): fetch it again") from error


def _documentation(node: object) -> Iterator[str]:
    """Every "documentation" in the description of a service, in its order."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "documentation" and isinstance(value, str):
                yield value
            else:
                yield from _documentation(value)
    elif isinstance(node, list):
        for value in node:
            yield from _documentation(value)
