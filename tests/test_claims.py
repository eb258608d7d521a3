"""The ledger of claims: complete, true to the committed results, and every verdict with a command."""

import csv
import re

import pytest

from data.errors import InputError
from scripts.claims import __main__ as claims
from scripts.claims import evidence
from scripts.forked import ROOT
from scripts.study.comparison import Comparison, Sample


@pytest.fixture(scope="module")
def ledger():
    return claims.rows()


def test_the_committed_files_are_what_the_results_say(ledger):
    """`make claims` after `make theory`, `make bench` or `make study`."""
    with open(ROOT / "results" / "claims.csv", newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == ledger
    assert (ROOT / "docs" / "claims.md").read_text(encoding="utf-8") == claims.page(ledger)


def test_every_claim_has_a_place_a_verdict_and_a_command_that_exists(ledger):
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M)) | {"bert-adam", "resnet-sgd"}
    targets |= {"resnet-nigt-sweep", "bert-nigt-sweep"}
    assert len(ledger) >= 20 and {row["verdict"] for row in ledger} <= set(evidence.VERDICTS)
    for row in ledger:
        assert row["place"] and row["claim"] and row["shown_by"] and row["command"]
        assert set(re.findall(r"make ([a-z0-9-]+)", row["command"])) <= targets
        for file in re.findall(r"tests/\w+\.py", row["command"]):
            assert (ROOT / file).is_file()
        assert (row["ours"] == "–") == (row["verdict"] == "not run")
    for place in ("abstract", "section 1", "section 2", "section 3", "section 4", "section 5", "section 6"):
        assert any(place in row["place"].replace("sections", "section") for row in ledger), place


def test_a_verdict_follows_the_results(tmp_path, monkeypatch):
    """A row that does not hold makes the claim fail; a row that is missing is named."""
    rows = "claim,where,measured,stderr,n,accepted,verdict\n"
    rows += "The slope,cos,-0.1,0.01,16,< −0.2,fails\n… and more,cos,1,,,1,holds\n"
    (tmp_path / "results" / "theory").mkdir(parents=True)
    (tmp_path / "results" / "theory" / "acceptance.csv").write_text(rows)
    monkeypatch.setattr(evidence, "ROOT", tmp_path)
    found = evidence.theory("The slope")()
    assert (found.verdict, found.ours) == ("fails", "-0.1 ± 0.01 (accepted: < −0.2); and more: 1 (accepted: 1), n = 16")
    with pytest.raises(InputError, match="no row 'The height'"):
        evidence.theory("The height")()


@pytest.mark.parametrize(
    ("ours", "better", "no_worse"),
    [
        ((90.0, 90.1, 90.2), "holds", "holds"),
        ((89.18, 89.2, 89.22), "holds", "holds"),  # by 0.2 points: within the margin, and still ahead
        ((89.0, 89.2, 88.8), "undecided", "holds"),
        ((88.0, 90.0, 89.1), "undecided", "undecided"),
        ((87.0, 87.1, 87.2), "fails", "fails"),
    ],
)
def test_a_claim_goes_by_the_interval_of_the_difference(ours, better, no_worse):
    found = Comparison(Sample(ours, 0, 3), Sample((89.0, 89.02, 88.98), 0, 3))
    assert (evidence.judge(found, better=True), evidence.judge(found, better=False)) == (better, no_worse)
