"""Packs documents into sequences and masks them for BERT's masked-language-model task.

Devlin et al. (2019), section 3.1 and appendix A: 15 % of the tokens are chosen; of these 80 % become [MASK], 10 % a
random token, 10 % stay. A sequence never crosses a document, and there is no next-sentence task.
"""

import dataclasses

import numpy as np

from data.vocabulary import Special

SHARE = 0.15
MASK_SHARE, RANDOM_SHARE = 0.8, 0.1
_FIRST = Special()  # the ids in the vocabularies that are trained here


@dataclasses.dataclass(frozen=True)
class Masked:
    """N masked sequences of length L with at most P predictions each.

    Attributes:
      word_ids: int32 [N, L], what the model sees: [CLS] tokens [SEP] [PAD]…
      mask: int32 [N, L], 1 up to and including [SEP], else 0.
      positions: int32 [N, P], ascending positions of the targets, then 0.
      target_ids: int32 [N, P], the original tokens there, then 0.
      weights: float32 [N, P], 1 for a target, then 0.
    """

    word_ids: np.ndarray
    mask: np.ndarray
    positions: np.ndarray
    target_ids: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.word_ids)

    def take(self, order: np.ndarray) -> "Masked":
        """The sequences `order` (indices or a boolean mask)."""
        return Masked(*(getattr(self, field.name)[order] for field in dataclasses.fields(self)))


def concatenate(parts: list[Masked]) -> Masked:
    """The sequences of all parts, in order."""
    return Masked(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(Masked))
    )


def cut(lengths: np.ndarray, longest: int, generator: np.random.Generator | None) -> tuple[np.ndarray, np.ndarray]:
    """Cuts documents into as few pieces as possible.

    Args:
      lengths: int [D], tokens of each document.
      longest: tokens that a piece may have.
      generator: draws where each document's first cut is, uniformly among the places that need no further piece; the
        pieces between are full. None: the pieces of a document differ by one token at most.

    Returns:
      (starts, sizes), int [N] each: pieces in the order of the documents, by offset in their concatenation.
      Documents without tokens have no piece.
    """
    counts = -(-lengths // longest)
    document = np.repeat(np.arange(len(lengths)), counts)
    piece = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)
    length, count = lengths[document], counts[document]
    if generator is None:
        begin, end = piece * length // count, (piece + 1) * length // count
    else:
        shortest = lengths - (counts - 1) * longest
        first = generator.integers(np.minimum(shortest, longest), longest, endpoint=True)[document]
        begin = np.where(piece == 0, 0, first + (piece - 1) * longest)
        end = np.minimum(first + piece * longest, length)
    return (np.cumsum(lengths) - lengths)[document] + begin, end - begin


def pack(tokens: np.ndarray, lengths: np.ndarray, seq_length: int, generator: np.random.Generator | None) -> np.ndarray:
    """Sequences [CLS] tokens [SEP], padded with [PAD].

    Args:
      tokens: int [T], the documents' tokens, one document after the other.
      lengths: int [D], tokens of each document; they sum to T.
      seq_length: L, at least 3.
      generator: as for `cut`.

    Returns:
      int32 [N, L].
    """
    return fill(tokens, *cut(lengths, seq_length - 2, generator), seq_length)


def fill(
    tokens: np.ndarray, starts: np.ndarray, sizes: np.ndarray, seq_length: int, special: Special = _FIRST
) -> np.ndarray:
    """As `pack`, of the pieces tokens[start : start + size] given by (starts, sizes), int [N] each."""
    column = np.arange(seq_length)[None, :]
    sizes = sizes[:, None]
    inside = (column >= 1) & (column <= sizes)
    packed = np.full((len(starts), seq_length), special.pad, np.int32)
    packed[:, 0] = special.cls
    packed[inside] = tokens[(starts[:, None] + column - 1)[inside]]
    packed[column == sizes + 1] = special.sep
    return packed


def has_ordinary(sequences: np.ndarray, special: Special = _FIRST) -> np.ndarray:
    """Whether there is anything to predict in each sequence, bool [N]: a token that is not special."""
    return np.logical_not(np.isin(sequences, special.ids()).all(axis=1))


def mask(
    sequences: np.ndarray,
    vocab_size: int,
    max_predictions: int,
    generator: np.random.Generator,
    special: Special = _FIRST,
) -> Masked:
    """Masks packed sequences.

    Of a sequence's n ordinary tokens (no special token, so no [UNK] either: there is nothing to learn from it)
    min(max(1, round(0.15 n)), max_predictions) are chosen without replacement, uniformly. Each is then, on its own,
    [MASK] (80 %), a uniformly random ordinary token (10 %), or left (10 %). A sequence without an ordinary token is
    left out.

    Args:
      sequences: int32 [N, L], as `pack` returns them.
      vocab_size: V; random tokens are drawn from the V - 5 that are not special.
      max_predictions: P.
      generator: the source of chance; each choice is a function of its state alone.
    """
    is_ordinary = np.ones(vocab_size, bool)
    is_ordinary[special.ids()] = False
    ordinary = is_ordinary[sequences]
    sequences, ordinary = sequences[ordinary.any(axis=1)], ordinary[ordinary.any(axis=1)]
    wanted = np.clip(np.rint(SHARE * ordinary.sum(axis=1)).astype(np.int64), 1, max_predictions)
    score = generator.random(sequences.shape, dtype=np.float32)
    score[~ordinary] = 2.0
    # The first P of each row in random order; position L stands for "none" and sorts last.
    chosen = np.argsort(score, axis=1)[:, :max_predictions]
    if chosen.shape[1] < max_predictions:
        chosen = np.pad(chosen, ((0, 0), (0, max_predictions - chosen.shape[1])))
    real = np.arange(max_predictions)[None, :] < wanted[:, None]
    positions = np.sort(np.where(real, chosen, sequences.shape[1]), axis=1)
    positions = np.where(real, positions, 0).astype(np.int32)
    rows = np.arange(len(sequences))[:, None]
    targets = np.where(real, sequences[rows, positions], 0).astype(np.int32)
    fate = generator.random(positions.shape)
    candidates = np.flatnonzero(is_ordinary).astype(np.int32)
    random_ids = candidates[generator.integers(0, len(candidates), positions.shape, dtype=np.int32)]
    shown = np.where(fate < MASK_SHARE, special.mask, np.where(fate < MASK_SHARE + RANDOM_SHARE, random_ids, targets))
    word_ids = sequences.copy()
    word_ids[np.broadcast_to(rows, positions.shape)[real], positions[real]] = shown[real]
    return Masked(word_ids, (sequences != special.pad).astype(np.int32), positions, targets, real.astype(np.float32))


def unmask(masked: Masked) -> np.ndarray:
    """The sequences before masking, int32 [N, L]: every target put back."""
    restored = masked.word_ids.copy()
    row, column = np.nonzero(masked.weights)
    restored[row, masked.positions[row, column]] = masked.target_ids[row, column]
    return restored


def generator_for(seed: int, split: int, duplicate: int) -> np.random.Generator:
    """The chance of one duplicate of one split: independent streams for different keys, equal ones for equal keys."""
    return np.random.default_rng([seed, split, duplicate])


def duplicates(
    tokens: np.ndarray,
    lengths: np.ndarray,
    *,
    split: int,
    count: int,
    vary_cuts: bool,
    seq_length: int,
    max_predictions: int,
    vocab_size: int,
    seed: int,
) -> Masked:
    """`count` passes over the documents, each masked afresh and, with `vary_cuts`, cut elsewhere.

    Args:
      tokens, lengths, seq_length: as for `pack`.
      split: the number of the split, which keys the chance together with `seed` and the pass.
      max_predictions, vocab_size: as for `mask`.

    Returns:
      The passes one after the other, not shuffled.
    """
    passes = []
    for duplicate in range(count):
        generator = generator_for(seed, split, duplicate)
        sequences = pack(tokens, lengths, seq_length, generator if vary_cuts else None)
        passes.append(mask(sequences, vocab_size, max_predictions, generator))
    return concatenate(passes)
