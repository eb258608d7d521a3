"""`pip install .` ships the optimizer alone, and the shipped files say what the project promises."""

import os
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from tests.conftest import ROOT


def test_the_wheel_holds_nigt_and_nothing_else(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for package in ("nigt", "trainers", "data"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    subprocess.run([sys.executable, "-c", build], cwd=tree, check=True, capture_output=True)
    (wheel,) = tree.glob("nigt-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [archive.read(name).decode() for name in names if name.endswith("METADATA")]
    required = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*(?:; extra == \"(\w+)\")?$", metadata, re.M)
    assert [name for name, extra in required if not extra] == ["numpy"]
    assert {extra for _, extra in required} == {"", "tf", "torch", "jax", "keras"}
    assert re.findall(r"^Requires-Python: (.*)$", metadata, re.M) == [">=3.11"]
    assert "# nigt: normalized SGD" in metadata
    modules = (
        "tf_keras/optimizer.py",
        "torch/optimizer.py",
        "optax/stepping.py",
        "keras/stepping.py",
        "theory/methods.py",
        "py.typed",
    )
    assert {f"nigt/{module}" for module in modules} <= set(names)
    assert all(re.match(r"nigt(-[^/]+\.dist-info)?/", name) for name in names)


def test_the_five_lines_for_tf_keras_train(tmp_path, monkeypatch):
    import tf_keras

    monkeypatch.chdir(tmp_path)
    model = tf_keras.Sequential([tf_keras.layers.Dense(3)])
    x, y = np.ones([8, 4], "float32"), np.zeros([8], "int32")
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    _, _, _, lines, _ = re.findall(r"```python\n(.*?)```", (ROOT / "nigt" / "README.md").read_text(), re.S)
    exec(lines, {"model": model, "loss": loss, "x": x, "y": y, "held_out": (x, y)})  # noqa: S102
    assert "val_loss" in model.history.history and (tmp_path / "model.keras").exists()


def test_the_example_of_the_packages_readme_runs_and_learns(tmp_path, laptop_data):
    """On the first 12,000 images of Fashion-MNIST in place of MNIST, whose host tests may not have."""
    *_, example = re.findall(r"```python\n(.*?)```", (ROOT / "nigt" / "README.md").read_text(), re.S)
    assert sum(bool(line) for line in example.splitlines()) <= 20
    images = """
import glob, numpy as np
def load_data():
    def read(split, count):
        features = {"image/encoded": tf.io.FixedLenFeature((), tf.string), "image/class/label": tf.io.FixedLenFeature((), tf.int64)}
        records = tf.data.TFRecordDataset(sorted(glob.glob(IMAGES + "/" + split + "-*"))).take(count)
        parsed = [tf.io.parse_single_example(record, features) for record in records]
        return (np.array([tf.io.decode_png(p["image/encoded"], 1)[..., 0].numpy() for p in parsed]),
                np.array([int(p["image/class/label"]) for p in parsed]))
    return read("train", 12000), read("validation", 2000)
tf.keras.datasets.mnist.load_data = load_data
"""  # noqa: E501
    head, body = example.split("(x, y), ")
    program = head + images.replace("IMAGES", repr(str(laptop_data / "images"))) + "(x, y), " + body
    program += "\nprint('ACCURACY', model.history.history['val_accuracy'][-1])\n"
    program += "w = model.optimizer.iterates(model.trainable_variables)\n"
    program += "saved = tf.keras.models.load_model('model.keras').trainable_variables\n"
    program += "assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(w, saved))\n"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(re.findall(r"ACCURACY (\S+)", done.stdout)[0]) > 0.75


def test_nigt_imports_no_framework_and_neither_trainers_nor_data():
    modules = "sys, nigt, nigt.betas, nigt.reference, nigt.theory.methods"
    check = f"import {modules}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True, capture_output=True, text=True)
    frameworks = {"tensorflow", "tf_keras", "keras", "torch", "jax", "optax"}
    assert not ({"trainers", "data", "official", "gin"} | frameworks) & set(done.stdout.split())


@pytest.mark.parametrize(
    ("use", "missing", "extra"),
    [
        ("nigt.torch", "torch", "torch"),
        ("nigt.optax", "jax", "jax"),
        ("nigt.keras", "keras", "keras"),
        ("nigt.NIGT", "tensorflow", "tf"),
    ],
)
def test_a_missing_framework_gets_one_line_with_the_extra(use, missing, extra):
    hide = f"import sys; sys.modules[{missing!r}] = None; import nigt\n"
    program = hide + f"try: {use}\nexcept ModuleNotFoundError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    (line,) = done.stdout.splitlines()
    assert f"needs {missing}: install the extra [{extra}]" in line


def test_requirements_are_pinned_hashed_and_name_no_host():
    for file in (ROOT / "requirements").glob("*.txt"):
        text = file.read_text()
        assert "://" not in text and not re.search(r"--(extra-)?index-url|--find-links", text)
        for entry in re.split(r"\n(?=[a-z0-9])", text.replace("\\\n", " ")):
            if not entry.startswith("#"):
                assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", entry) and "--hash=sha256:" in entry, entry[:80]


def _targets():
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    trainings = {path.stem.replace("_", "-") for folder in ("paper", "laptop") for path in _gin_files(folder)}
    own = {target for target in phony.split() if not target.startswith("$")}
    return own | trainings, {f"{name}-sweep" for name in trainings}


def _gin_files(folder):
    return (ROOT / "configs" / folder).glob("*_*.gin")


def test_make_help_lists_every_target_but_the_sweeps_which_it_names_together():
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    listed, trainings, _ = done.stdout.split("\n\n")
    head, *lines = trainings.splitlines()
    assert _targets()[0] == {line.split()[0] for line in listed.splitlines() + lines} and "bert-nigt-sweep" in head
    assert all(len(line.split()) > 2 for line in lines)


def test_the_pages_name_targets_and_files_that_exist():
    named, links = set(), 0
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = page.read_text()
        own = set(re.findall(r"(?m)(?:`|^)make ([a-z][a-z0-9-]+)", text))
        assert own <= set().union(*_targets()), page
        paths = re.findall(r"`((?:nigt|data|trainers|scripts|configs|tests|docs|notebooks)/[a-z0-9_./]+)[`:]", text)
        assert [path for path in paths if not (ROOT / path).exists()] == [], page
        linked = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if ":" not in link]
        assert [link for link in linked if not (page.parent / link).exists()] == [], page
        named, links = named | own, links + len(linked)
    assert len(named) > 15 and links > 15
