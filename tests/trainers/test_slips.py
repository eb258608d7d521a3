"""A slip of the hand is refused in one line, with status 2, before what takes seconds to import; nothing is written."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

TRAIN = ("trainers.train", "--gin_file=configs/laptop/bert_nigt.gin")
SWEEP = ("scripts.sweep", "--gin_file=configs/laptop/bert_nigt.gin")
TPU = (
    *("scripts.tpu", "launch", "--experiment=bert_nigt", "--tpu=v3-8", "--zone=europe-west4-a", "--project=my-project"),
    *("--bucket=my-bucket", "--data=gs://my-bucket/text", "--max_hours=3", "--price_per_core_hour=1"),
)
NO_TEXT = (
    "SCALE=laptop trains a small model now",
    "make bert-data DUMP=FILE BOOKS=FOLDER",
    "DUMP is a",
    "BOOKS a folder",
)
NO_IMAGES = ("SCALE=laptop trains a small model now", "make imagenet-data TARS=FOLDER")
OF_ALL = [  # of runs, sweeps and TPU launches
    ("--gin_param=etta0=1", ("etta0: nothing uses this",)),
    ("--gin_param=beta='fast'", ("beta = 'fast'",)),
    ("--gin_param=eta0=abc", ("--gin_param=eta0=abc: write it as name=value",)),
    ("--gin_param=beta = 1.5", ("beta = 1.5",)),
    ("--seeed=1", ("seeed", " --help")),
    ("--seed=one", ("seed", "one", " --help")),
    ("surplus", ("surplus",)),
]


@pytest.fixture(scope="module")
def imports(tmp_path_factory):
    """An environment in which what takes seconds to import cannot be."""
    folder = tmp_path_factory.mktemp("imports")
    for name in ("tensorflow", "tf_keras", "official", "optuna", "sqlalchemy", "matplotlib", "pandas"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        *(((*command, slip), named) for command in (TRAIN, SWEEP, TPU) for slip, named in OF_ALL),
        *(
            ((*command, "--gin_param=bert_pretraining.data_dir='/nowhere'"), ("/nowhere/train-*", "make laptop-data"))
            for command in (TRAIN, SWEEP)
        ),
        (("trainers.train", "--gin_file=configs/laptop/none.gin"), ("configs/laptop/none.gin: no such gin file",)),
        (("trainers.train",), ("gin_file",)),
        ((*TRAIN, "--model_dir=README.md/run"), ("README.md: no folder; choose another",)),
        ((*SWEEP, "--axis=eta0"), ("eta0",)),
        (("trainers.train", "--gin_file=configs/paper/bert_adam.gin"), NO_TEXT),
        (("trainers.train", "--gin_file=configs/paper/resnet_sgd.gin"), NO_IMAGES),
        (("scripts.sweep", "--gin_file=configs/paper/resnet_sgd.gin"), NO_IMAGES),
        ((*TPU, "--tpu=v3-9"), ("v3_9",)),
        ((*TPU, "--zone=Europe"), ("--zone",)),
    ],
)
def test_a_slip_is_refused_in_one_line_at_once(arguments, named, imports, tmp_path):
    for name in ("configs", "README.md"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=tmp_path, env=imports, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(("trainers.train: ", "sweep: ", "launch: ")) and all(name in line for name in named)
    assert {path.name for path in tmp_path.iterdir()} == {"configs", "README.md"}


def test_a_run_without_a_slip_does_import_tensorflow(imports, laptop_data, tmp_path):
    """Else the test above could not fail."""
    data = f"--gin_param=bert_pretraining.data_dir='{laptop_data / 'manuals'}'"
    command = [sys.executable, "-m", *TRAIN, data, f"--model_dir={tmp_path / 'run'}"]
    done = subprocess.run(command, cwd=ROOT, env=imports, capture_output=True, text=True)
    assert "tensorflow was imported" in done.stderr
