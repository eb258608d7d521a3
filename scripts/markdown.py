"""Markdown: tables, and the names of headings."""

from collections.abc import Iterable


def row(cells: Iterable[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"


def table(header: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A whole table, one line a row."""
    head = list(header)
    return "\n".join(map(row, (head, ["---"] * len(head), *lines)))


def anchor(heading: str) -> str:
    """What follows "#" in a link to a heading, as GitHub names it."""
    kept = (c for c in heading.strip().lower() if c.isalnum() or c in " -_")
    return "".join(kept).replace(" ", "-")
