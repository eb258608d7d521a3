"""What the paper's text is built from, and what the user is told where that does not fit."""

import bz2
import os
import re
import shutil
import subprocess
import sys

import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from data.bert import build as bert_build
from data.bert import sources as bert_sources
from data.errors import InputError
from tests.conftest import ROOT


def test_tensorflow_datasets_wikipedia_is_read(units, tmp_path):
    """Written by TensorFlow Datasets' own writer, with wikipedia's features, from the dump's articles."""
    articles = [document for unit in units if unit.kind == "dump" for document in bert_sources.documents(unit)]
    headed = ["Heading\n" + article.text.replace("\n", "\n\n") for article in articles]
    examples = {"title": [article.title for article in articles], "text": headed}
    tfds.dataset_builders.store_as_tfds_dataset(
        name="wikipedia",
        version="1.0.0",
        features=tfds.features.FeaturesDict({"title": tfds.features.Text(), "text": tfds.features.Text()}),
        split_datasets={"train": tf.data.Dataset.from_tensor_slices(examples)},
        config="20240101.en",
        data_dir=tmp_path,
    )
    (folder,) = {path.parent for path in tmp_path.rglob("dataset_info.json")}
    found = bert_sources.list_units(None, str(folder), None)
    assert {unit.kind for unit in found} == {"tfds"}
    read_back = [document for unit in found for document in bert_sources.documents(unit)]
    assert {(d.title, d.text) for d in read_back} == {(d.title, d.text) for d in articles}
    with pytest.raises(InputError, match=r"not a data set of TensorFlow Datasets .* TFDS="):
        bert_sources.list_units(None, str(tmp_path), None)


def test_a_long_book_is_read_in_parts_of_one_title(tmp_path, monkeypatch):
    monkeypatch.setattr(bert_sources, "_LONGEST_PART", 1000)
    lines = [f"line {number} of a book that is longer than a part may be" for number in range(100)]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Book.txt").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    (unit,) = bert_sources.list_units(None, None, str(tmp_path))
    found = list(bert_sources.documents(unit))
    assert [document.part for document in found] == list(range(len(found))) and len(found) > 3
    assert {document.title for document in found} == {"Book"}
    assert "\n".join(document.text for document in found).split("\n") == lines


def test_a_dump_in_parts_is_the_dump(inputs, tmp_path):
    """Two files that have an article in common are as one: the article comes once."""
    content = bz2.decompress(inputs[0].read_bytes()).decode()
    head, *pages = re.split(r"(?=<page>)", content)
    pages[-1] = pages[-1].replace("</mediawiki>", "")
    shared = next(number for number, page in enumerate(pages) if number > 20 and "<redirect" not in page)
    for number, some in enumerate((pages[: shared + 1], pages[shared:])):
        body = (head + "".join(some) + "</mediawiki>").encode()
        (tmp_path / f"enwiki-pages-articles{number}.xml-p1p2.bz2").write_bytes(bz2.compress(body))
    units = bert_sources.list_units(str(tmp_path), None, None)
    assert len(units) == 2
    titles = [document.title for unit in units for document in bert_sources.documents(unit)]
    whole = [d.title for u in bert_sources.list_units(str(inputs[0]), None, None) for d in bert_sources.documents(u)]
    assert set(titles) == set(whole) and len(titles) == len(whole) + 1


def test_a_damaged_input_is_named_and_can_be_mended(inputs, tmp_path):
    dump, books = tmp_path / "dump.xml.bz2", tmp_path / "books"
    dump.write_bytes(inputs[0].read_bytes()[:-1000])
    books.mkdir()
    for path in sorted(inputs[1].iterdir())[:30]:
        (books / path.name).write_bytes(path.read_bytes())
    book = next(books.iterdir())
    whole = book.read_bytes()
    book.write_bytes(whole + b"\xff\xfe")
    options = bert_build.Options(vocab_size=4096, dupe_factor=1, held_out=0.1, shards=1, held_out_shards=1)

    def build():
        return bert_build.build(bert_sources.list_units(str(dump), None, str(books)), str(tmp_path / "text"), options)

    mends = {
        f"{book}: not UTF-8": (book, whole),
        f"{dump}: not a whole MediaWiki XML dump": (dump, inputs[0].read_bytes()),
    }
    while mends:  # which of the two is met first is the runner's choice
        with pytest.raises(InputError) as met:
            build()
        (message,) = [message for message in mends if str(met.value).startswith(message)]
        assert "\n" not in str(met.value) and not (tmp_path / "text" / "manifest.json").exists()
        path, content = mends.pop(message)
        path.write_bytes(content)
    assert build()["splits"]["train"]["sequences"] > 100


@pytest.mark.parametrize(
    ("dump", "tfds_folder", "books", "message"),
    [
        ("no/such.bz2", None, None, r"no/such\.bz2: no such dump; .* DUMP="),
        (None, None, "no/folder", r"no/folder: no such folder; .* BOOKS="),
        (None, "no/folder", None, r"no/folder: not a data set of TensorFlow Datasets"),
    ],
)
def test_missing_inputs_are_named(dump, tfds_folder, books, message):
    with pytest.raises(InputError, match=message):
        bert_sources.list_units(dump, tfds_folder, books)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            r"bert-data: name the text: DUMP=.*\(dumps\.wikimedia\.org\).*; see docs/bert_data\.md",
        ),
        (["--dump=a", "--tfds=b"], r"bert-data: --dump and --tfds: both hold Wikipedia; name one of them"),
        (["--books=b", "--max_predictions=600"], r"bert-data: --max_predictions=600: has to be at most seq_length - 3"),
        (["--books=no/folder"], r"bert-data: no/folder: no such folder; .*"),
        (["--bocks=b"], r".*bocks.*see python -m data\.bert --help"),
    ],
)
def test_the_command_says_in_one_line_what_to_mend(arguments, message, tmp_path):
    command = [sys.executable, "-m", "data.bert", f"--data_dir={tmp_path / 'data'}", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    lines = [line for line in result.stderr.splitlines() if line]
    assert result.returncode == 2 and len(lines) == 1 and re.match(message, lines[0]), result.stderr
    assert not (tmp_path / "data").exists()


LONG = "x" * 200
BOOKS = (
    f"{LONG}/{LONG}/{LONG}.txt",  # longer than a file's name may be
    "An Author/A Series, vol. [1] *?/The Book: 'Life' $HOME\n.TXT",
    "An Author/100% {a} #1 & more.txt",
    b"caf\xe9.txt",  # Latin-1
    "…/-.txt",
)


def test_a_book_s_path_may_be_any(tmp_path):
    for number, name in enumerate(BOOKS):
        path = os.path.join(os.fsencode(tmp_path / "books"), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(
                f"Chapter {number}.{line} of a book that has some twelve words in it.\n" for line in range(40)
            )
    units = bert_sources.list_units(None, None, str(tmp_path / "books"))
    assert all(len(unit.name) < 64 for unit in units)
    options = bert_build.Options(vocab_size=300, dupe_factor=1, held_out=0.3, shards=1, held_out_shards=1)
    content = bert_build.build(units, str(tmp_path / "text [1] *"), options)
    assert content["sources"]["books"]["files"] == content["sources"]["books"]["documents"] == len(BOOKS)


def test_a_dump_s_path_is_a_path_and_a_pattern_a_pattern(inputs, tmp_path):
    """In a folder with brackets, beside the index of the multistream dump and what else is there."""
    folder = tmp_path / "dump [20240101] *"
    folder.mkdir()
    name = "enwiki-20240101-pages-articles-multistream"
    shutil.copy(inputs[0], folder / f"{name}.xml.bz2")
    (folder / f"{name}-index.txt.bz2").write_bytes(bz2.compress(b"600:10:AccessibleComputing\n"))
    (folder / "enwiki-20240101-md5sums.txt").write_text("0  a\n")
    whole = bert_sources.list_units(str(inputs[0]), None, None)
    articles = list(bert_sources.documents(whole[0]))
    for dump in (folder, folder / f"{name}.xml.bz2", tmp_path / "dump ?20240101? ?" / "*.xml.bz2"):
        (unit,) = bert_sources.list_units(str(dump), None, None)
        assert list(bert_sources.documents(unit)) == articles
