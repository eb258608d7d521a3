"""What commands say: whole in a file, and on a terminal broken at blanks to its width."""

import io
import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import command_line

WORDS = st.lists(st.text("ab-/", min_size=1, max_size=100), min_size=1, max_size=60)


class _Stream(io.StringIO):
    def __init__(self, is_terminal):
        super().__init__()
        self.isatty = lambda: is_terminal


def _said(text, is_terminal):
    stream = _Stream(is_terminal)
    command_line.say(text, stream)
    return stream.getvalue()


@pytest.fixture(autouse=True, scope="module")
def width():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        yield


@given(WORDS)
def test_a_terminal_shows_the_same_words_none_broken_and_a_file_one_line(words):
    text = " ".join(words)
    assert _said(text, False) == f"{text}\n"
    shown = _said(text, True).splitlines()
    assert " ".join(shown) == text
    assert all(len(line) <= 80 or " " not in line for line in shown)
    assert all(len(line) + 1 + len(word.split(" ")[0]) > 80 for line, word in zip(shown, shown[1:], strict=False))


def test_a_command_stays_on_one_line_to_be_copied():
    command = "`make bert-data DUMP=FILE BOOKS=FOLDER`"
    for before in range(80):
        assert command in _said(f"{'x' * before} {command}, and then this", True)


def test_what_fits_keeps_its_columns():
    assert _said("step 60  loss 0.1", True) == "step 60  loss 0.1\n"


@given(st.lists(st.text("ab '", min_size=1, max_size=60), min_size=1, max_size=20))
def test_a_command_in_lines_is_still_the_command(words):
    shown = command_line.paragraph([shlex.quote(word) for word in words], " \\", "    ")
    assert shlex.split(re.sub(r" \\\n", " ", shown)) == words
