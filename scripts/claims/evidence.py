"""Where a verdict comes from: committed measurements, an erratum with its test, or nothing that has been run."""

import csv
import dataclasses
import pathlib
import re
from collections.abc import Callable

from data.errors import InputError
from scripts import markdown
from scripts.study import choice, plan, report
from scripts.study.comparison import MARGIN, Judged
from trainers.checkout import ROOT

_TESTS = "tests/nigt/theory"  # of the claims that a property test shows
_REPORT = "../results/theory/report.md"
STUDY = "../results/laptop/study.md"
VERDICTS = ("holds", "fails", "corrected", "undecided", "not run")
# What the study says of one side beside another (scripts/study/comparison.py).
IN_A_WORD = {"better": "ahead", "worse": "behind", "matches": "no difference", "undecided": "undecided"}
IN_A_WORD |= {"not run": "not run"}


@dataclasses.dataclass(frozen=True)
class Found:
    """What the evidence says.

    Attributes:
      ours: The number, with its n and spread where it has one.
      verdict: One of VERDICTS.
      command: What reproduces it.
      said: The same in a short sentence.
      link: Where the numbers are, from docs/.
    """

    ours: str
    verdict: str
    command: str
    said: str = ""
    link: str = ""


Evidence = Callable[[], Found]


def theory(*claims: str, said: str, where: str = "") -> Evidence:
    """Rows of results/theory/acceptance.csv, those that begin with "…" included: holds if all of them do.

    Args:
      claims: The rows' claims.
      said: What they show, in words, if they hold.
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
        same = len({row["accepted"] for row in rows[:3]}) == 1
        shown = [_measured(row, accepted=not same) for row in rows[:3]]
        more = f" … ({len(rows)} rows)" if len(rows) > 3 else ""
        more += f", accepted: {rows[0]['accepted']}" if same else ""
        count = {row["n"] for row in rows if row["n"]}
        sizes = f", n = {'/'.join(sorted(count, key=int))}" if count else ""
        held = [row["verdict"] == "holds" for row in rows]
        words = said if all(held) else f"{held.count(False)} of {len(rows)} measurements are not as they should be"
        text = "; ".join(shown) + more + sizes
        return Found(text, "holds" if all(held) else "fails", "make theory", words, _REPORT)

    return find


def _measured(row: dict[str, str], accepted: bool) -> str:
    """ "0.8 ± 0.01 (accepted: 0.8 ± 4 stderr)"; of a row that adds to another, what it is."""
    name = f"{row['claim'].removeprefix('… ')}: " if row["claim"].startswith("…") else ""
    spread = f" ± {row['stderr']}" if row["stderr"] else ""
    return f"{name}{row['measured']}{spread}" + (f" (accepted: {row['accepted']})" if accepted else "")


def against(verdict: str, *claims: str, ours: str) -> Evidence:
    """The same, where the rows show something else than the paper's claim.

    Args:
      verdict: Of the claim, if the rows hold; else "undecided".
      claims: The rows' claims.
      ours: What they show, in words.
    """

    def find() -> Found:
        found = theory(*claims, said=ours)()
        word = verdict if found.verdict == "holds" else "undecided"
        return dataclasses.replace(found, ours=f"{ours}: {found.ours}", verdict=word)

    return find


def tested(file: str, name: str, ours: str) -> Evidence:
    """A property test that would fail if the claim did."""

    def find() -> Found:
        if f"def {name}(" not in (ROOT / _TESTS / file).read_text(encoding="utf-8"):
            raise InputError(f"{_TESTS}/{file}: there is no test {name}; correct scripts/claims/ledger.py")
        return Found(ours, "holds", f"python -m pytest {_TESTS}/{file}::{name}", ours, f"../{_TESTS}/{file}")

    return find


def erratum(number: int, ours: str, verdict: str = "corrected") -> Evidence:
    """An entry of docs/errata.md; the command is its tests.

    Args:
      number: The entry's.
      ours: What is true instead.
      verdict: "corrected" where the claim survives with that change, "fails" where it does not.
    """

    def find() -> Found:
        text = (ROOT / "docs" / "errata.md").read_text(encoding="utf-8")
        entry = re.search(rf"^### ({number}\. .*?)$.*?(?=^##|\Z)", text, re.M | re.S)
        tests = re.findall(r"`(test_\w+\.py)::(\w+)`", entry[0]) if entry else []
        for file, name in tests:
            if f"def {name}(" not in (ROOT / _TESTS / file).read_text(encoding="utf-8"):
                raise InputError(f"docs/errata.md, {number}: there is no test {file}::{name}; correct the name")
        if not entry or not tests:
            raise InputError(f"docs/errata.md, {number}: names no test")
        command = "python -m pytest " + " ".join(f"{_TESTS}/{file}::{name}" for file, name in tests)
        link = f"errata.md#{markdown.anchor(entry[1])}"
        return Found(f"{ours} (erratum {number})", verdict, command, ours, link)

    return find


def memory(*others: str) -> Evidence:
    """Copies of the parameters that NIGT keeps, beside others': holds if it keeps fewer than each."""

    def find() -> Found:
        copies: dict[str, set[str]] = {}
        for row in _rows("results/bench/optimizers.csv"):
            if row["model"] in ("bert_base", "resnet50"):
                copies.setdefault(row["optimizer"], set()).add(row["state_copies"])
        shown = [f"{name} {'/'.join(sorted(copies[name]))}" for name in ("NIGT", *others)]
        fewer = all(max(map(float, copies["NIGT"])) < min(map(float, copies[name])) for name in others)
        text = "copies of the parameters: " + ", ".join(shown) + " (BERT-Base and ResNet-50)"
        return Found(
            text, "holds" if fewer else "fails", "make bench", ", ".join(shown), "../results/bench/optimizers.md"
        )

    return find


def study(task: str, ours: str, theirs: str) -> Evidence:
    """The study's answer to whether one arm is better than another, where the claim is about small networks, too."""

    def find() -> Found:
        found = _judged(task, ours, theirs)
        if found.word == "not run":
            return Found("–", "not run", "make study")
        text = f"{ours} − {theirs} = {found.comparison.text}"
        return Found(text, verdict(found, better=True), "make study", _in_words(found, ours, theirs), STUDY)

    return find


def contrast(group: str, ours: str) -> Evidence:
    """The study's answer to whether one gain is larger than another (plan.CONTRASTS).

    Args:
      ours: What the two gains are, in words.
    """

    def find() -> Found:
        found = report.judge_contrast(group, choice.read(ROOT / "results" / "laptop"))
        command = f'make study GROUPS="{group}"'
        if found.word == "not run":
            return Found("–", "not run", command)
        said = f"{ours}: {found.comparison.difference:+.2f} points"
        return Found(f"{ours} = {found.comparison.text}", verdict(found, better=True), command, said, STUDY)

    return find


Words = Callable[[bool], str]


def laptop(*comparisons: tuple[str, str, str] | tuple[str, str, str, str]) -> Words:
    """What the study shows beside a claim that it cannot decide: (task, ours, theirs[, under which conditions]).

    Returns:
      A function that says it, with the numbers or, if its argument is true, without.
    """

    def say(short: bool) -> str:
        parts = []
        for task, ours, theirs, *conditions in comparisons:
            found = _judged(task, ours, theirs)
            names = [re.split(",| with | at ", name)[0] for name in (ours, theirs)]
            if short:
                parts.append(" ".join([IN_A_WORD[found.word], *(f"({condition})" for condition in conditions)]))
            else:
                parts.append(": ".join([*conditions, _in_words(found, *names)]))
        return "; ".join(parts)

    return say


def _judged(task: str, ours: str, theirs: str) -> Judged:
    finished = choice.read(ROOT / "results" / "laptop")
    return report.judge(plan.find(task, ours), plan.find(task, theirs), finished)


def _in_words(found: Judged, ours: str, theirs: str) -> str:
    gap = abs(found.comparison.difference)
    return {
        "better": f"{ours} is {gap:.2f} points ahead of {theirs}",
        "worse": f"{ours} is {gap:.2f} points behind {theirs}",
        "matches": f"{ours} and {theirs} differ by {max(map(abs, found.comparison.welch)):.2f} points at most",
        "undecided": f"undecided between {ours} and {theirs} ({found.comparison.difference:+.2f} points)",
        "not run": f"{ours} beside {theirs}: not run",
    }[found.word]


def both(first: Evidence, second: Evidence) -> Evidence:
    """Two of them: holds if both do, fails if one does."""

    def find() -> Found:
        found = first(), second()
        words = [each.verdict for each in found]
        command = "; ".join(dict.fromkeys(each.command for each in found))
        if "not run" in words:
            return Found("–", "not run", command)
        word = "fails" if "fails" in words else "holds" if set(words) == {"holds"} else "undecided"
        text = "; ".join(each.ours for each in found)
        said = "; ".join(each.said or each.ours for each in found)
        return Found(text, word, command, said, found[0].link)

    return find


def verdict(found: Judged, better: bool) -> str:
    """Whether ours is better than theirs, or no worse (PROTOCOL.md): above 0, or above −margin.

    That it is better fails, too, where both are the same within the margin.
    """
    bar = 0.0 if better else -MARGIN
    if found.is_above(bar):
        return "holds"
    return "fails" if found.is_below(bar) or (better and found.word == "matches") else "undecided"


def _rows(path: str) -> list[dict[str, str]]:
    file = pathlib.Path(ROOT / path)
    if not file.is_file():
        raise InputError(f"{path}: not there; run make {'theory' if 'theory' in path else 'bench'}")
    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
