"""Writes results/claims.csv and docs/claims.md: python -m scripts.claims.

Exit status: 0 done, 2 a result that a verdict rests on is missing.
"""

import collections
import csv
import io
import sys

from data.errors import InputError
from scripts.claims.evidence import VERDICTS
from scripts.claims.ledger import CLAIMS
from trainers.checkout import ROOT
from trainers.running.directory import write_atomically

COLUMNS = ("number", "place", "claim", "shown_by", "paper", "ours", "verdict", "command")


def rows() -> list[dict[str, str]]:
    """The claims with what was found.

    Raises:
      InputError: A result that a verdict rests on is missing.
    """
    found = []
    for number, claim in enumerate(CLAIMS, 1):
        evidence = claim.evidence()
        own = {"number": str(number), "place": claim.place, "claim": claim.text, "shown_by": claim.shown_by}
        own |= {"paper": claim.paper or "–", "ours": evidence.ours}
        found.append(own | {"verdict": evidence.verdict, "command": evidence.command})
    return found


def page(ledger: list[dict[str, str]]) -> str:
    """docs/claims.md."""
    counts = collections.Counter(row["verdict"] for row in ledger)
    lines = [
        "# What the paper claims, and what was found",
        "",
        "Made by `make claims` from committed results: each verdict's command makes what it rests on. `make study`",
        "runs what results/laptop lacks: without its runs.csv, curves.csv and logs, everything. “not run” is what only",
        "the paper's own data and machines, or runs of the study that are still to come, can show; “corrected”: the",
        "claim survives with the change that is named, most often an erratum; “undecided”: what was measured does not",
        "decide it. Verdicts of the study are about small models on small data. “accepted”: what the theory's table of",
        "acceptance asks of a number. Where the command is a test, the verdict is the test's. What can only be read in",
        "a proof is in [errata.md](errata.md) alone.",
        "",
        "; ".join(f"{counts[word]} {word}" for word in VERDICTS if counts[word]) + f"; {len(ledger)} in all.",
        "",
    ]
    head = {name: name.replace("_", " ") for name in COLUMNS} | {"number": "", "paper": "the paper's"}
    for row in (head, dict.fromkeys(COLUMNS, "---"), *ledger):
        cells = [row[name].replace("|", "\\|") for name in COLUMNS[:-1]]
        command = row["command"] if row is head or row["command"] == "---" else f"`{row['command']}`"
        lines.append(f"| {' | '.join([*cells, command])} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Writes both files and returns the exit status."""
    try:
        ledger = rows()
    except InputError as error:
        print(f"claims: {error}", file=sys.stderr)
        return 2
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(ledger)
    write_atomically(ROOT / "results" / "claims.csv", text.getvalue())
    write_atomically(ROOT / "docs" / "claims.md", page(ledger))
    print(f"claims: {len(ledger)} in results/claims.csv and docs/claims.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
