"""Streams the articles out of a MediaWiki XML dump, such as the English Wikipedia's `pages-articles`."""

import bz2
import re
from collections.abc import Iterator
from typing import IO
from xml.etree import ElementTree

from data.errors import InputError

_REDIRECT = re.compile(r"^\s*#redirect", re.IGNORECASE)


def articles(stream: IO[bytes], name: str) -> Iterator[tuple[str, str]]:
    """Yields (title, wikitext) of every article, in the order of the dump, in constant memory.

    Args:
      stream: the dump, bzip2-compressed (one stream, or many as in the multistream dumps) or plain XML.
      name: what to call it in an error.

    Yields:
      Pages of the main namespace (0) that are no redirects and have text.

    Raises:
      InputError: it is not bzip2 or XML, or it ends too soon; what was read before the fault has been yielded.
    """
    try:
        magic = stream.read(3)
        stream.seek(0)
        yield from _articles(bz2.open(stream) if magic == b"BZh" else stream)
    except (OSError, EOFError, ElementTree.ParseError) as error:
        raise InputError(f"{name}: not a whole MediaWiki XML dump ({error}): download it again") from error


def _articles(stream: IO[bytes] | bz2.BZ2File) -> Iterator[tuple[str, str]]:
    events = iter(ElementTree.iterparse(stream, events=("start", "end")))
    _, root = next(events)
    for event, element in events:
        if event != "end" or _local(element.tag) != "page":
            continue
        # The namespace of the tags names the export version (0.10, 0.11, …), which changes nothing that is read here.
        fields = {_local(child.tag): child for child in element.iter()}
        title, text = fields["title"].text or "", (fields["text"].text if "text" in fields else None) or ""
        namespace = fields["ns"].text if "ns" in fields else "0"
        if namespace == "0" and "redirect" not in fields and text and not _REDIRECT.match(text):
            yield title, text
        # Frees the page; it also has to leave the root, which would otherwise hold millions of empty elements.
        root.clear()


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
