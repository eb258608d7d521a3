"""`make theory`: the plan, what is kept and written, the verdicts, and the committed results and notebook."""

import csv
import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import nbclient
import numpy as np
import pytest

from data.errors import InputError
from nigt.theory import methods, problems
from scripts.figures import selection
from scripts.figures import theory as theory_figures
from scripts.theory import acceptance, execution, findings, making, plan, report, tables, tasks
from scripts.theory.tasks import Record, Task
from tests.conftest import ROOT
from tests.scripts.figures.notebooks import execute

RESULTS = ROOT / "results" / "theory"
NOTEBOOK = ROOT / "notebooks" / "theory.ipynb"
FILES = {"acceptance.csv", "made.json", "measurements.csv", "rates.csv", "report.md"}
FILES |= {f"{name}.{kind}" for name in theory_figures.FIGURES for kind in ("png", "pdf")}
RATES = "objective,noise,sigma,method,dim,T,replicates,mean_grad_norm,stderr,bound"
METHODS = {"nsgd", "nsgdm", "nigt", "sgd", "adaptive", "adaptive_corrected", "igt", "storm"}


@pytest.fixture(scope="module")
def committed() -> list[Record]:
    return tables.read_records(RESULTS / "measurements.csv")


def tiny() -> list[Task]:
    """The quick plan with T up to 1100, n of 2 or 3."""
    steps = (100, 1000, 1100)
    return plan._plan(steps, dict.fromkeys(steps, 3), (60, 60, 32), 60, (100,), 100, (100, 2), ((1000,), (1100,)))


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> pathlib.Path:
    """Everything, end to end and in this process, on the smallest plan."""
    folder = tmp_path_factory.mktemp("theory")
    patch = pytest.MonkeyPatch()
    patch.setattr(plan, "quick", tiny)
    patch.setattr(tasks.tuning, "FACTORS", (0.5, 1.0, 2.0))
    (folder / "results").mkdir()
    making.run(True, 1, folder / "results", folder / "cache", "a command")
    patch.undo()
    return folder


def test_quick_writes_every_file_says_that_it_is_quick_and_leaves_nothing_else(output):
    folder = output / "results"
    assert {path.name for path in folder.iterdir()} == FILES
    made = json.loads((folder / "made.json").read_text())
    assert made["quick"] and made["command"] == "a command" and len(made["commit"]) == 40 and made["seed"] == tasks.SEED
    text = (folder / "report.md").read_text()
    assert text.startswith("# The theory, measured (QUICK") and f"commit {made['commit'][:7]}" in text
    assert str(output) not in text
    for name in theory_figures.FIGURES:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n") and f"({name}.png)" in text


def test_the_other_files_can_be_made_again_from_the_measurements(output, tmp_path):
    for name in ("measurements.csv", "made.json"):
        (tmp_path / name).write_bytes((output / "results" / name).read_bytes())
    making.rewrite(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (output / "results" / name).read_bytes(), name
    (tmp_path / "made.json").unlink()
    with pytest.raises(InputError, match="made.json: .*make theory"):
        making.rewrite(tmp_path)


def test_rates_csv_is_the_contracts(output):
    lines = (output / "results" / "rates.csv").read_text().splitlines()
    assert lines[0] == RATES
    rows = list(csv.DictReader(lines))
    keys = [tuple(row[k] for k in ("objective", "noise", "method", "T")) for row in rows]
    assert len(set(keys)) == len(keys) and {row["T"] for row in rows} == {"100", "1000", "1100"}
    assert {row["method"] for row in rows} == METHODS
    assert {row["noise"] for row in rows} == {"gaussian", "skewed", "finite_sum"}
    for row in rows:
        assert float(row["mean_grad_norm"]) > 0 and float(row["stderr"]) > 0 and int(row["replicates"]) > 1
        assert (row["bound"] != "") == (row["method"] in ("nsgdm", "nigt"))
        if row["bound"]:
            assert float(row["bound"]) > float(row["mean_grad_norm"])


def test_the_second_call_measures_nothing_and_writes_the_same(output, monkeypatch):
    before = {path.name: path.read_bytes() for path in (output / "results").iterdir()}
    monkeypatch.setattr(plan, "quick", tiny)
    monkeypatch.setattr(execution, "execute", lambda task: pytest.fail("measured again"))
    making.run(True, 1, output / "results", output / "cache", "a command")
    after = {path.name: path.read_bytes() for path in (output / "results").iterdir()}
    assert {name for name in before if before[name] != after[name]} <= {"made.json", "report.md"}


def test_a_lost_measurement_is_made_again_to_the_last_digit(tmp_path):
    task = Task("run", "rates", "nigt", 50, 3, sigma=1.0)
    first = execution.run_all([task], tmp_path, 1)
    (file,) = tmp_path.rglob("*.json")
    file.unlink()
    assert execution.run_all([task], tmp_path, 1)[0].records == first[0].records
    other = dataclasses.replace(task, method="nsgdm")
    assert other.seed != task.seed and not list(tmp_path.rglob(".*"))


def test_the_digest_is_of_the_code_and_not_of_its_words(tmp_path, monkeypatch):
    (tmp_path / "nigt").mkdir()
    file = tmp_path / "nigt" / "reference.py"
    monkeypatch.setattr(execution, "ROOT", tmp_path)

    def digest(text):
        file.write_text(text)
        return execution.source_digest()

    first = digest('"""Words."""\ndef f():\n    """More."""\n    return 1\n')
    assert digest('"""Other words."""\ndef f():\n    return 1  # a comment\n') != digest("def f():\n    return 1\n")
    assert digest('"""Other words."""\ndef f():\n    """Less."""\n    return 1  # a comment\n') == first
    assert digest('"""Words."""\ndef f():\n    """More."""\n    return 2\n') != first


def test_the_full_plan_has_what_the_acceptance_asks_for():
    full = plan.full()
    assert len({repr(task) for task in full}) == len(full)
    rates = [task for task in full if task.experiment == "rates"]
    for method in ("nsgdm", "nigt"):
        for objective, noise in acceptance.PROBLEMS:
            own = {
                t.steps: t.replicates for t in rates if (t.method, t.objective, t.noise) == (method, objective, noise)
            }
            assert set(own) == {10**k for k in range(2, 7)} and min(own.values()) >= 16
    assert {task.method for task in rates} == METHODS


@pytest.mark.parametrize(
    ("measured", "stderr", "decisive", "verdict"),
    [
        (1.0, 0.1, True, "holds"),
        (2.0, 0.1, True, "holds"),
        (2.1, 0.1, True, "undecided"),
        (2.3, 0.1, True, "fails"),
        (0.7, 0.1, True, "fails"),
        (0.9, 0.1, True, "undecided"),
        (2.01, 0.0, True, "fails"),
        (0.2, 0.1, False, "undecided"),
        (float("nan"), 0.1, True, "fails"),
    ],
)
def test_a_verdict_is_about_the_range_and_the_standard_error(measured, stderr, decisive, verdict):
    assert acceptance.Row("c", "w", measured, stderr, 5, 1.0, 2.0, "[1, 2]", decisive=decisive).verdict == verdict


def test_the_paper_s_claims_and_ours_are_counted_apart():
    rows = [acceptance.Row("c", "w", 1.5, 0.1, 5, 1.0, high, "", kind) for kind, high in (
        (acceptance.PAPER, 2.0), (acceptance.PAPER, 1.0), (acceptance.PAPER, 2.0), (acceptance.OURS, 2.0),
        (acceptance.OURS, 1.4), (acceptance.AGAINST, 2.0), (acceptance.AGAINST, 1.0),
    )]  # fmt: skip
    assert [row.verdict for row in rows].count("holds") == 4
    assert acceptance.counts(rows) == (
        "2 of 3 rows that test a claim of the paper hold, 1 of 2 that test a prediction of ours; 1 rows contradict the "
        "paper"
    )
    with_fault = report._verdicts(rows)
    assert "- *against the paper*: c (w): 1.5" in with_fault and "- *undecided*: c (w): 1.5" in with_fault


def test_slopes_are_fitted_from_1e3_on_with_their_error():
    def record(step, value):
        return Record(
            "rates", "cos", "gaussian", 1.0, 10, 1, "nigt", step, "", "mean_grad_norm", value, 0.01 * value, 9
        )

    fit = selection.slope([record(100, 77.0), *(record(t, 3 * t**-0.3) for t in (1000, 10_000, 100_000))])
    assert (fit.value, fit.first, fit.last) == (pytest.approx(-0.3), 1000, 100_000)
    assert fit.stderr == pytest.approx(0.01 / (np.log(10) * np.sqrt(2)))
    with pytest.raises(InputError, match="a slope needs two T from 1000 on"):
        selection.slope([record(100, 1.0), record(1000, 0.5)])


def test_algorithm_2_is_not_told_sigma_and_its_bound_is_one_where_there_is_one():
    quiet, loud = (problems.oracle("cos", "gaussian", sigma) for sigma in (0.0, 4.0))
    assert (
        tasks.gradient_bound(quiet, "adaptive") == tasks.gradient_bound(loud, "adaptive") == pytest.approx(np.sqrt(10))
    )
    skewed = problems.oracle("cos", "skewed", 2.0)
    noise = np.abs(skewed.draw(np.random.default_rng(0), 1000, 1)).max() * np.sqrt(10)
    assert tasks.gradient_bound(skewed, "adaptive") == pytest.approx(np.sqrt(10) + noise)


# What is committed in results/theory


def test_the_committed_files_are_whole_and_follow_from_the_measurements(committed):
    assert {path.name for path in RESULTS.iterdir()} == FILES
    rows = acceptance.rows(committed)
    assert (RESULTS / "rates.csv").read_text() == tables.as_csv(tables.rate_rows(committed), tables.RATE_COLUMNS)
    cells = [row.cells() for row in rows]
    assert (RESULTS / "acceptance.csv").read_text() == tables.as_csv(cells, acceptance.COLUMNS)
    made = json.loads((RESULTS / "made.json").read_text())
    assert not made["quick"] and not made["dirty"] and made["command"] == "make theory"
    assert (RESULTS / "report.md").read_text() == report.text(committed, rows, made)


def test_the_committed_bounds_are_the_theorems_and_hold(committed):
    checked = 0
    for row in csv.DictReader((RESULTS / "rates.csv").read_text().splitlines()):
        if row["bound"]:
            oracle = problems.oracle(row["objective"], row["noise"], _sigma(committed, row))
            bound = methods.bound_of(row["method"], oracle, int(row["T"]))
            assert float(row["bound"]) == pytest.approx(bound, rel=1e-5)
            assert float(row["mean_grad_norm"]) + 4 * float(row["stderr"]) < bound
            checked += 1
    assert checked == 2 * 5 * len(acceptance.PROBLEMS)


def _sigma(records, row):
    return next(
        r.sigma for r in records if (r.experiment, r.objective, r.noise) == ("rates", row["objective"], row["noise"])
    )


def test_the_committed_measurements_are_made_again_by_the_present_code(committed):
    """The cheapest of each kind, to the last digit that is written."""
    for kind in ("run", "tuned", "transport"):
        task = min((t for t in plan.full() if t.kind == kind and t.steps <= 1000), key=lambda t: t.cost * t.replicates)
        for row in tables.record_rows(execution.execute(task)):
            assert row in tables.record_rows(committed), (task, row)


def test_the_docs_quote_the_verdicts(committed):
    words = " ".join((ROOT / "docs" / "theory.md").read_text().split())
    assert acceptance.counts(acceptance.rows(committed)) in words


def test_tuned_methods_without_momentum_are_one_method_with_more_seeds():
    def record(method, quantity, value, stderr=0.0):
        return Record("tuned", "cos", "gaussian", 2.0, 10, 1, method, 100, "tuned", quantity, value, stderr, 32)

    chosen = [record(name, "factor", 0.5) for name in ("nsgd", "nsgdm", "sgd")] + [record("nigt", "factor", 1.0)]
    chosen += [record("nsgdm", "alpha", 1.0), record("nigt", "alpha", 1.0)]
    values = [record(name, "last_grad_norm", value, 0.3) for name, value in (
        ("nsgd", 1.0), ("nsgdm", 3.0), ("nigt", 5.0), ("sgd", 1.5)
    )]  # fmt: skip
    sgd, plain, nigt = acceptance.tuned([*chosen, *values], "cos", 100, "last_grad_norm")
    assert (sgd.method, nigt.method, nigt.value) == ("sgd", "nigt", 5.0)
    assert (plain.method, plain.value, plain.replicates) == ("nsgd", 2.0, 64)
    assert plain.stderr == pytest.approx(0.3 / np.sqrt(2))


def test_findings_follow_the_numbers(committed):
    """With SGD's values doubled, the words change."""
    changed = [
        dataclasses.replace(r, value=2 * r.value) if r.experiment == "tuned" and r.method == "sgd" else r
        for r in committed
    ]
    ours, other = (" ".join(findings.negative(records)) for records in (committed, changed))
    assert ours.count("its mean is not the smallest") == 0 < other.count("its mean is not the smallest (")
    failing = [r for r in acceptance.rows(changed) if r.verdict == "fails" and r.claim.startswith("SGD/")]
    assert failing


# The command and the notebook


def run_command(*arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "scripts.theory", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip


def test_a_directory_that_cannot_be_made_is_one_line_and_status_2(tmp_path):
    (tmp_path / "file").write_text("")
    done = run_command("--quick", f"--output={tmp_path / 'file' / 'below'}")
    assert done.returncode == 2 and done.stderr.strip().count("\n") == 0
    assert done.stderr.startswith(f"theory: {tmp_path}/file/below: Not a directory; choose another --output")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("stderr", "error", 1), "columns are"),
        (lambda text: text.rsplit(",", 3)[0] + ",high,0,3\n", r"line \d+: could not convert string to float: 'high'"),
        (lambda text: "\n".join(line for line in text.splitlines() if "pathwise" not in line) + "\n", "no record of"),
    ],
)
def test_broken_measurements_are_refused_by_name(tmp_path, output, damage, message):
    path = tmp_path / "measurements.csv"
    path.write_text(damage((output / "results" / "measurements.csv").read_text()))
    with pytest.raises(InputError, match=message) as caught:
        acceptance.rows(tables.read_records(path))
    assert "make theory" in str(caught.value) and "\n" not in str(caught.value)


def test_the_notebook_names_the_file_that_is_missing(monkeypatch):
    monkeypatch.setenv("NIGT_RESULTS", "runs/no-such-theory")
    with pytest.raises(nbclient.exceptions.CellExecutionError) as caught:
        execute(NOTEBOOK, ROOT)
    assert caught.value.ename == "InputError"
    assert caught.value.evalue == "runs/no-such-theory/measurements.csv is missing: make it with `make theory`"
