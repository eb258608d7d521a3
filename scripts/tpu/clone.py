"""The clone, and the bundle, that a launch copies to its VM."""

import pathlib
import subprocess
import tarfile
import tempfile

from data.errors import RunError
from scripts.exported.bundle import Bundle

REPOSITORY = "nigt.git"  # its name in the archive


def pack(root: pathlib.Path, commit: str, archive: pathlib.Path, script: pathlib.Path) -> None:
    """Writes one commit as a repository that has nothing else, so that run.json on the VM names it.

    Not the last commit: the clone may have gone on since the launch was asked for, when a TPU is created anew after a
    preemption or when a sweep comes to its next point.

    Args:
      root: The clone.
      commit: In full.
      archive: The tar file to write.
      script: Where to put that commit's scripts/tpu file of the same name.

    Raises:
      RunError: git has no such commit any more.
    """
    with tempfile.TemporaryDirectory() as folder:
        repository = str(pathlib.Path(folder) / REPOSITORY)
        _git("init", "--quiet", "--bare", "--initial-branch=launched", repository)
        # Version 2 of the protocol is the one in which any commit may be asked for, not only a branch's last.
        fetch = ("-c", "protocol.version=2", "-C", repository, "fetch", "--quiet", "--depth=1")
        _git(*fetch, root.as_uri(), f"{commit}:refs/heads/launched")
        script.write_text(_git("-C", repository, "show", f"{commit}:scripts/tpu/{script.name}"), encoding="utf-8")
        with tarfile.open(archive, "w") as tar:
            tar.add(repository, REPOSITORY)


def pack_bundle(folder: pathlib.Path, archive: pathlib.Path) -> None:
    """Writes an exported run as a tar file.

    Raises:
      InputError: It is no bundle any more.
    """
    Bundle(folder)
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, "bundle")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise RunError(f"git {next(word for word in arguments if word in ('init', 'fetch', 'show'))}: {lines[-1]}")
    return done.stdout
