"""make tpu-check: the real compiler on one core's step of each task; what is written follows from its answers."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from data.errors import InputError
from scripts.exported.bundle import Bundle
from scripts.tpu_check import report
from scripts.tpu_check.programs import Program, all_programs
from scripts.tpu_check.targets import TARGETS
from tests.conftest import ROOT
from trainers import gin_files
from trainers.running import strategies

COMPILER = ROOT / ".venv" / "tpu_check" / "bin" / "python"


def _check(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "scripts.tpu_check", *arguments], cwd=ROOT, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def compiler():
    subprocess.run(["make", "-s", ".venv/tpu_check/.ready"], cwd=ROOT, check=True)
    return COMPILER


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("program", "parameters", "steps"),
    [("bert_nigt-32", 110_104_890, 500_000), ("resnet_nigt-32", 25_557_032, 112_603)],
)
def test_the_papers_step_compiles_for_a_v3_core(program, parameters, steps, tmp_path, compiler):
    done = _check(f"--programs={program}", f"--output={tmp_path / 'out'}", f"--cache={tmp_path / 'cache'}")
    assert done.returncode == 0, done.stderr[-2000:]
    with open(tmp_path / "out" / "v3.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == report.COLUMNS
    assert int(row["parameters"]) == parameters and row["fits"] == "true" and row["update_bytes_accessed"] == ""
    state, arguments = int(row["state_bytes"]), int(row["argument_bytes"])
    assert 4 * parameters <= state <= 1.01 * 4 * parameters  # one copy: m
    # All of it is on the core, but for the pooler, which has no gradient without the next-sentence loss.
    assert arguments >= 0.99 * (4 * parameters + state)
    assert arguments < int(row["hbm_bytes"]) <= 16 * 2**30
    # Three matrix products a weight and example, at two operations: the compiler counts no fewer.
    examples = {"bert": 8 * 512, "resnet": 32}[program.split("_")[0]]
    assert float(row["flops"]) > 6 * examples * (parameters - 30522 * 768) * 0.9
    text = (tmp_path / "out" / "v3.md").read_text()
    assert f"{steps:,}" in text and "No TPU took part" in text and "Not run: the steps of v3-8" in text
    again = _check(f"--programs={program}", f"--output={tmp_path / 'out2'}", f"--cache={tmp_path / 'cache'}")
    assert (
        again.returncode == 0
        and (tmp_path / "out2" / "v3.csv").read_text() == (tmp_path / "out" / "v3.csv").read_text()
    )


@pytest.mark.heavy
def test_what_does_not_fit_is_refused(tmp_path, compiler):
    """30 GB of arguments, to the real compiler."""

    @tf.function(jit_compile=True)
    def add(x, y):
        return 2 * x + y

    large = tf.TensorSpec((60000, 60000), tf.float32)
    module = tmp_path / "module"
    module.write_bytes(add.experimental_get_compiler_ir(large, large)(stage="hlo_serialized"))
    program = ROOT / "scripts" / "tpu_check" / "compiler.py"
    done = subprocess.run([compiler, program, "v3", module], capture_output=True, text=True)
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    if "error" in answer:
        assert done.returncode == 1 and "RESOURCE_EXHAUSTED" in answer["error"]
    else:
        assert report.hbm_bytes(answer) > report.HBM_BYTES


ANSWER = {
    "device": "TPU v3",
    "compiler": "libtpu 0",
    "argument_bytes": 3 * 2**30,
    "output_bytes": 2 * 2**30,
    "alias_bytes": 2**30,
    "temp_bytes": 4 * 2**30,
    "code_bytes": 2**30,
    "flops": 61.5e12,
    "bytes_accessed": 900e9,
    "compile_s": 1.0,
    "parameters": 10,
    "state_bytes": 40,
    "batch": 8,
    "steps": 3600,
}


def test_the_roofline_is_the_slower_side_and_memory_counts_an_alias_once():
    assert report.roofline_seconds(ANSWER) == (1.0, 2.0)
    assert report.run_hours(ANSWER) == 2.0
    assert report.hbm_bytes(ANSWER) == 9 * 2**30
    step, update = Program("bert", "nigt", 32), Program("bert", "nigt", 0)
    rows = report.rows({step: ANSWER, update: ANSWER | {"bytes_accessed": 7.0, "batch": 0}})
    assert [row["update_bytes_accessed"] for row in rows] == [7, 7] and rows[0]["fits"] == "true"
    text = report.markdown({step: ANSWER}, "make tpu-check", {"commit": "a" * 40, "dirty": False})
    assert "| bert_base | nigt | v3-32 | 8 | 61.500 | 900.00 | 1000.0 | 2000.0 | memory | 3,600 | 2.0 | 64 |" in text
    assert report.rows({step: ANSWER | {"temp_bytes": 12 * 2**30}})[0]["fits"] == "false"


def test_every_step_of_the_paper_and_every_update_is_a_program():
    names = {program.name for program in all_programs()}
    steps = {
        f"{task}_{optimizer}-{cores}"
        for task, optimizer in (("bert", "nigt"), ("bert", "adam"), ("resnet", "nigt"), ("resnet", "sgd"))
        for cores in (8, 32)
    }
    updates = {
        f"{task}_{optimizer}-update"
        for task in ("bert", "resnet")
        for optimizer in ("nigt", "nigt_bfloat16", "adam", "sgd", "lars", "lamb")
    }
    assert names == steps | updates
    on_gpus = {program.name for program in all_programs(TARGETS["h100"])}
    assert on_gpus == {f"{step.rpartition('-')[0]}-{gpus}" for step in steps for gpus in (1, 8)}
    assert all((ROOT / program.gin_file).exists() for program in all_programs())


def test_the_committed_table_of_the_gpu_has_every_step():
    table = (ROOT / "results" / "tpu_check" / "h100.md").read_text()
    for program in all_programs(TARGETS["h100"]):
        batch = gin_files.load(program.gin_file, []).task.batch_size // program.cores
        assert table.count(f"| {program.model} | {program.optimizer} | {batch} |") == 1


def test_the_committed_table_is_whole_and_every_program_fits():
    with open(ROOT / "results" / "tpu_check" / "v3.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    known = {(p.model, p.optimizer, bool(p.cores)) for p in all_programs()}
    assert {(row["program"], row["optimizer"], row["per_core_batch"] != "0") for row in rows} == known
    assert len(rows) == len(all_programs())
    for row in rows:
        assert row["fits"] == "true" and int(row["hbm_bytes"]) <= 16 * 2**30
        held = 4 * int(row["parameters"]) + int(row["state_bytes"])
        assert int(row["argument_bytes"]) >= 0.99 * held  # BERT's pooler has no gradient here
    by_optimizer = {(row["program"], row["optimizer"]): int(row["state_bytes"]) for row in rows}
    for model in ("bert_base", "resnet50"):  # the paper: NIGT keeps one number a parameter, Adam two
        assert by_optimizer[model, "adam"] > 1.98 * by_optimizer[model, "nigt"]
        assert by_optimizer[model, "nigt"] > 1.98 * by_optimizer[model, "nigt, m in bfloat16"]


def test_a_slip_is_one_line_and_writes_nothing(tmp_path):
    done = _check("--programs=bert_nigt-9", f"--output={tmp_path / 'out'}")
    assert done.returncode == 2 and "unknown bert_nigt-9" in done.stderr.splitlines()[-1]
    done = _check("--compiler=nowhere", f"--output={tmp_path / 'out'}")
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("tpu-check: nowhere is missing; `make")
    assert not (tmp_path / "out").exists()


def test_a_program_that_does_not_compile_fails_the_command_and_is_named(tmp_path):
    refusing = tmp_path / "python"
    refusing.write_text('#!/bin/sh\necho \'{"error": "RESOURCE_EXHAUSTED: too large"}\'\nexit 1\n')
    refusing.chmod(0o755)
    done = _check(
        "--programs=resnet_sgd-update", f"--compiler={refusing}", f"--output={tmp_path / 'out'}", f"--cache={tmp_path}"
    )
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert "resnet_sgd-update: the v3's compiler refuses it: RESOURCE_EXHAUSTED: too large" in done.stderr


def test_a_tpu_strategy_without_a_tpu_says_what_to_do(monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    with pytest.raises(InputError, match="TPU_NAME is not set"):
        strategies.build("tpu")
    strategy = strategies.build("one_device")
    with strategy.scope():  # only a TPU's tensors have to come here
        assert strategies.checkpoint_options().experimental_io_device is None


@pytest.mark.heavy
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("target", "device"), [("v3", "TPU v3"), ("h100", "NVIDIA H100 80GB HBM3")])
def test_exported_steps_compile_and_update_in_place(target, device, small, tmp_path, compiler):
    done = _check(f"--target={target}", f"--bundle={small}", f"--cache={tmp_path / 'cache'}")
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["step", "steps"] and all(device in line for line in lines)
    variables = Bundle(small).manifest["signature"]["variables"]
    state = sum(np.dtype(dtype).itemsize * int(np.prod(shape)) for dtype, shape in variables.values())
    for name in ("step", "steps"):
        answer = json.loads((tmp_path / "cache" / target / f"small-{name}.json").read_text())
        assert answer["device"] == device and answer["alias_bytes"] > 0.9 * state


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    python = tmp_path / "python"
    python.touch()
    done = _check(f"--bundle={tmp_path}", f"--compiler={python}")
    assert done.returncode == 2 and "name the folder that `make export` wrote" in done.stderr.splitlines()[-1]
