"""Writes results/claims.csv, docs/claims.md and the table in README.md: python -m scripts.claims.

Exit status: 0 done, 2 a result that a verdict rests on is missing.
"""

import csv
import io
import pathlib
import re
import sys

from data.errors import InputError
from scripts import markdown
from scripts.claims import headline
from scripts.claims.evidence import STUDY, VERDICTS
from scripts.claims.ledger import CLAIMS, KINDS, SECTIONS, Claim
from trainers.checkout import ROOT
from trainers.running.atomic import write_atomically

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
        own |= {"verdict": evidence.verdict, "laptop": claim.laptop(False) if claim.laptop else "–"}
        found.append(own | {"command": evidence.command})
    return found


def page(ledger: list[dict[str, str]]) -> str:
    """docs/claims.md."""
    lines = [
        "# What the paper claims, and what was found",
        "",
        "The numbers behind each row, and the command that makes them, are in",
        "[results/claims.csv](../results/claims.csv); `make claims` writes both from committed results. “Corrected”",
        "means that the claim survives with the change that is named, most often an [erratum](errata.md). “Undecided”",
        "means that our measurements do not settle it. A claim about BERT-Base or ImageNet stays “not run” until it",
        "has run on them: what the small models of the [study](../results/laptop/study.md) show is said beside it, and",
        "decides nothing about the paper's scale.",
        "",
        markdown.table(["", *VERDICTS, "in all"], [_tally(kind, ledger) for kind in KINDS]),
    ]
    for section, claims in SECTIONS.items():
        table = markdown.table(("claim", "verdict", "what was found", "numbers"), map(_row, claims))
        lines += ["", f"## {section}", "", table]
    return "\n".join(lines) + "\n"


def _row(claim: Claim) -> list[str]:
    """A row of the page: a short sentence a cell."""
    evidence = claim.evidence()
    said, link = evidence.said, evidence.link
    if evidence.verdict == "not run":
        said, link = ("laptop: " + claim.laptop(True), STUDY) if claim.laptop else ("–", "")
    number = re.fullmatch(r"errata\.md#(\d+)-.*", link)
    name = "test" if "/test" in link else f"erratum {number[1]}" if number else pathlib.Path(link).stem
    if re.match("[a-z]{2}", said):  # not a formula
        said = f"{said[0].upper()}{said[1:]}"
    cells = [claim.text, evidence.verdict, said, f"[{name}]({link})" if link else "–"]
    return [cell.replace("|", "\\|") for cell in cells]


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
    write_atomically(ROOT / "README.md", headline.insert((ROOT / "README.md").read_text(encoding="utf-8")))
    print(f"claims: {len(ledger)} in results/claims.csv and docs/claims.md; the table in README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
