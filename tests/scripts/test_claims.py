"""The ledger of claims: complete, true to the committed results, and every verdict with a command."""

import csv
import re

import pytest

from data.errors import InputError
from scripts.claims import __main__ as claims
from scripts.claims import evidence, headline, paper_scale
from scripts.claims.ledger import KINDS
from scripts.claims.paper_scale import Side
from scripts.figures.collect import CURVE_COLUMNS, RUN_COLUMNS
from scripts.study.comparison import Comparison, Judged, Sample
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def ledger():
    return claims.rows()


def test_the_committed_files_are_what_the_results_say(ledger):
    """`make claims` after `make theory`, `make bench` or `make study`."""
    with open(ROOT / "results" / "claims.csv", newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == ledger
    assert (ROOT / "docs" / "claims.md").read_text(encoding="utf-8") == claims.page(ledger)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == headline.insert(readme) and "| BERT after the plateau | " in readme
    with pytest.raises(ValueError, match="are missing; restore them"):
        headline.insert("# A README without the table's marks")


def test_every_claim_has_a_place_a_verdict_and_a_command_that_exists(ledger):
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    trainings = {path.stem.replace("_", "-") for path in ROOT.glob("configs/*/*_*.gin")}
    targets |= trainings | {f"{name}-sweep" for name in trainings}
    assert len(ledger) >= 20 and {row["verdict"] for row in ledger} <= set(evidence.VERDICTS)
    tests = 0
    for row in ledger:
        assert row["place"] and row["claim"] and row["shown_by"] and row["command"]
        assert set(re.findall(r"make ([a-z0-9-]+)", row["command"])) <= targets
        for file, name in re.findall(r"(\S+)::(\w+)", row["command"]):
            assert f"def {name}(" in (ROOT / file).read_text()
            tests += 1
        assert (row["ours"] == "–") == (row["verdict"] == "not run")
        # No laptop's run decides anything about BERT-Base or ImageNet.
        assert row["kind"] in KINDS and (row["kind"] != "paper's scale" or "make study" not in row["command"])
        assert row["laptop"] == "–" or row["kind"] in ("paper's scale", "laptop experiment")
    assert tests > 10
    places = " ".join(row["place"] for row in ledger)
    sections = {number for group in re.findall(r"sections? ([\d., –]+)", places) for number in re.findall(r"\d", group)}
    assert sections >= set("123456") and "abstract" in places and "appendix A" in places


def test_a_verdict_follows_the_results(tmp_path, monkeypatch):
    """A row that does not hold makes the claim fail; a row that is missing is named."""
    rows = "claim,where,measured,stderr,n,accepted,verdict\n"
    rows += "The slope,cos,-0.1,0.01,16,< −0.2,fails\n… and more,cos,1,,,1,holds\n"
    (tmp_path / "results" / "theory").mkdir(parents=True)
    (tmp_path / "results" / "theory" / "acceptance.csv").write_text(rows)
    monkeypatch.setattr(evidence, "ROOT", tmp_path)
    found = evidence.theory("The slope", said="it falls")()
    assert (found.verdict, found.ours) == ("fails", "-0.1 ± 0.01 (accepted: < −0.2); and more: 1 (accepted: 1), n = 16")
    with pytest.raises(InputError, match="no row 'The height'"):
        evidence.theory("The height", said="it rises")()


def _paper_runs(folder, *runs):
    """results/paper with final runs (task, optimizer, accuracy) and tuning runs (task, optimizer, accuracy, η0)."""
    (folder / "results" / "paper").mkdir(parents=True, exist_ok=True)
    rows, curves = [], []
    for number, (task, optimizer, value, *eta0) in enumerate(runs):
        row = dict.fromkeys(RUN_COLUMNS, "") | {"run_id": f"run{number}-abc", "task": task, "optimizer": optimizer}
        row |= {"phase": "tune" if eta0 else "final", "eta0": str(*eta0 or [1]), "seed": "0"}
        row |= {"metric": "accuracy", "steps": "9"}
        row |= {"status": "ok" if value else "diverged", "final_value": str(value)}
        rows.append(row)
        curve = dict.fromkeys(CURVE_COLUMNS, "") | {"run_id": row["run_id"], "split": "selection", "name": "accuracy"}
        curves.append(curve | {"step": "9", "examples": "9", "value": str(value or "nan")})
    for name, columns, lines in (("runs", RUN_COLUMNS, rows), ("curves", CURVE_COLUMNS, curves)):
        with open(folder / "results" / "paper" / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(lines)


def test_the_papers_own_experiments_are_judged_once_they_have_been_run(tmp_path, monkeypatch):
    monkeypatch.setattr(paper_scale, "ROOT", tmp_path)
    nigt, adam = Side("nigt"), Side("adam")
    ahead = paper_scale.beside("bert", nigt, adam)
    linear = paper_scale.beside("bert", nigt, Side("nigt", "warmup_polynomial_decay.power=2.0"))
    grid = paper_scale.best_of_grid({"bert": 0.001}, "bert-nigt-sweep")
    target = paper_scale.reaches("bert", 70.0, "bert-nigt")
    assert {each().verdict for each in (ahead, linear, grid, target)} == {"not run"}
    assert linear().command == (
        'make bert-nigt TPU=v3-8 …; make bert-nigt GIN="warmup_polynomial_decay.power=2.0" TPU=v3-8 …'
    )
    _paper_runs(tmp_path, ("bert", "nigt", 0.7091))
    assert (ahead().verdict, target().verdict) == ("not run", "holds")
    _paper_runs(tmp_path, ("bert", "nigt", 0.7091), ("bert", "adam", 0.7076), ("resnet", "sgd", 0.76))
    assert ahead().verdict == "undecided" and ahead().ours.startswith("70.91 and 70.76 %; +0.15 points")
    four = [("bert", "nigt", 0.709), ("bert", "nigt", 0.7092), ("bert", "adam", 0.699), ("bert", "adam", 0.6992)]
    _paper_runs(tmp_path, *four)
    assert ahead().verdict == "holds" and linear().verdict == "not run"
    _paper_runs(tmp_path, *four, ("bert", "nigt", ""), ("bert", "nigt", 0.69))
    assert (ahead().verdict, target().verdict) == ("undecided", "fails")
    _paper_runs(tmp_path, *(("bert", "nigt", value, eta0) for eta0, value in ((1e-4, 0.5), (1e-3, 0.7), (1e-2, ""))))
    assert (grid().verdict, grid().ours) == ("holds", "bert 0.001")
    _paper_runs(tmp_path, *(("bert", "nigt", value, eta0) for eta0, value in ((1e-4, 0.5), (1e-3, 0.7), (1e-2, 0.71))))
    assert (grid().verdict, grid().ours) == ("fails", "bert 0.01")


@pytest.mark.parametrize(
    ("ours", "better", "no_worse"),
    [
        ((90.0, 90.1, 90.2), "holds", "holds"),
        ((89.18, 89.2, 89.22), "holds", "holds"),  # by 0.2 points: within the margin, and still ahead
        ((89.0, 89.1, 88.9), "fails", "holds"),  # the same within the margin
        ((89.3, 88.7, 89.2), "undecided", "undecided"),
        ((88.0, 90.0, 89.1), "undecided", "undecided"),
        ((87.0, 87.1, 87.2), "fails", "fails"),
    ],
)
def test_a_claim_goes_by_the_protocol_s_tests(ours, better, no_worse):
    found = Comparison(Sample(ours, 0, 3), Sample((89.0, 89.02, 88.98), 0, 3))
    judged = Judged(found, (found,))
    assert (evidence.verdict(judged, better=True), evidence.verdict(judged, better=False)) == (better, no_worse)


def test_what_the_laptop_shows_is_said_in_words(ledger):
    said = {row["claim"]: row["laptop"] for row in ledger}
    assert said["Transport adds to normalized momentum"] == "NIGT and no transport differ by 0.34 points at most"
    assert (
        "each with the paper's schedule: NIGT is 1.05 points ahead of SGD; both with NIGT's schedule: undecided"
        in (said["NIGT does as well as SGD with momentum on image classification"])
    )
