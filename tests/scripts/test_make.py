"""What the Makefile hands to the shell: a value arrives whole, whatever is in it. What it refuses."""

import os
import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT

VALUE = "a b/[x] *?'\"; `echo no` $(echo no) #, é"


@pytest.mark.parametrize(
    ("target", "variable"),
    [
        *(("bert-nigt", variable) for variable in ("MODEL_DIR", "SEED", "THREADS")),
        *(("imagenet-data", variable) for variable in ("DATA_DIR", "TARS", "TFDS", "RECORDS", "WORKERS")),
        *(("bert-data", variable) for variable in ("DATA_DIR", "DUMP", "TFDS", "BOOKS", "VOCABULARY", "BEAM")),
        *(("resnet-sgd-sweep", variable) for variable in ("STORAGE", "WORKERS")),
        ("dashboard", "STORAGE"),
        ("figure1", "RESULTS"),
        ("study", "HOURS"),
        ("study", "GROUPS"),
        ("soak", "OUTPUT"),
        ("export", "OUTPUT"),
        ("tpu-check", "BUNDLE"),
    ],
)
def test_a_value_reaches_the_command_whole(target, variable):
    given = VALUE.replace("$", "$$")
    made = subprocess.run(
        ["make", "-n", target, f"{variable}={given}", "SCALE=laptop", "EXPERIMENT=bert-nigt"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    command = made.stdout.rpartition("python -m ")[2]
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, cwd="/").stdout
    assert f"--{variable.lower()}={VALUE}" in words.split("\0"), made.stdout + made.stderr


@pytest.mark.parametrize("tpu", [(), ("TPU=v3-8",)])
@pytest.mark.parametrize(
    ("target", "variable", "flag"),
    [
        ("resnet-sgd", "GIN", "gin_param"),
        ("resnet-sgd-sweep", "GIN", "gin_param"),
        ("bert-adam-sweep", "SWEEP", "axis"),
    ],
)
def test_bindings_reach_the_command_as_they_were_typed(target, variable, flag, tpu):
    given = """eta0 = 0.1  nigt.exclude_from_normalization=('bias', "beta")"""
    made = subprocess.run(["make", "-n", target, f"{variable}={given}", *tpu], cwd=ROOT, capture_output=True, text=True)
    command = made.stdout.rpartition("python -m ")[2]
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, cwd="/").stdout
    assert f"--{flag}={given}" in words.split("\0"), made.stdout + made.stderr


def _make(*arguments, **environment):
    environment = os.environ | environment
    return subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    ("variable", "meant"), [("SEEDS", "SEED"), ("seed", "SEED"), ("GINN", "GIN"), ("MODELDIR", "MODEL_DIR")]
)
def test_a_misspelt_variable_is_refused_with_the_one_that_was_meant(variable, meant):
    made = _make("bert-nigt", f"{variable}=1")
    assert made.returncode == 2 and "python" not in made.stdout
    (line,) = made.stderr.splitlines()
    assert f"{variable}: no such variable; did you mean {meant}? (`make help`" in line
    assert _make("bert-nigt", SEEDS="1").returncode == 0  # an environment's variables are nobody's slip


def test_every_variable_that_a_recipe_reads_can_be_given():
    text = (ROOT / "Makefile").read_text()
    own = set(re.findall(r"^([A-Z_]+) :?\??= ?", text, re.MULTILINE)) - {"PYTHON"}
    optional = set(re.findall(r"^([A-Z_]+) \?=", text, re.MULTILINE))
    read = set(re.findall(r"\$\(([A-Z_]+)\)", text)) - own | optional
    assert len(read) > 30
    made = _make("help", *(f"{name}=1" for name in read - {"MAKEFILE_LIST"}))
    assert made.returncode == 0, made.stderr


def test_the_help_fits_a_terminal():
    made = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True)
    assert len(made.stdout.splitlines()) > 30 and max(map(len, made.stdout.splitlines())) <= 80


def test_setup_does_not_empty_the_folder_behind_a_link(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (tmp_path / ".venv").symlink_to("elsewhere")
    made = subprocess.run(["make", "setup"], cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 2 and (tmp_path / "elsewhere" / "kept").exists()
    said = made.stderr.splitlines()[0]
    assert said.startswith("setup: .venv is a symbolic link") and "rm .venv" in said


def test_the_heavy_tests_name_a_package_that_they_miss(tmp_path):
    """On a PATH without Chromium; where PostgreSQL is not there either, that is said first."""
    for program in ("ls", "python3"):
        (tmp_path / program).symlink_to(shutil.which(program))
    environment = {"PATH": str(tmp_path)}
    made = subprocess.run(
        [shutil.which("make"), ".test-full-needs"], cwd=ROOT, capture_output=True, text=True, env=environment
    )
    said = made.stderr.splitlines()[0]
    assert made.returncode == 2 and re.fullmatch(
        r"test-full: .* install the package (postgresql|chromium) \(.*\)", said
    )
