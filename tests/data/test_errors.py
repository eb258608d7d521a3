"""What an error of TensorFlow says in one line: the fault, not the graph around it."""

import re

import pytest
import tensorflow as tf

from data.errors import reason


def _reshape(size):
    return tf.reshape(tf.range(size), (2, -1))[0, 0]


def _loop(x):
    return tf.while_loop(lambda i: i < 3, lambda i: _reshape(i + 5) + i + 1, [x])


CASES = {
    "an image in a data set": (
        lambda: list(tf.data.Dataset.from_tensors(b"GIF8").map(tf.io.decode_png)),
        "unknown format|Got 4 frames|Invalid|GIF",
    ),
    "an assertion": (
        lambda: tf.function(lambda: tf.debugging.assert_less(tf.constant([5]), 3, "classes is too small"))(),
        "^classes is too small$",
    ),
    "an assertion in a data set": (
        lambda: list(
            tf.data.Dataset.range(5).map(
                lambda x: (tf.debugging.assert_less(x, tf.constant(3, tf.int64), "too large"), x)[1]
            )
        ),
        "^too large$",
    ),
    "a reshape": (lambda: tf.function(_reshape)(tf.constant(5)), "Input to reshape is a tensor|must be a multiple"),
    "a loop": (lambda: tf.function(_loop)(tf.constant(0)), "Input to reshape is a tensor|must be a multiple"),
    "a serialized example": (
        lambda: tf.io.parse_single_example(b"", {"label": tf.io.FixedLenFeature((), tf.int64)}),
        "Feature: label .* is required but could not be found",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_line_is_the_fault_s(case):
    fails, said = CASES[case]
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        fails()
    line = reason(caught.value)
    assert "\n" not in line and len(line) <= 200
    for boilerplate in ("Graph execution", "Detected at", "{{", "[[", "[Op:", "iterator:", "Condition"):
        assert boilerplate not in line, line
    assert re.search(said, line), line


def test_an_error_without_words_is_its_kind():
    assert reason(ValueError()) == "ValueError" and reason(ValueError("\n a b \nc")) == "a b"
