"""`pip install .` ships the optimizer alone, and the shipped files say what the project promises."""

import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_the_wheel_holds_nigt_and_nothing_else(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for package in ("nigt", "trainers", "data"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    subprocess.run([sys.executable, "-c", build], cwd=tree, check=True, capture_output=True)
    (wheel,) = tree.glob("nigt-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "nigt/optimizer.py" in names
    assert all(re.match(r"nigt(-[^/]+\.dist-info)?/", name) for name in names)


def test_nigt_imports_neither_trainers_nor_data():
    check = "import sys, nigt; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True, capture_output=True, text=True)
    assert not {"trainers", "data", "official", "gin"} & set(done.stdout.split())


def test_requirements_are_pinned_hashed_and_name_no_host():
    for file in (ROOT / "requirements").glob("*.txt"):
        text = file.read_text()
        assert "://" not in text and not re.search(r"--(extra-)?index-url|--find-links", text)
        for entry in re.split(r"\n(?=[a-z0-9])", text.replace("\\\n", " ")):
            if not entry.startswith("#"):
                assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", entry) and "--hash=sha256:" in entry, entry[:80]


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.M)
    (training,) = re.findall(r"^TRAINING := (.*)$", makefile, re.M)
    targets = set(phony.replace("$(TRAINING)", training).split())
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert targets == {line.split()[0] for line in done.stdout.split("\n\n")[0].splitlines()}
    named = set(re.findall(r"\bmake ([a-z][a-z0-9-]+)", (ROOT / "README.md").read_text()))
    assert named and named <= targets
