"""Markdown tables."""

from collections.abc import Iterable


def row(cells: Iterable[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"


def table(header: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A whole table, one line a row."""
    head = list(header)
    return "\n".join(map(row, (head, ["---"] * len(head), *lines)))
