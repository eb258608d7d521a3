"""The launcher when more goes wrong than a preemption: nobody listens, the disk is full, the bucket is closed, Google's
answers are lost, somebody deletes the TPU, the machine is shut down in order."""

import csv
import os
import signal
import subprocess
import sys
import threading

import pytest

from data.errors import RunError
from scripts.tpu import gcloud
from scripts.tpu.state import StateFile
from tests.conftest import ROOT


def _creations(cloud):
    return [call for call in cloud.calls() if "create" in call]


def _where(cloud):
    return [f"--state_dir={cloud.home / 'launches'}", "--poll_seconds=0.1"]


@pytest.mark.parametrize("signalled", [False, pytest.param(True, marks=pytest.mark.heavy)])
def test_a_pipe_that_nobody_reads_does_not_keep_the_tpu(cloud, signalled, monkeypatch):
    """`make bert-nigt … | tee log`, and tee has gone, with or without Ctrl-C."""
    monkeypatch.setenv("FAKE_STEPS", "3000" if signalled else "40")
    launcher = subprocess.Popen(
        [sys.executable, "-m", "scripts.tpu", "launch", *cloud.arguments()],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    while b"creating" not in launcher.stdout.readline():
        pass
    launcher.stdout.close()
    if signalled:
        cloud.wait_for(cloud.is_training)
        launcher.send_signal(signal.SIGINT)
    assert launcher.wait(120) == (4 if signalled else 0)
    assert cloud.left() == [] and cloud.state()["phase"] == "deleted"


def test_a_full_disk_does_not_keep_the_tpu(cloud, monkeypatch):
    write = StateFile.write

    def fail(states, state):
        if state.phase not in ("new", "creating", "setting up"):
            raise OSError(28, "No space left on device")
        write(states, state)

    monkeypatch.setattr(StateFile, "write", fail)
    assert cloud.launch() == 1
    assert cloud.left() == []


def test_a_creation_whose_answer_was_lost_is_not_forgotten(cloud, capfd):
    cloud.faults(create="lost")
    assert cloud.launch() == 1
    assert "LEFT AT GOOGLE" in capfd.readouterr().err and cloud.left() and cloud.state()["phase"] == "left"
    assert cloud.call("delete", "run", *_where(cloud)) == 0 and cloud.left() == []


def test_a_creation_that_google_gives_up_is_not_repeated(cloud, capfd):
    cloud.faults(create="failed")
    assert cloud.launch("--spot") == 1
    assert len(_creations(cloud)) == 1 and cloud.left() == [] and "FAILED" in capfd.readouterr().err


def test_a_tpu_that_somebody_deletes_is_not_created_anew(cloud, capfd, monkeypatch):
    monkeypatch.setenv("FAKE_STEPS", "150")
    cloud.faults(vanish=[3])
    assert cloud.launch("--spot") == 1
    assert len(_creations(cloud)) == 1 and "somebody has deleted the TPU" in capfd.readouterr().err


def test_a_tpu_without_its_queued_resource_is_deleted(cloud):
    cloud.faults(delete=-1)
    assert cloud.launch() == 1
    (cloud.folder / "queued" / "run").unlink()
    cloud.faults()
    assert cloud.call("delete", "run", *_where(cloud)) == 0 and cloud.left() == []


def test_a_bucket_without_an_answer_is_not_an_empty_one(cloud, monkeypatch):
    """It would be a run from step 0 over the checkpoints."""
    monkeypatch.setenv("FAKE_STEPS", "150")
    preempt = {"preempt": [4]}
    cloud.faults(**preempt)

    def spoil():
        cloud.wait_for(lambda: len(_creations(cloud)) == 2)
        asked = int((cloud.folder / "count-ls").read_text())
        cloud.faults(**preempt, ls=asked + 2)

    spoiler = threading.Thread(target=spoil)
    spoiler.start()
    assert cloud.launch("--spot") == 0
    spoiler.join()
    rows = list(csv.DictReader((cloud.home / "launches" / "run" / "metrics.csv").open()))
    assert [int(row["step"]) for row in rows if row["split"] == "validation"] == list(range(1, 151))
    assert "starts at step 0" not in (cloud.home / "launches" / "run" / "out.log").read_text()


def test_a_bucket_that_cannot_be_written_is_seen_before_the_training(cloud, capfd):
    cloud.faults(storage=0)
    assert cloud.launch() == 1
    error = capfd.readouterr().err
    assert "gs://my-bucket/nigt/run cannot be written" in error and "example.com" not in error
    assert cloud.left() == [] and not (cloud.home / "launches" / "run" / "run.json").exists()


def test_a_run_that_could_not_be_saved_says_so_and_its_rows_are_kept(cloud, capfd):
    cloud.faults(storage=2)  # the trial of the bucket, and nothing more
    assert cloud.launch() == 1
    assert "could not be copied to gs://my-bucket/nigt/run" in capfd.readouterr().err
    with open(cloud.home / "results" / "runs.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["status"] == "ok" and cloud.left() == []


def test_a_machine_that_is_shut_down_in_order_goes_on(cloud, monkeypatch):
    """Host maintenance: the training is told, and nothing is taken back."""
    monkeypatch.setenv("FAKE_STEPS", "150")

    def tell():
        cloud.wait_for(cloud.is_training)
        os.kill(int((cloud.folder / "vms" / "run" / "nigt" / "pid").read_text()), signal.SIGTERM)

    teller = threading.Thread(target=tell)
    teller.start()
    assert cloud.launch() == 0
    teller.join()
    assert (cloud.record()["status"], cloud.record()["steps"], cloud.record()["preemptions"]) == ("ok", 150, 1)
    assert len(_creations(cloud)) == 1 and cloud.left() == []


def test_bytes_that_are_no_text_do_not_end_the_run(cloud):
    cloud.python(f'printf "\\\\377\\n"; exec {sys.executable} {ROOT}/tests/scripts/tpu/fake_cloud/training.py "$@"')
    assert cloud.launch() == 0
    assert b"\xff" in (cloud.home / "launches" / "run" / "out.log").read_bytes()


@pytest.mark.heavy
def test_a_tpu_whose_launcher_sleeps_deletes_itself(cloud, monkeypatch):
    monkeypatch.setattr("scripts.tpu.commands.GRACE", -3590.0)  # seconds after the start
    monkeypatch.setenv("FAKE_STEPS", "3000")
    assert cloud.launch() == 1
    by_launcher, by_itself = ([c for c in cloud.calls() if "delete" in c and ("--async" in c) == own] for own in (0, 1))
    assert cloud.calls().index(by_itself[0]) < cloud.calls().index(by_launcher[0]) and cloud.left() == []


@pytest.mark.heavy
def test_two_starts_at_once_make_one_run(cloud, monkeypatch):
    """The answer to the first was lost, and the second comes while it is still at work."""
    monkeypatch.setenv("FAKE_STEPS", "100")
    call = gcloud.run

    def twice(command, *more):
        if any(" start " in part for part in command):
            other = threading.Thread(target=call, args=(command,))
            other.start()
            try:
                return call(command, *more)
            finally:
                other.join()
        return call(command, *more)

    monkeypatch.setattr(gcloud, "run", twice)
    assert cloud.launch() == 0
    assert (cloud.home / "launches" / "run" / "out.log").read_text().count("starts at step") == 1


def test_a_process_that_stays_behind_does_not_hold_the_launcher(monkeypatch):
    """ssh leaves one, which keeps its end of the pipe."""
    monkeypatch.setattr(gcloud, "_SECONDS_FOR_THE_REST", 0.2)
    done = gcloud.run(["sh", "-c", "echo READY; sleep 60 & exit 3"], seconds=30)
    assert (done.returncode, done.stdout) == (3, "READY\n")


def test_what_went_wrong_is_the_line_that_says_so_without_the_account():
    text = "ERROR: (gcloud.x) [me@example.com] has no permission\n- '@type': type.googleapis.com/x\n  reason: QUOTA\n"
    line = gcloud.last_line(subprocess.CompletedProcess([], 1, "", text))
    assert line == "ERROR: (gcloud.x) […] has no permission"


def test_two_launchers_do_not_share_a_name(tmp_path):
    states = StateFile(tmp_path)
    with states.lock("run"), pytest.raises(RunError, match="another launcher is at work"), states.lock("run"):
        pass
    with states.lock("run"):
        pass


def test_points_of_sweeps_with_other_bindings_have_other_names(cloud, capfd):
    names = []
    for more in ((), ("--gin_param=beta=0.9",), ("--gin_param=beta=0.99",)):
        arguments = [a for a in cloud.arguments("--dry_run", "--axis=eta0=0.001", *more) if "name" not in a]
        assert cloud.call("sweep", *arguments) == 0
        names.append(
            [line for line in capfd.readouterr().out.splitlines() if line.startswith("# bert")][0].split(";")[0]
        )
    assert len(set(names)) == 3


def test_without_data_nothing_is_created(cloud, capfd):
    arguments = [a for a in cloud.arguments() if not a.startswith("--data")]
    assert cloud.call("launch", *arguments) == 2
    assert "--data has no value" in capfd.readouterr().err and _creations(cloud) == []


def test_make_passes_values_whole_and_yes_is_said():
    def command(*variables):
        done = subprocess.run(
            ["make", "-n", "-C", str(ROOT), "bert-nigt", "TPU=v3-8", *variables], capture_output=True, text=True
        )
        return done.stdout.rpartition("scripts.tpu launch ")[2].partition("\n")[0]

    def words(*variables):
        shown = subprocess.run(["bash", "-c", f"printf '%s\\n' {command(*variables)}"], capture_output=True, text=True)
        return shown.stdout.splitlines()

    found = words("ZONE=a'b; $(echo no)".replace("$", "$$"), "GIN=a='x' b=`date`", "YES=0", "SPOT=1")
    assert {"--zone=a'b; $(echo no)", "--gin_param=a='x' b=`date`", "--spot"} <= set(found)
    assert "--yes" not in found and "--yes" in words("YES=1")


def _two_points(cloud, tmp_path):
    grid = tmp_path / "grid.gin"
    grid.write_text("import scripts.sweep.grid\ngrid.axes = {'eta0': (1e-3, 1e-2)}\n")
    given = cloud.arguments(f"--grid={grid}", "--parallel=1", "--phase=tune")
    return [argument for argument in given if not argument.startswith("--name")]


def test_a_signal_ends_a_sweep_in_order_and_the_rest_is_not_begun(cloud, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("FAKE_STEPS", "3000")
    sender = threading.Thread(target=lambda: (cloud.wait_for(cloud.is_training), os.kill(os.getpid(), signal.SIGTERM)))
    sender.start()
    assert cloud.call("sweep", *_two_points(cloud, tmp_path)) == 4
    sender.join()
    assert cloud.left() == [] and len(_creations(cloud)) == 1
    assert "2 of 2 points are not done" in capfd.readouterr().err


def test_a_sweep_names_each_tpu_that_it_could_not_delete(cloud, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("FAKE_STEPS", "3")
    cloud.faults(delete=-1)
    assert cloud.call("sweep", *_two_points(cloud, tmp_path)) == 1
    message = capfd.readouterr().err
    left = set(cloud.left())  # of each its queued resource, its node and its machine
    assert len(left) == 2 and all(f"MONEY: {name} in" in message for name in left)
