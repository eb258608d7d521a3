"""placeholder"""

from scripts.theory.acceptance import Row


def table(rows: list[Row]) -> str:
    """."""
    return "\n".join(" | ".join(row.cells().values()) for row in rows)


def text(records, rows, made) -> str:
    """."""
    return table(rows)
