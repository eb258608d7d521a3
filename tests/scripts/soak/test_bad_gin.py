"""Slips in the shipped gin files end in one line, and none is passed over in silence."""

import pathlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.soak import bad_gin


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(number=st.integers(0, len(bad_gin.FILES) - 1), generator=st.randoms(use_true_random=False))
def test_a_slip_is_refused_in_one_line_or_does_what_it_says(number, generator, tmp_path, monkeypatch):
    monkeypatch.chdir(bad_gin.ROOT)
    original = bad_gin.whole_text(bad_gin.FILES[number])
    kind, name, text = bad_gin.slip(original, generator)
    bad_gin.judge(kind, name, text, original, tmp_path / "slip.gin")


@pytest.mark.parametrize("file", bad_gin.FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_the_whole_text_is_the_file(file, tmp_path, monkeypatch):
    """What the slips are made in loads, and is what the file says; else every slip would be refused for nothing."""
    from trainers import gin_files

    monkeypatch.chdir(bad_gin.ROOT)
    whole = pathlib.Path(tmp_path / "whole.gin")
    whole.write_text(bad_gin.whole_text(file))
    assert gin_files.load(str(whole), []).config.as_dict() == gin_files.load(str(file), []).config.as_dict()
