"""Blocks of documents as BERT's input sequences: one text each, or with pairs for next-sentence prediction."""

import bisect
import dataclasses
import itertools
import random
import re

import numpy as np

from data import masking
from data.bert.tokens import Encoder
from data.errors import InputError
from data.vocabulary import Special

# Of the documents, how many are cut into shorter sequences (short_seq_prob of Devlin et al.'s script).
SHORT_SHARE = 0.1
# The space between two sentences: after a full stop or the like and a closing quote, before what may begin one.
_SENTENCE = re.compile(r""" (?:(?<=[.!?] )|(?<=[.!?]["'”’)\]] ))(?=["'“‘(\[]*[A-Z0-9])""")


@dataclasses.dataclass(frozen=True)
class Sequences:
    """N sequences of length L before masking.

    Attributes:
      word_ids: int32 [N, L].
      types: int32 [N, L], 1 for the second segment and its [SEP]; None: there is one segment.
      labels: int32 [N], 1 where the second segment is of another document; None as well.
    """

    word_ids: np.ndarray
    types: np.ndarray | None
    labels: np.ndarray | None

    def take(self, order: np.ndarray) -> "Sequences":
        """The sequences `order` (indices or a boolean mask)."""
        types, labels = (None if part is None else part[order] for part in (self.types, self.labels))
        return Sequences(self.word_ids[order], types, labels)


def sentences(text: str) -> list[str]:
    """A document's sentences; none crosses a line."""
    return [part for line in text.split("\n") for part in _SENTENCE.split(line)]


def encode_sentences(texts: list[str], encoder: Encoder) -> tuple[np.ndarray, list[list[int]]]:
    """The documents' tokens, and by document where in them its sentences begin and the last one ends.

    Sentences without tokens are left out, and so are documents without sentences.
    """
    found = [sentences(text) for text in texts]
    ids, lengths = encoder.encode([sentence for document in found for sentence in document])
    ends = np.concatenate([[0], np.cumsum(lengths)])
    counts = np.cumsum([0, *map(len, found)])
    bounds = [np.unique(ends[begin : end + 1]).tolist() for begin, end in zip(counts[:-1], counts[1:], strict=True)]
    return ids, [places for places in bounds if len(places) > 1]


def single(
    ids: np.ndarray,
    bounds: list[list[int]],
    seq_length: int,
    generators: list[np.random.Generator] | list[None],
    special: Special,
) -> list[Sequences]:
    """[CLS] text [SEP], a document's tokens in as few pieces as hold them; all of them are used, once a pass.

    Args:
      ids, bounds: As encode_sentences gives them.
      generators: One a pass; each cuts elsewhere, and SHORT_SHARE of its documents into short pieces: whole sentences
        until 2 ≤ n ≤ L - 2 tokens are reached, n uniform. None: cuts into equal parts.

    Returns:
      A pass's sequences, by pass.
    """
    packed = [masking.fill(ids, *_pieces(bounds, seq_length - 2, one), seq_length, special) for one in generators]
    return [Sequences(word_ids, None, None) for word_ids in packed]


def _pieces(
    bounds: list[list[int]], longest: int, generator: np.random.Generator | None
) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([places[-1] - places[0] for places in bounds], np.int64)
    if generator is None:
        return masking.cut(lengths, longest, None)
    short = generator.random(len(bounds)) < SHORT_SHARE
    targets = generator.integers(2, longest, len(bounds), endpoint=True)
    starts, sizes = masking.cut(lengths, longest, generator)
    # The cuts of the short documents are made anew.
    ends = np.array([places[-1] for places in bounds], np.int64)
    kept = ~short[np.searchsorted(ends, starts, side="right")]
    begins = [starts[kept]]
    pieces = [sizes[kept]]
    for number in np.flatnonzero(short):
        cuts = _cut_at_sentences(bounds[number], int(targets[number]), longest)
        begins.append(cuts[:-1])
        pieces.append(np.diff(cuts))
    return np.concatenate(begins), np.concatenate(pieces)


def _cut_at_sentences(places: list[int], target: int, longest: int) -> np.ndarray:
    cuts = [places[0]]
    while cuts[-1] < places[-1]:
        reached = bisect.bisect_left(places, cuts[-1] + target)
        end = places[reached] if reached < len(places) else places[-1]
        cuts.append(min(end, cuts[-1] + longest))
    return np.array(cuts, np.int64)


def pairs(
    ids: np.ndarray,
    bounds: list[list[int]],
    titles: list[bytes],
    seq_length: int,
    generators: list[np.random.Generator],
    special: Special,
) -> list[Sequences]:
    """[CLS] A [SEP] B [SEP] as Devlin et al.'s create_pretraining_data.py: B follows A in half of the cases, else it is
    of another of the documents; whole sentences, cut to length at either end.

    Args:
      ids, bounds, seq_length, generators: As of `single`, and so is the result.
      titles: Of the documents; neighbours of one title are parts of one document.

    Raises:
      InputError: They are all of one document: there is no other to draw from.
    """
    ends = np.flatnonzero(np.array([one != other for one, other in itertools.pairwise(titles)], bool)) + 1
    if not len(ends):
        raise InputError(
            "PAIRS=1: a file would hold one document alone, and no second half can come from another; give more text, "
            "or fewer files (SHARDS=, --held_out_shards=)"
        )
    edges = np.concatenate([[0], ends, [len(titles)]])
    own = np.searchsorted(edges, np.arange(len(titles)), side="right")
    document = list(zip(edges[own - 1].tolist(), edges[own].tolist(), strict=True))
    return [
        _pack_pairs(ids, _draw_pairs(bounds, document, seq_length - 3, one), seq_length, special) for one in generators
    ]


def _draw_pairs(
    bounds: list[list[int]], document: list[tuple[int, int]], longest: int, generator: np.random.Generator
) -> np.ndarray:
    """(begin and end of A, begin and end of B, whether B is random), int [N, 5].

    Args:
      document: Of each text, the first and the end of those that are parts of the same document.
    """
    chance = random.Random(int(generator.integers(2**63)))  # NumPy takes microseconds for one number
    found = []
    for number, places in enumerate(bounds):
        target = chance.randint(2, longest) if chance.random() < SHORT_SHARE else longest
        sentence = 0
        while sentence < len(places) - 1:
            begin = sentence
            while True:
                sentence += 1
                if sentence == len(places) - 1 or places[sentence] - places[begin] >= target:
                    break
            of_a = chance.randint(1, sentence - begin - 1) if sentence - begin >= 2 else 1
            a = [places[begin], places[begin + of_a]]
            is_random = sentence - begin == 1 or chance.random() < 0.5
            if is_random:
                b = _elsewhere(bounds, document[number], target - (a[1] - a[0]), chance)
                sentence = begin + of_a  # the rest of the chunk is not used: it comes again
            else:
                b = [places[begin + of_a], places[sentence]]
            _truncate(a, b, longest, chance)
            found.append((*a, *b, is_random))
    return np.array(found, np.int64).reshape(-1, 5)


def _elsewhere(bounds: list[list[int]], own: tuple[int, int], wanted: int, chance: random.Random) -> list[int]:
    other = chance.randrange(len(bounds) - (own[1] - own[0]))
    if other >= own[0]:
        other += own[1] - own[0]
    places = bounds[other]
    first = last = chance.randrange(len(places) - 1)
    while last < len(places) - 1:
        last += 1
        if places[last] - places[first] >= wanted:
            break
    return [places[first], places[last]]


def _truncate(a: list[int], b: list[int], longest: int, chance: random.Random) -> None:
    while (a[1] - a[0]) + (b[1] - b[0]) > longest:
        longer = a if a[1] - a[0] > b[1] - b[0] else b
        if chance.random() < 0.5:
            longer[0] += 1
        else:
            longer[1] -= 1


def _pack_pairs(ids: np.ndarray, found: np.ndarray, seq_length: int, special: Special) -> Sequences:
    begin_a, end_a, begin_b, end_b, labels = (column[:, None] for column in found.T)
    size_a, size_b = end_a - begin_a, end_b - begin_b
    column = np.arange(seq_length)[None, :]
    in_a = (column >= 1) & (column <= size_a)
    in_b = (column >= size_a + 2) & (column < size_a + 2 + size_b)
    packed = np.full((len(found), seq_length), special.pad, np.int32)
    packed[:, 0] = special.cls
    packed[in_a] = ids[(begin_a + column - 1)[in_a]]
    packed[in_b] = ids[(begin_b + column - size_a - 2)[in_b]]
    packed[(column == size_a + 1) | (column == size_a + size_b + 2)] = special.sep
    types = ((column >= size_a + 2) & (column <= size_a + size_b + 2)).astype(np.int32)
    return Sequences(packed, types, labels[:, 0].astype(np.int32))
