"""Where a verdict comes from: committed measurements, an erratum with its test, or nothing that has been run."""

import csv
import dataclasses
import pathlib
import re
import statistics
from collections.abc import Callable

from data.errors import InputError
from scripts.forked import ROOT
from scripts.study import choice, plan, report
from scripts.study.__main__ import point_of

VERDICTS = ("holds", "fails", "corrected", "undecided", "not run")


@dataclasses.dataclass(frozen=True)
class Found:
    """What the evidence says.

    Attributes:
      ours: The number, with its n and spread where it has one.
      verdict: One of VERDICTS.
      command: What reproduces it.
    """

    ours: str
    verdict: str
    command: str


Evidence = Callable[[], Found]


def theory(*claims: str, where: str = "") -> Evidence:
    """Rows of results/theory/acceptance.csv, those that begin with "…" included: holds if all of them do.

    Args:
      claims: The rows' claims.
      where: What their second column has to contain.
    """

    def find() -> Found:
        rows, current = [], ""
        for row in _rows("results/theory/acceptance.csv"):
            current = current if row["claim"].startswith("…") else row["claim"]
            if current in claims and where in row["where"]:
                rows.append(row)
        missing = set(claims) - {row["claim"] for row in rows}
        if missing:
            raise InputError(f"results/theory/acceptance.csv: no row {missing.pop()!r}; run make theory")
        shown = [f"{row['measured']}{' ± ' + row['stderr'] if row['stderr'] else ''}" for row in rows[:3]]
        more = f" … ({len(rows)} rows)" if len(rows) > 3 else ""
        count = {row["n"] for row in rows if row["n"]}
        sizes = f", n = {'/'.join(sorted(count, key=int))}" if count else ""
        verdict = "holds" if all(row["verdict"] == "holds" for row in rows) else "fails"
        return Found("; ".join(shown) + more + sizes, verdict, "make theory")

    return find


def against(verdict: str, *claims: str, ours: str) -> Evidence:
    """The same, where the rows show something else than the paper's claim.

    Args:
      verdict: Of the claim, if the rows hold; else "undecided".
      claims: The rows' claims.
      ours: What they show, in words.
    """

    def find() -> Found:
        found = theory(*claims)()
        return Found(f"{ours} {found.ours}", verdict if found.verdict == "holds" else "undecided", found.command)

    return find


def tested(file: str, name: str, ours: str) -> Evidence:
    """A property test that would fail if the claim did."""

    def find() -> Found:
        if f"def {name}(" not in (ROOT / "tests" / file).read_text(encoding="utf-8"):
            raise InputError(f"tests/{file}: there is no test {name}; correct scripts/claims/ledger.py")
        return Found(ours, "holds", f"python -m pytest tests/{file}::{name}")

    return find


def erratum(number: int, ours: str) -> Evidence:
    """An entry of docs/errata.md; the command is its tests."""

    def find() -> Found:
        text = (ROOT / "docs" / "errata.md").read_text(encoding="utf-8")
        entry = re.search(rf"^### {number}\. .*?(?=^##|\Z)", text, re.M | re.S)
        tests = re.findall(r"`(test_\w+\.py)::(\w+)`", entry[0]) if entry else []
        for file, name in tests:
            if f"def {name}(" not in (ROOT / "tests" / file).read_text(encoding="utf-8"):
                raise InputError(f"docs/errata.md, {number}: there is no test {file}::{name}; correct the name")
        if not tests:
            raise InputError(f"docs/errata.md, {number}: names no test")
        command = "python -m pytest " + " ".join(f"tests/{file}::{name}" for file, name in tests)
        return Found(f"{ours} (erratum {number})", "corrected", command)

    return find


def memory(*others: str) -> Evidence:
    """Copies of the parameters that NIGT keeps, beside others': holds if it keeps fewer than each."""

    def find() -> Found:
        copies: dict[str, set[str]] = {}
        for row in _rows("results/bench/optimizers.csv"):
            copies.setdefault(row["optimizer"], set()).add(row["state_copies"])
        shown = [f"{name} {'/'.join(sorted(copies[name]))}" for name in ("NIGT", *others)]
        fewer = all(max(map(float, copies["NIGT"])) < min(map(float, copies[name])) for name in others)
        text = "copies of the parameters: " + ", ".join(shown) + " (BERT-Base and ResNet-50)"
        return Found(text, "holds" if fewer else "fails", "make bench")

    return find


def paper_scale(*targets: str) -> Evidence:
    """What only the paper's own experiment can show."""
    return lambda: Found("–", "not run", "; ".join(f"make {target} TPU=v3-8 …" for target in targets))


def laptop(task: str, name: str, better: bool = False) -> Evidence:
    """The study's answer to NIGT against an arm, by the protocol's margin.

    Args:
      task, name: The arm's.
      better: Whether the claim is that NIGT is better; else that it is no worse.
    """

    def find() -> Found:
        command = "make study"
        finished = choice.read(ROOT / "results" / "laptop")
        nigt = plan.arms_of(task)[0]
        arm = next(arm for arm in plan.ARMS if (arm.task, arm.name) == (task, name))
        ours, theirs = (_accuracies(each, finished) for each in (nigt, arm))
        low, high = report.interval(ours, theirs) if ours and theirs else (float("nan"),) * 2
        word = report.verdict(low, high)
        if word == "not run":
            return Found("–", "not run", command)
        difference = statistics.fmean(ours) - statistics.fmean(theirs)
        text = f"NIGT − {name} = {difference:+.2f} points [{low:+.2f}, {high:+.2f}], n = {len(ours)} and {len(theirs)}"
        holds = ("better",) if better else ("better", "matches")
        verdict = "holds" if word in holds else "undecided" if word == "undecided" else "fails"
        return Found(f"{text}, at laptop scale: {word}", verdict, command)

    return find


def _accuracies(arm: plan.Arm, finished: dict[str, choice.Finished]) -> list[float]:
    return list(report.accuracies(arm, finished, point_of(arm, finished))[0].values())


def _rows(path: str) -> list[dict[str, str]]:
    file = pathlib.Path(ROOT / path)
    if not file.is_file():
        raise InputError(f"{path}: not there; run make {'theory' if 'theory' in path else 'bench'}")
    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
