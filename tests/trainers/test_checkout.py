"""What a run says of the code that it ran from."""

import subprocess

from trainers.checkout import git_state


def test_results_do_not_make_a_clone_modified_and_code_does(tmp_path):
    for name in ("results", "code"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("as committed")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "A commit"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    clean = git_state(tmp_path)
    assert len(clean["commit"]) == 40 and clean["dirty"] is False
    (tmp_path / "results" / "file").write_text("a further run")
    assert git_state(tmp_path) == clean
    (tmp_path / "code" / "file").write_text("changed")
    assert git_state(tmp_path) == clean | {"dirty": True}


def test_outside_a_clone_there_is_no_commit(tmp_path):
    assert git_state(tmp_path) == {"commit": "", "dirty": False}
