"""Killed at random moments, befallen by faults: the short form of `make soak`, on the same code."""

import os
import random
import shutil
import signal

import pytest

from scripts.soak import faults, kills, sweeps
from scripts.soak.forked import Run, arguments

SEED = 20


def _unbroken(name, laptop_data, directory):
    run = Run(arguments(name, directory, laptop_data, **faults.SETTINGS), directory.with_suffix(".out"))
    assert run.wait(500) == 0, run.text()[-2000:]
    return directory


@pytest.fixture(scope="module")
def reference(laptop_data, tmp_path_factory):
    return _unbroken("bert_nigt", laptop_data, tmp_path_factory.mktemp("reference") / "bert_nigt")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("bert_nigt", 4),
        pytest.param("resnet_nigt", 4, marks=pytest.mark.heavy),
        pytest.param("bert_adam", 4, marks=pytest.mark.heavy),
        pytest.param("resnet_sgd", 4, marks=pytest.mark.heavy),
    ],
)
def test_a_run_that_is_killed_ends_as_the_unbroken_one(name, count, laptop_data, reference, tmp_path):
    unbroken = reference if name == "bert_nigt" else _unbroken(name, laptop_data, tmp_path / "unbroken")
    argv = arguments(name, tmp_path / "killed", laptop_data, **faults.SETTINGS)
    generator = random.Random(SEED)
    done = kills.kill_and_resume(argv, tmp_path / "killed.out", count, faults.STEPS, faults.INTERVAL, generator)
    assert done.status == 0 and sum(done.by_kind.values()) >= count - 1, done
    assert not kills.differences(unbroken, tmp_path / "killed")


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.parametrize("form", [{"experiment__strategy": "'mirrored'"}, {"experiment__compile": True}], ids=str)
def test_a_run_in_another_form_is_resumed_in_the_middle_of_a_loop(form, laptop_data, tmp_path):
    """Its variables and the sums of its metrics are mirrored, or XLA draws its masks; SIGTERM finds it between two ends
    of loops."""
    settings = faults.SETTINGS | form | {"train_steps": 40}
    for name in ("unbroken", "broken"):
        argv = arguments("bert_nigt", tmp_path / name, laptop_data, **settings)
        run = Run(argv, tmp_path / f"{name}.out")
        if name == "broken":
            assert run.wait_for(lambda run=run: run.step() >= 5)
            run.send(signal.SIGTERM)
            assert run.wait() == 4, run.text()[-1000:]
            run = Run(argv, tmp_path / "resumed.out")
        assert run.wait() == 0, run.text()[-1000:]
    assert not kills.differences(tmp_path / "unbroken", tmp_path / "broken")
    plain = arguments("bert_nigt", tmp_path / "broken", laptop_data, **(faults.SETTINGS | {"train_steps": 40}))
    run = Run(plain, tmp_path / "plain.out")
    assert run.wait() == 2 and "holds a run of another configuration" in run.text()  # it keeps its form


def test_the_same_twice_is_bit_identical_and_a_difference_is_seen(reference, laptop_data, tmp_path):
    again = _unbroken("bert_nigt", laptop_data, tmp_path / "again")
    assert not kills.differences(reference, again)
    lines = (again / "metrics.csv").read_text().splitlines()
    (again / "metrics.csv").write_text("\n".join(lines[:-1] + [lines[-1] + "1"]) + "\n")
    assert kills.differences(reference, again)


HEAVY = ("clock_jumps", "two_runs", "divergence", *(fault.__name__ for fault in sweeps.FAULTS))


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "fault",
    [pytest.param(f, marks=pytest.mark.heavy if f.__name__ in HEAVY else ()) for f in faults.FAULTS + sweeps.FAULTS],
    ids=lambda fault: fault.__name__,
)
def test_nothing_is_lost(fault, reference, laptop_data, tmp_path):
    if fault is faults.disk_full and os.getuid() != 0:
        pytest.skip("mounts a small file system: needs root")
    if fault is faults.clock_jumps and shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    fault(faults.Case(tmp_path, laptop_data, reference, random.Random(SEED)))
