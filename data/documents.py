"""What all texts have in common: how short a document may be, and which split it is on."""

import hashlib
import unicodedata

SPLITS = ("train", "selection", "validation")
SELECTION_SHARE = 0.05
VALIDATION_SHARE = 0.05
FEWEST_WORDS = 10  # of a document


def normalised_title(title: str) -> str:
    """The title as splits compare it: NFKC, case-folded, underscores and runs of white space as one space."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", title).casefold())
    return " ".join(folded.replace("_", " ").split())


def split_of(title: str, selection: float = SELECTION_SHARE, validation: float = VALIDATION_SHARE) -> str:
    """The split of a document, by SHA-256 of the normalised title: so large shares of all titles are held out.

    It depends on nothing else (no seed, no other document), so adding a source moves no document, and a title that
    two sources have is on one side.
    """
    digest = hashlib.sha256(normalised_title(title).encode("utf-8")).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    if share < selection:
        return "selection"
    return "validation" if share < selection + validation else "train"
