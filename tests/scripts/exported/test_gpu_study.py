"""make gpu-study: its plan, its report, and a rehearsal on a CPU with a thousandth of the steps."""

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from scripts.exported import gpu_report
from scripts.exported.gpu_plan import ADAM, NIGT, PIECES
from tests.conftest import ROOT
from tests.scripts.exported.bundles import write_text
from trainers import gin_files

ARMS = [arm for piece in PIECES for arm in piece.arms]


def test_every_arm_is_an_experiment_of_its_own():
    assert len({arm.name for arm in ARMS}) == len(ARMS)
    for arm in ARMS:
        experiment = gin_files.load(str(ROOT / arm.gin_file), arm.bindings("data", shorter=1), arm.seed)
        assert (experiment.optimizer.name, experiment.eta0, experiment.seed) == (arm.optimizer, arm.eta0, arm.seed)
        assert experiment.optimizer.learning_rate.eta0 == arm.eta0


def test_the_first_piece_is_the_papers_own_schedule():
    for arm in PIECES[0].arms:
        own = gin_files.load(str(ROOT / arm.gin_file), arm.bindings("data", shorter=1))
        papers = gin_files.load(str(ROOT / f"configs/paper/bert_{arm.optimizer}.gin"), [])
        assert own.optimizer == papers.optimizer and own.train_steps == papers.train_steps == 500_000


def test_without_a_run_everything_is_not_run(tmp_path):
    text = gpu_report.markdown(PIECES, tmp_path)
    assert text.count("| not run |") == len(ARMS)


def _write(directory, rows, status="ok"):
    directory.mkdir(parents=True)
    (directory / "run.json").write_text(json.dumps({"status": status, "steps": 20, "device": "a GPU"}))
    lines = [f"{step},0,0,{split},masked_lm_accuracy,{value}" for step, split, value in rows]
    (directory / "metrics.csv").write_text("\n".join(["step,examples,wall_s,split,name,value", *lines]) + "\n")


def test_the_report_tells_training_end_and_best_on_selection(tmp_path):
    arm = PIECES[0].arms[0]
    rows = [(10, "selection", 0.3), (10, "validation", 0.25), (20, "selection", 0.2), (20, "validation", 0.15)]
    _write(tmp_path / arm.name, [*rows, (20, "train", 0.5)])
    assert f"| {arm.name} | 0.001 | 0 | done | 20 | 50.00 | 15.00 (20) | 25.00 (10) | a GPU |" in (
        gpu_report.markdown(PIECES, tmp_path)
    )


@pytest.mark.parametrize(("adams", "word"), [((0.2, 0.21, 0.22), "better"), ((0.2, 0.3, 0.4), "undecided")])
def test_three_seeds_a_side_are_one_comparison(tmp_path, adams, word):
    nigts = (0.31, 0.32, 0.33)
    for arm, accuracy in zip((*NIGT, *ADAM), (*nigts, *adams), strict=True):
        assert gpu_report.markdown(PIECES, tmp_path).endswith("*not run*\n")
        rows = [(step, split, accuracy * step / 20) for step in (10, 20) for split in ("selection", "validation")]
        _write(tmp_path / arm.name, rows)
    found = stats.ttest_ind(100 * np.array(nigts), 100 * np.array(adams), equal_var=False).confidence_interval()
    last = gpu_report.markdown(PIECES, tmp_path).splitlines()[-1]
    assert f"[{found.low:+.2f}, {found.high:+.2f}], n = 3 and 3. *{word}*" in last


def test_the_committed_report_is_what_the_command_writes_without_runs(tmp_path):
    assert (ROOT / "results/gpu/study.md").read_text() == gpu_report.markdown(PIECES, tmp_path)


def test_a_processor_is_refused(tmp_path, jax_python):
    command = [sys.executable, "-m", "scripts.exported.gpu_study", f"--python={jax_python}"]
    command += [f"--{name}={tmp_path / name}" for name in ("bundles", "runs", "output")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "its jax sees only a cpu; name one whose jax sees a GPU" in line
    assert not (tmp_path / "bundles").exists()


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_a_rehearsal_goes_on_where_a_call_ended(tmp_path, jax_python, jax_environment):
    """Of the first piece: all six runs of (b) would take this test minutes more."""
    folder = tmp_path / "data" / "laptop" / "manuals"
    folder.mkdir(parents=True)
    write_text(folder, 4096, 64, 10, train=1024, selection=128, validation=128)
    (folder / "manifest.json").touch()
    options = [f"--{name}={tmp_path / name}" for name in ("data", "bundles", "runs", "output")]
    options += ["--shorter=1000", f"--python={jax_python}", "--pieces=1,3", "--gin_param=batch_size=8"]

    def call(minutes: float) -> str:
        command = [sys.executable, "-m", "scripts.exported.gpu_study", *options, f"--minutes={minutes}"]
        done = subprocess.run(command, cwd=ROOT, env=jax_environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.splitlines()[-1]

    assert "not done: (a) 500,000 steps at the paper's own rates; repeat the command" in call(0.8)
    assert "not done: (b) 4 layers of 256" in call(60)  # a piece that is not resumed has a call of its own
    for arm in PIECES[0].arms:
        record = json.loads((tmp_path / "runs" / arm.name / "run.json").read_text())
        assert (record["status"], record["preemptions"], record["steps"]) == ("ok", 1, 500)
    text = (tmp_path / "output" / "study.md").read_text()
    assert text.count("| done |") == 2 and text.count("| not run |") == len(PIECES[2].arms)
    files = [file for folder in ("bundles", "runs") for file in (tmp_path / folder).rglob("*") if file.is_file()]
    assert max(file.stat().st_size for file in files) <= 40 * 2**20
