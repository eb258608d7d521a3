"""Which checkpoint of which run a run started from, as its row of runs.csv says."""

import re
from collections.abc import Iterable

from scripts.arm import Arm
from scripts.figures.table import OPTIMIZERS

_CHECKPOINT = re.compile(r"""init_checkpoint\s*=\s*['"](?:.*/)?([^/]+)/ckpt-(\d+)['"]""")


def start_of(row: dict[str, str]) -> tuple[str, int] | None:
    """The directory's name of the run whose weights it took, and their step; None if it started at random."""
    found = (_CHECKPOINT.search(binding) for binding in Arm.of_run(row).bindings)
    return next(((match[1], int(match[2])) for match in found if match), None)


def source_of(start: tuple[str, int], rows: Iterable[dict[str, str]]) -> dict[str, str] | None:
    """The row of the run that a start names; None if it was not collected."""
    return next((row for row in rows if row["run_id"].rpartition("-")[0] == start[0]), None)


def described(start: tuple[str, int], rows: Iterable[dict[str, str]]) -> str:
    """ "from Adam's step 3,000"."""
    source = source_of(start, rows)
    owner = OPTIMIZERS.get(source["optimizer"], source["optimizer"]) if source else start[0]
    return f"from {owner}'s step {start[1]:,}"
