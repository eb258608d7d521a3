"""The clone that a launch copies to its VM."""

import pathlib
import subprocess
import tarfile

import pytest

from data.errors import RunError
from scripts.tpu import clone


@pytest.fixture(name="history")
def _history(tmp_path):
    """A clone with three commits of one file: (its folder, their names)."""
    root, commits = tmp_path / "root", []
    _git(tmp_path, "init", "--quiet", str(root))
    for number in range(3):
        for file in (root / "file", root / "scripts" / "tpu" / "vm.sh"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(str(number))
        _git(root, "add", ".")
        _git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", str(number))
        commits.append(_git(root, "rev-parse", "HEAD"))
    return root, commits


def test_the_commit_of_the_launch_goes_also_when_the_clone_has_gone_on(history, tmp_path):
    root, commits = history
    for number, commit in enumerate(commits):
        clone.pack(root, commit, tmp_path / "clone.tar", tmp_path / "vm.sh")
        assert (tmp_path / "vm.sh").read_text() == str(number)
        there = tmp_path / f"vm{number}"
        with tarfile.open(tmp_path / "clone.tar") as tar:
            tar.extractall(there, filter="data")
        # As scripts/tpu/vm.sh.
        _git(there, "clone", "--quiet", clone.REPOSITORY, "clone")
        _git(there / "clone", "checkout", "--quiet", "--detach", commit)
        assert (there / "clone" / "file").read_text() == str(number)
        assert _git(there / "clone", "rev-list", "--all") == commit


def test_a_commit_that_is_no_more_is_said_in_one_line(history, tmp_path):
    with pytest.raises(RunError, match=r"\Agit fetch: [^\n]*0000") as error:
        clone.pack(history[0], "0" * 39 + "1", tmp_path / "clone.tar", tmp_path / "vm.sh")
    assert "\n" not in str(error.value) and not (tmp_path / "clone.tar").exists()


def _git(folder: pathlib.Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
