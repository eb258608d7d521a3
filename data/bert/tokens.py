"""Text to WordPiece ids, faster than word by word: each distinct word is cut once and looked up afterwards."""

import itertools

import numpy as np

from data import vocabulary

# Distinct words that are remembered, some 60 MB. A corpus has more: then it begins anew.
_REMEMBERED = 300_000


class _Numbers(dict):
    """Numbers words in the order in which they are met; the new ones are in `new`."""

    def __init__(self) -> None:
        super().__init__()
        self.new: list[str] = []

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        self.new.append(word)
        return number


class Encoder:
    """The tokenizer of data/vocabulary.py for texts whose words are separated by single spaces or newlines.

    BERT's normaliser and pretokeniser never look across white space, so a text's tokens are its words' tokens.
    """

    def __init__(self, tokens: list[str]):
        self._tokenizer = vocabulary.tokenizer(tokens)
        self._forget()

    def _forget(self) -> None:
        self._numbers = _Numbers()
        self._sizes, self._starts, self._pool = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32))

    def _learn(self, words: list[str]) -> None:
        # All at once is faster than one by one; word_ids says which word a token is of.
        encoded = self._tokenizer.encode(words, is_pretokenized=True, add_special_tokens=False)
        new = np.array(encoded.ids, np.int32)
        sizes = np.bincount(np.array(encoded.word_ids, np.int64), minlength=len(words))
        starts = len(self._pool) + np.cumsum(sizes) - sizes
        self._sizes = np.concatenate([self._sizes, sizes])
        self._starts = np.concatenate([self._starts, starts])
        self._pool = np.concatenate([self._pool, new])

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of the texts, concatenated, int32 [T], and how many each has, int64 [D]."""
        if len(self._numbers) > _REMEMBERED:
            self._forget()
        words = [text.split() for text in texts]
        counts = np.fromiter(map(len, words), np.int64, len(words))
        numbers = np.fromiter(
            map(self._numbers.__getitem__, itertools.chain.from_iterable(words)), np.int64, int(counts.sum())
        )
        if self._numbers.new:
            self._learn(self._numbers.new)
            self._numbers.new = []
        sizes = self._sizes[numbers]
        ends = np.concatenate([[0], np.cumsum(sizes)])
        places = np.repeat(self._starts[numbers] - ends[:-1], sizes) + np.arange(ends[-1])
        bounds = np.concatenate([[0], np.cumsum(counts)])
        return self._pool[places], np.diff(ends[bounds])
