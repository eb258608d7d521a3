"""Writes results/claims.csv and docs/claims.md: python -m scripts.claims.

Exit status: 0 done, 2 a result that a verdict rests on is missing.
"""

import csv
import io
import sys

from data.errors import InputError
from scripts import markdown
from scripts.claims.evidence import VERDICTS
from scripts.claims.ledger import CLAIMS, KINDS
from trainers.checkout import ROOT
from trainers.running.directory import write_atomically

COLUMNS = ("number", "kind", "place", "claim", "shown_by", "paper", "ours", "verdict", "laptop", "command")


def rows() -> list[dict[str, str]]:
    """The claims with what was found.

    Raises:
      InputError: A result that a verdict rests on is missing.
    """
    found = []
    for number, claim in enumerate(CLAIMS, 1):
        evidence = claim.evidence()
        own = {
            "number": str(number),
            "kind": claim.kind,
            "place": claim.place,
            "claim": claim.text,
            "shown_by": claim.shown_by,
        }
        own |= {"paper": claim.paper or "–", "ours": evidence.ours}
        own |= {"verdict": evidence.verdict, "laptop": claim.laptop() if claim.laptop else "–"}
        found.append(own | {"command": evidence.command})
    return found


def page(ledger: list[dict[str, str]]) -> str:
    """docs/claims.md."""
    lines = [
        "# What the paper claims, and what was found",
        "",
        "Made by `make claims` from committed results: each verdict's command makes what it rests on. A claim about",
        "BERT-Base or ImageNet is “not run” until it has run on them; what the study's small models show stands beside",
        "it, under “laptop”, and decides nothing about the paper's scale. “corrected”: the claim survives with the",
        "change that is named, most often an erratum; “undecided”: what was measured does not decide it. “accepted”:",
        "what the theory's table of acceptance asks of a number. Where the command is a test, the verdict is the",
        "test's. What can only be read in a proof is in [errata.md](errata.md) alone.",
        "",
        markdown.table(["", *VERDICTS, "in all"], [_tally(kind, ledger) for kind in KINDS]),
        "",
    ]
    head = {name: name.replace("_", " ") for name in COLUMNS} | {"number": "", "paper": "the paper's"}
    for row in (head, dict.fromkeys(COLUMNS, "---"), *ledger):
        cells = [row[name].replace("|", "\\|") for name in COLUMNS[:-1]]
        command = row["command"] if row is head or row["command"] == "---" else f"`{row['command']}`"
        lines.append(f"| {' | '.join([*cells, command])} |")
    return "\n".join(lines) + "\n"


def _tally(kind: str, ledger: list[dict[str, str]]) -> list[str]:
    """How many claims of a kind have each verdict."""
    verdicts = [row["verdict"] for row in ledger if row["kind"] == kind]
    return [kind, *(str(verdicts.count(word) or "–") for word in VERDICTS), str(len(verdicts))]


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
