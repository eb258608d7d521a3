"""The examples learn alike in every framework, from the wheel and from the sdist, installed where nothing else is."""

import os
import pathlib
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest

pytest.importorskip("torch")  # once is enough: not with the oldest packages too

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SEEDS = range(3)
LEARNERS = {
    "keras": ROOT / ".venv" / "bin" / "python",
    "pytorch": pathlib.Path(sys.executable),
    "jax_optax": pathlib.Path(sys.executable),
    "keras3": pathlib.Path(sys.executable),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel, and the wheel that the sdist makes."""
    folder = tmp_path_factory.mktemp("dist")
    code = (
        "import sys; from setuptools import build_meta as b; folder = sys.argv[1]\n"
        "b.build_sdist(folder); b.build_wheel(folder)"
    )
    tree = folder / "tree"
    files = subprocess.run(["git", "-C", ROOT, "ls-files", "nigt", "pyproject.toml", "LICENSE"], check=True,
                           capture_output=True, text=True).stdout.split()  # fmt: skip
    for file in files:
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).write_bytes((ROOT / file).read_bytes())
    subprocess.run([sys.executable, "-c", code, folder], cwd=tree, check=True, capture_output=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    again = folder / "again"
    subprocess.run([sys.executable, "-m", "tarfile", "-e", sdist, again], check=True)
    (unpacked,) = again.iterdir()
    subprocess.run([sys.executable, "-c", code, again], cwd=unpacked, check=True, capture_output=True)
    return wheel, next(again.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """An environment with the wheel and nothing else: its Python, and its site-packages."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", built[0]]
    subprocess.run(install, check=True)
    (packages,) = folder.glob("lib/*/site-packages")
    return python, packages


def test_the_sdist_makes_the_same_wheel(built):
    first, second = (zipfile.ZipFile(wheel) for wheel in built)
    assert first.namelist() == second.namelist() and "nigt/py.typed" in first.namelist()
    for name in first.namelist():
        assert first.read(name) == second.read(name), name


def test_where_nothing_is_installed_each_framework_is_asked_for(installed, tmp_path):
    python, _ = installed
    for use, extra in (("nigt.torch", "torch"), ("nigt.optax", "jax"), ("nigt.keras", "keras"), ("nigt.NIGT", "tf")):
        program = f"import nigt\ntry: {use}\nexcept ModuleNotFoundError as error: print(error)"
        done = subprocess.run([python, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert re.fullmatch(rf"nigt\.\w+ needs \w+: install the extra \[{extra}\], .*\n", done.stdout)


@pytest.fixture(scope="module")
def accuracies(installed, tmp_path_factory):
    """By framework, the accuracies of the seeds; nigt is the wheel's, the framework its environment's."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "only").mkdir()
    for name in ("data", "examples"):
        (folder / "only" / name).symlink_to(ROOT / name)
    (folder / ".data").mkdir()
    (folder / ".data" / "downloads").symlink_to(ROOT / ".data" / "downloads")
    (ROOT / ".data" / "downloads").mkdir(parents=True, exist_ok=True)
    # What is installed beside the frameworks must be found after the wheel.
    path = os.pathsep.join(map(str, (folder / "only", installed[1])))
    shared = os.environ | {
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_ENABLE_X64": "0",
        "KERAS_BACKEND": "jax",
    }
    found = {}
    for name, python in LEARNERS.items():
        own = []
        for seed in SEEDS:
            command = [python, "-P", "-c", f"import sys, nigt; sys.argv[1:] = ['{seed}']; print(nigt.__file__)\n"
                       f"import runpy; runpy.run_module('examples.{name}', run_name='__main__')"]  # fmt: skip
            done = subprocess.run(command, cwd=folder, env=shared, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            first, *_, last = done.stdout.splitlines()
            assert first.startswith(str(installed[1]))
            own.append(float(last.removeprefix("accuracy ")))
        found[name] = own
    return found


def test_the_examples_reach_tf_kerass_accuracy_within_the_seeds_spread(accuracies):
    """Means of 3 seeds; the spread is that of all frameworks' seeds about their own means."""
    spread = np.sqrt(np.mean([np.var(own, ddof=1) for own in accuracies.values()]))
    expected = np.mean(accuracies["keras"])
    for name, own in accuracies.items():
        assert min(own) > 0.85 and np.mean(own) > expected - 3 * spread * np.sqrt(2 / len(own)), (name, accuracies)


def test_the_examples_are_short():
    for file in (ROOT / "examples").glob("*.py"):
        lines = [line for line in file.read_text().splitlines() if line.strip()]
        assert len(lines) <= 30, file
