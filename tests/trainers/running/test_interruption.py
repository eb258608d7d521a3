"""A signal ends the process in time even where Python's main thread cannot look at it."""

import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT

PROGRAM = """
import pathlib, sys, time
from trainers.running import interruption
interruption.GRACE = float(sys.argv[2])
asked = interruption.Interruption()
asked.install()
if sys.argv[1] != "before":
    asked.guard(lambda name: pathlib.Path(sys.argv[3]).write_text(name))
print("ready", flush=True)
if sys.argv[1] == "safe":
    try:
        while True:
            asked.check()
            time.sleep(0.01)
    except interruption.Interrupted as error:
        asked.close()
        print(error, flush=True)
        time.sleep(float(sys.argv[2]) + 1)  # longer than the grace
        sys.exit(7)
# Like a compilation: handlers have no turn that leads to a safe point. The lock keeps the main thread inside C.
import threading
lock = threading.Lock()
lock.acquire()
while True:
    lock.acquire(timeout=100)
"""


def _start(kind, grace, words):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind, str(grace), str(words)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_comes_to_no_safe_point_is_ended_when_the_time_is_over(number, tmp_path):
    process = _start("stuck", 1.0, tmp_path / "words")
    asked = time.monotonic()
    process.send_signal(number)
    assert process.wait(20) == 4 and time.monotonic() - asked >= 0.9
    assert (tmp_path / "words").read_text() == number.name


def test_a_second_signal_ends_it_at_once(tmp_path):
    process = _start("stuck", 60.0, tmp_path / "words")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 4 and (tmp_path / "words").exists()


def test_before_there_is_a_run_the_first_one_does(tmp_path):
    process = _start("before", 60.0, tmp_path / "words")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 4 and not (tmp_path / "words").exists()


def test_a_run_that_stops_by_itself_is_left_alone(tmp_path):
    process = _start("safe", 0.5, tmp_path / "words")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert output == "SIGTERM\n" and process.returncode == 7 and not (tmp_path / "words").exists()
