"""docs/extend.md: its code, taken from the page and run."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from trainers.checkout import ROOT

BLOCKS = dict(
    re.findall(r"^```\w+ (\S+)\n(.*?)^```", (ROOT / "docs" / "extend.md").read_text(), re.MULTILINE | re.DOTALL)
)


@pytest.fixture
def copy(tmp_path) -> pathlib.Path:
    """The repository's packages and configs, to be changed; with the page's code beside them."""
    for name in ("configs", "data", "nigt", "scripts", "trainers", "pyproject.toml", "Makefile"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    for name, code in BLOCKS.items():
        (tmp_path / name).write_text(code)
    return tmp_path


def _run(copy: pathlib.Path, *arguments: str) -> str:
    ran = subprocess.run([sys.executable, *arguments], cwd=copy, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout + ran.stderr


def _train(copy: pathlib.Path, *bindings: str) -> str:
    small = ("resnet_classification.depth=10", "resnet_classification.width=0.125", "train_steps=4")
    small += ("warmup_polynomial_decay.warmup_steps=1", "validation_interval=4")
    flags = [f"--gin_param={binding}" for binding in (*small, *bindings)]
    gin_file = "--gin_file=configs/laptop/resnet_nigt.gin"
    return _run(copy, "-m", "trainers.train", gin_file, "--model_dir=run", "--threads=1", *flags)


def test_nigt_in_a_model_of_ones_own(copy):
    said = _run(copy, "own_model.py")
    assert float(said.rpartition("val_accuracy: ")[2].split()[0]) > 0.9  # of ten classes
    assert (copy / "digits.keras").exists()


@pytest.mark.heavy
def test_another_optimizer_in_the_study(copy, laptop_data):
    subprocess.run(["git", "apply", "lion.diff"], cwd=copy, check=True)
    arm = "from scripts.study import plan; print(plan.find('resnet', 'Lion').bindings)"
    assert "experiment.optimizer=@lion()" in _run(copy, "-c", arm)
    rate = "lion.learning_rate=@warmup_polynomial_decay()"
    images = f"resnet_classification.data_dir='{laptop_data / 'images'}'"
    assert "done: validation" in _train(copy, "experiment.optimizer=@lion()", rate, images)


@pytest.mark.heavy
def test_another_data_set_for_the_resnet(copy):
    _run(copy, "digits.py")
    page = (ROOT / "docs" / "extend.md").read_text()
    given = re.search(r'GIN="(resnet_classification\.data_dir=.*) train_steps', page)[1].split()
    assert "done: validation" in _train(copy, *given)
