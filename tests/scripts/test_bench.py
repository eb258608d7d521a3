"""The benchmark runs and counts state from the variables; what it times is no test's business."""

import csv
import subprocess
import sys

from tests.conftest import ROOT


def _bench(*arguments):
    return subprocess.run([sys.executable, "-m", "scripts.bench", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_state_is_one_copy_of_the_parameters_and_half_of_one_in_bfloat16(tmp_path):
    done = _bench("--models=resnet", "--rounds=1", "--warm_up=1", f"--output={tmp_path / 'bench'}")
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "bench" / "optimizers.csv", newline="") as file:
        rows = {row["optimizer"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"Adam", "NIGT", "NIGT, m in bfloat16", "SGD", "AdamW", "LARS", "LAMB", "AdaGrad", "Adafactor"}
    parameters = int(rows["NIGT"]["parameters"])
    # Beside the copies: two scalars a variable at most, and the counters.
    room = (2 * int(rows["NIGT"]["variables"]) + 10) / parameters
    others = {"NIGT, m in bfloat16": 0.5, "Adam": 2, "AdamW": 2, "LAMB": 2}
    for name in set(rows) - {"Adafactor"}:  # it has sums over rows and columns beside its copy
        copies = others.get(name, 1)
        assert copies - 0.001 <= float(rows[name]["state_copies"]) <= copies + room + 0.001, name
    assert "| resnet | NIGT |" in (tmp_path / "bench" / "optimizers.md").read_text()
    assert all(float(row["median_ms"]) > 0 and row["command"] for row in rows.values())


def test_an_unknown_model_is_named(tmp_path):
    done = _bench("--models=resnet51", f"--output={tmp_path / 'bench'}")
    assert done.returncode == 2 and "resnet51" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "bench").exists()
