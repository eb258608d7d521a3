"""What is installed and fetched is pinned by hash, and an archive cannot write outside its folder."""

import pathlib
import re
import zipfile

import pytest

from data.laptop import sources
from tests.conftest import ROOT

LOCKS = sorted(ROOT.glob("requirements/*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_package_is_pinned_with_hashes_and_names_no_host(lock):
    text = re.sub(r"\\\n", " ", lock.read_text())
    packages = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert packages
    for line in packages:
        assert re.match(r"^[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^ ]+ ", line), line
        assert "--hash=sha256:" in line, line
        assert "://" not in line and "--index" not in line, line
    assert lock.with_suffix(".in").exists()


def test_everything_that_installs_checks_hashes():
    for file in (ROOT / "Makefile", ROOT / ".ci" / "run", *ROOT.glob(".github/workflows/*.yml")):
        for line in re.sub(r"\\\n", " ", file.read_text()).splitlines():
            if re.search(r"pip[\"']? +(install|download)", line):
                assert "--require-hashes" in line, f"{file.name}: {line.strip()}"


def test_a_wheel_that_names_files_outside_is_read_in_memory_alone(tmp_path):
    """Members are read, never extracted; a path that leads out of the wheel's data folder is not even read."""
    source = sources.Source("evil", "1", "", "evil/data/", "")
    wheel = tmp_path / "in" / "evil-1.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("evil/data/good.txt", "../escaped.txt", "/tmp/escaped-absolute.txt", "evil/data/../../../up.txt"):
            archive.writestr(name, name)
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    members = sources.read_members(wheel, source)
    assert "../escaped.txt" not in members and "/tmp/escaped-absolute.txt" not in members
    assert members["evil/data/good.txt"] == b"evil/data/good.txt"
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before
    assert not pathlib.Path("/tmp/escaped-absolute.txt").exists()


def test_nothing_unpickles_or_runs_what_it_reads():
    """ruff's S rules forbid pickle, marshal, eval, exec, unsafe YAML, tar extraction, shells; here the rest."""
    selected = (ROOT / "pyproject.toml").read_text()
    for rule in ("S102", "S202", "S301", "S302", "S307", "S506", "S602"):
        assert f'"{rule}"' in selected
    for file in (path for folder in ("nigt", "data", "trainers", "scripts") for path in (ROOT / folder).rglob("*.py")):
        bad = re.search(r"allow_pickle=True|\.extractall\(|\bos\.system\(|unpack_archive\(", file.read_text())
        assert not bad, file
