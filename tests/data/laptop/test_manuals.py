"""The study's text: from descriptions of services to paragraphs."""

import gzip
import json

import pytest

from data.errors import InputError
from data.laptop import manuals, sources, text

FIRST = "Creates a thing with the given name and returns a handle to it."
SECOND = "The name of the thing, which has to be unique in your account & region."


def _api(**shapes) -> bytes:
    return json.dumps({"documentation": f"<p>{FIRST}</p>", "shapes": shapes}).encode()


def test_paragraphs_are_the_blocks_of_eight_words_and_more():
    found = manuals.paragraphs(
        f"<p>{FIRST}</p><note> <p>Too short.</p> </note><ul><li><p>{SECOND.replace('&', '&amp;')}</p></li></ul>"
        "tail of text <b>with</b> bold\n words in it <code>x</code>"
    )
    assert found == [FIRST, SECOND, "tail of text with bold words in it x"]


def test_a_service_is_one_document_of_its_newest_version_and_each_paragraph_comes_once():
    members = {
        "botocore/data/thing/2014-01-01/service-2.json": _api(old={"documentation": f"<p>Old. {FIRST}</p>"}),
        "botocore/data/thing/2020-01-01/service-2.json.gz": gzip.compress(
            _api(a={"documentation": f"<p>{SECOND}</p>"})
        ),
        "botocore/data/thing/2020-01-01/paginators-1.json": b"not read",
        "botocore/data/widget/2020-01-01/service-2.json": _api(b=[{"documentation": SECOND + " And more."}]),
        "botocore/data/zero/2020-01-01/service-2.json": _api(),
    }
    documents = [(document.title, document.text) for document in manuals.documents(members)]
    assert documents == [("thing", f"{FIRST}\n{SECOND}"), ("widget", f"{SECOND} And more.")]


def test_a_damaged_description_is_named():
    with pytest.raises(InputError, match="thing/2020-01-01/service-2.json"):
        list(manuals.documents({"botocore/data/thing/2020-01-01/service-2.json": b"{"}))


@pytest.mark.heavy
def test_the_real_package_holds_millions_of_words_on_three_sides(tmp_path):
    paths = sources.fetch(tmp_path, (sources.MANUALS,))
    found = list(manuals.documents(sources.read_members(paths[sources.MANUALS.name], sources.MANUALS)))
    words = {split: sum(len(d.text.split()) for d in side) for split, side in text.by_split(found).items()}
    assert len(found) == 444 and words == {"train": 3_658_326, "selection": 222_417, "validation": 214_893}
    paragraphs = [paragraph for document in found for paragraph in document.text.split("\n")]
    assert len(paragraphs) == len(set(paragraphs)) > 100_000
