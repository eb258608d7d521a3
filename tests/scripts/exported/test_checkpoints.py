"""Checkpoints of exported runs, without a run."""

import numpy as np
import pytest

from scripts.exported import checkpoints

STATE = {"model/w": np.arange(1000, dtype=np.float32), "optimizer/n": np.int64(3)}


def test_what_was_saved_comes_back_from_small_files(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "LARGEST_FILE", 1000)
    checkpoints.save(tmp_path, 7, STATE, keep=2)
    files = list((tmp_path / "ckpt-7").iterdir())
    assert len(files) > 4 and all(file.stat().st_size <= 1000 for file in files)
    found = checkpoints.newest(tmp_path, warn=pytest.fail)
    assert found.keys() == STATE.keys() and all(np.array_equal(found[path], STATE[path]) for path in STATE)
    assert found["optimizer/n"].dtype == np.int64


def test_only_the_newest_are_kept(tmp_path):
    for step in (9, 10, 100):
        checkpoints.save(tmp_path, step, STATE, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ckpt-10", "ckpt-100"]


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content.replace(b"\x03", b"\x04")])
def test_a_damaged_one_is_set_aside_and_the_one_before_taken(damage, tmp_path):
    checkpoints.save(tmp_path, 1, STATE, keep=2)
    checkpoints.save(tmp_path, 2, {path: value + 1 for path, value in STATE.items()}, keep=2)
    file = tmp_path / "ckpt-2" / "000"
    file.write_bytes(damage(file.read_bytes()))
    said = []
    assert checkpoints.newest(tmp_path, said.append)["optimizer/n"] == 3
    assert len(said) == 1 and (tmp_path / "ckpt-2.damaged").is_dir()


def test_without_one_there_is_nothing(tmp_path):
    assert checkpoints.newest(tmp_path, warn=pytest.fail) is None
