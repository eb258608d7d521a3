"""An uncased WordPiece vocabulary, trained deterministically, and the tokenizer that it defines."""

import collections
import dataclasses
import pathlib
from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from data.errors import InputError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)
# A character rarer than this gets no token: a word that has it becomes [UNK].
RAREST_CHARACTER = 20
LONGEST_WORD = 100


@dataclasses.dataclass(frozen=True)
class Special:
    """The ids of the special tokens: 0 … 4 in the vocabularies that are trained here, others in the published one."""

    pad: int = PAD
    unk: int = UNK
    cls: int = CLS
    sep: int = SEP
    mask: int = MASK

    @classmethod
    def of(cls, tokens: list[str]) -> "Special":
        """Those of a vocabulary, given by id."""
        return cls(*map(tokens.index, SPECIAL_TOKENS))

    def ids(self) -> list[int]:
        """All five."""
        return list(dataclasses.astuple(self))


def _pipeline(model: models.WordPiece) -> Tokenizer:
    """BERT's uncased normaliser and pretokeniser before `model`."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def word_counts(texts: Iterable[str]) -> collections.Counter[str]:
    """How often each word occurs, as BERT's normaliser and pretokeniser cut words."""
    normalise = normalizers.BertNormalizer(lowercase=True).normalize_str
    # Prose repeats itself: a word between white space is cut once and counted often.
    chunks = collections.Counter(chunk for text in texts for chunk in text.split())
    cut = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    counts: collections.Counter[str] = collections.Counter()
    for chunk, count in chunks.items():
        for word, _ in cut(normalise(chunk)):
            counts[word] += count
    return counts


def train(texts: Iterable[str], size: int) -> list[str]:
    """Trains a vocabulary.

    Args:
      texts: the documents to train on; they alone decide the result, in any order.
      size: how many tokens to have, the five special ones included. A small corpus gives fewer.

    Returns:
      The tokens by id: SPECIAL_TOKENS, then the characters in code-point order ("x", then "##x"), then what was
      merged, in the order of merging.

    Raises:
      InputError: `size` is too small for the characters of the texts, or there is no text.
    """
    counts = word_counts(texts)
    characters: collections.Counter[str] = collections.Counter()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
    alphabet = sorted(character for character, count in characters.items() if count >= RAREST_CHARACTER)
    if not alphabet:
        raise InputError("vocabulary: the train documents have no text: check the sources and build again")
    # tokenizers numbers "##x" in the order in which it meets words in a hash map, which differs from run to run and
    # breaks ties between merges. Given as special tokens the characters have fixed ids, and merging is deterministic.
    fixed = [*SPECIAL_TOKENS, *alphabet, *(f"##{character}" for character in alphabet)]
    if size < len(fixed):
        raise InputError(f"--vocab_size={size} is less than the {len(fixed)} special tokens and characters: raise it")
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=fixed,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        continuing_subword_prefix="##",
        show_progress=False,
    )
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(_repeated(counts), trainer)
    ids = tokenizer.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def _repeated(counts: dict[str, int]) -> Iterable[str]:
    """Every word as often as it was counted, many to a string: cheaper than the normaliser over the whole text."""
    for word in sorted(counts):
        for done in range(0, counts[word], 10_000):
            yield f"{word} " * min(10_000, counts[word] - done)


def save(tokens: list[str], path: pathlib.Path) -> None:
    """Writes vocab.txt: one token a line, the line number (from 0) is the id."""
    path.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")


def load(path: pathlib.Path) -> list[str]:
    """Reads vocab.txt.

    Raises:
      InputError: it is missing, is not UTF-8, repeats a token, or does not begin with SPECIAL_TOKENS.
    """
    try:
        # Not splitlines(): a token may be a character that Python takes for a line break.
        tokens = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}): run make laptop-data") from error
    if tuple(tokens[:5]) != SPECIAL_TOKENS or len(set(tokens)) != len(tokens):
        raise InputError(f"{path}: does not begin with {' '.join(SPECIAL_TOKENS)} or repeats a token: build it again")
    return tokens


def load_published(path: str, size: int) -> list[str]:
    """Reads a vocab.txt that may be laid out as the published BERT vocabularies are: [PAD], then any order.

    Args:
      path: A path or gs://….
      size: How many tokens it has to have.

    Raises:
      InputError: It cannot be read, has another number of tokens, repeats one or lacks a special one.
    """
    import tensorflow as tf  # takes seconds to import

    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            tokens = file.read().decode("utf-8").removesuffix("\n").split("\n")
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read ({reason}); name a vocab.txt: VOCABULARY=path") from error
    tokens = [token.removesuffix("\r") for token in tokens]
    if len(tokens) != size:
        raise InputError(f"{path}: {len(tokens):,} tokens, not {size:,}; name the right one, or its size: VOCAB_SIZE=")
    missing = [token for token in SPECIAL_TOKENS if token not in tokens]
    if missing or tokens[0] != SPECIAL_TOKENS[0] or len(set(tokens)) != len(tokens):
        reason = f"has no {missing[0]}" if missing else f"does not begin with {SPECIAL_TOKENS[0]}, or repeats a token"
        raise InputError(f"{path}: {reason}; name the vocab.txt of an uncased BERT model")
    return tokens


def tokenizer(tokens: list[str]) -> Tokenizer:
    """The BERT tokenizer of a vocabulary. It adds no [CLS] or [SEP] itself.

    A text that spells "[MASK]" gets brackets and a word, not the special token.
    """
    model = models.WordPiece(
        vocab={token: number for number, token in enumerate(tokens)},
        unk_token="[UNK]",
        max_input_chars_per_word=LONGEST_WORD,
    )
    return _pipeline(model)
