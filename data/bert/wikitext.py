"""From wikitext to plain paragraphs: the running text of an article, without tables, lists, headings and markup.

Devlin et al. (2019), section A.2: "we extract only the text passages and ignore lists, tables, and headers".
"""

import html
import re
from collections.abc import Callable, Iterator

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_EMPTY_TAG = re.compile(r"<(?:ref|references|br|nowiki|section|templatestyles)\b[^<>]*/>", re.IGNORECASE)
# The content of these elements is not prose.
_DROPPED = "ref|math|chem|gallery|timeline|source|syntaxhighlight|pre|imagemap|score|table|references|hiero"
_ELEMENT = re.compile(rf"<({_DROPPED})\b[^<>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_PARAMETER = re.compile(r"\{\{\{[^{}]*\}\}\}")
_TEMPLATE = re.compile(r"\{\{([^{}]*)\}\}")
_TABLE = re.compile(r"\{\|(?:(?!\{\||\|\}).)*\|\}", re.DOTALL)
_EXTERNAL = re.compile(r"\[(?:https?:|ftp:|mailto:)?//[^\s\]]+\s*([^\]]*)\]")
_LINK = re.compile(r"\[\[([^\[\]]*)\]\]")
_NAMESPACE = re.compile(r"^\s*:?\s*(?:file|image|media|category|[a-z]{2,3}(?:-[a-z]+)*)\s*:(?!\s)", re.IGNORECASE)
_MEDIA = re.compile(r"^\s*:?\s*(?:file|image|media|category)\s*:", re.IGNORECASE)
_HEADING = re.compile(r"^\s*(={1,6})\s*(.*?)\s*\1\s*$")
_QUOTES = re.compile(r"'{2,5}")
_MAGIC = re.compile(r"__[A-Z]+__")
_URL = re.compile(r"(?:https?|ftp)://\S+")
# What unbalanced brackets of the source leave behind.
_OPEN_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?|\]\]")
_OPEN_MEDIA = re.compile(r"\[\[\s*(?:file|image)\s*:.*", re.IGNORECASE)
_OPEN_TEMPLATE = re.compile(r"\{\{.*|\}\}")
_EMPTY_BRACKETS = re.compile(r"\(\s*[;,:\s]*\)|\[\s*\]")
_BRACKET_LEAD = re.compile(r"\(\s*[;,:]\s*")
_SPACE_BEFORE = re.compile(r"\s+([,.;:!?)])")
_SPACE = re.compile(r"\s+")
_BACK_MATTER = {
    "references", "see also", "external links", "further reading", "notes", "footnotes", "bibliography", "sources",
    "notes and references", "references and notes", "citations", "gallery", "works cited", "discography", "filmography",
}  # fmt: skip
# Templates whose argument is part of the sentence; every other template is dropped.
_INLINE = {"lang": 1, "nowrap": 0, "nobr": 0, "transl": -1, "ill": 0, "small": 0, "smallcaps": 0, "abbr": 0, "em": 0}
_MEASURE = {"convert", "cvt", "val"}
_FEWEST_WORDS = 6


def plain_text(wikitext: str) -> str:
    """The prose of one article, one paragraph a line; empty for a page without prose.

    Args:
      wikitext: the source text of the page, as a MediaWiki dump holds it.

    Returns:
      Paragraphs joined by newlines. Headings, lists, tables, templates, references, pictures and their captions are
      left out, and so is everything below "See also", "References" and the like.
    """
    text = _COMMENT.sub("", wikitext)
    text = _EMPTY_TAG.sub(lambda match: " " if match.group().lower().startswith("<br") else "", text)
    text = _ELEMENT.sub("", text)
    text = _innermost_first(_PARAMETER, lambda match: "", text)
    text = _innermost_first(_TEMPLATE, _template, text)
    text = _innermost_first(_TABLE, lambda match: "\n", text)
    text = _EXTERNAL.sub(lambda match: match.group(1), text)
    text = _innermost_first(_LINK, _link, text)
    text = _TAG.sub("", _BREAK.sub(" ", text))
    text = _MAGIC.sub("", _QUOTES.sub("", text))
    return "\n".join(_paragraphs(text))


def _innermost_first(pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str], text: str) -> str:
    """Substitutes until nothing matches: the patterns match only what has nothing nested inside."""
    while True:
        text, count = pattern.subn(replace, text)
        if not count:
            return text


def _template(match: re.Match[str]) -> str:
    name, *arguments = [part.strip() for part in match.group(1).split("|")]
    name = name.lower()
    values = [argument for argument in arguments if "=" not in argument]
    if name in _MEASURE and values:
        return " ".join(values[:2]) if name != "val" else values[0]
    if name.startswith("lang-") and values:
        return values[0]
    position = _INLINE.get(name)
    if position is None or not -len(values) <= position < len(values):
        return ""
    return values[position]


def _link(match: re.Match[str]) -> str:
    target, _, label = match.group(1).rpartition("|")
    if _MEDIA.match(match.group(1)) or (not target and _NAMESPACE.match(label)):
        return ""
    return label


def _paragraphs(text: str) -> Iterator[str]:
    skipping: int | None = None  # the level of the heading whose section is left out
    for line in text.split("\n"):
        heading = _HEADING.match(line)
        if heading:
            level, title = len(heading.group(1)), heading.group(2).lower()
            if skipping is None or level <= skipping:
                skipping = level if title in _BACK_MATTER else None
            continue
        # Lists, indented lines, remains of tables and of unbalanced templates.
        if skipping is not None or line.lstrip()[:1] in ("*", "#", ":", ";", "|", "!", "{", "}"):
            continue
        line = _OPEN_LINK.sub("", _OPEN_TEMPLATE.sub("", _OPEN_MEDIA.sub("", line)))
        line = _URL.sub("", html.unescape(line))
        line = _BRACKET_LEAD.sub("(", _EMPTY_BRACKETS.sub("", line))
        line = _SPACE_BEFORE.sub(r"\1", _SPACE.sub(" ", line)).strip()
        if len(line.split()) >= _FEWEST_WORDS:
            yield line
