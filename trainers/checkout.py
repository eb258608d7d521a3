"""Which state of this repository a program ran from."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def git_state(root: pathlib.Path = ROOT) -> dict:
    """The clone's commit ("" outside a clone), and whether tracked files differ from it.

    What is in results/ does not make it modified: nothing that runs reads it, and the programs that write there would
    otherwise mark their own next runs.
    """
    changed = _git(root, "status", "--porcelain", "-uno", "--", ".", ":!results")
    return {"commit": _git(root, "rev-parse", "HEAD"), "dirty": bool(changed)}


def describe_commit() -> str:
    """ "commit 1a2b3c4", with " (modified)" where tracked files differ from it."""
    state = git_state()
    if not state["commit"]:
        return "an unknown commit"
    return f"commit {state['commit'][:7]}{' (modified)' if state['dirty'] else ''}"


def _git(root: pathlib.Path, *arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
