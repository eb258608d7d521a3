"""The frameworks' benchmark runs and counts state from what is kept; what it times is no test's business."""

import json
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("torch")

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def test_state_is_one_copy_of_the_parameters_beside_adamws_two():
    given = json.dumps({"shapes": {"small": [[64, 32], [32]]}, "rounds": 1, "warm_up": 1})
    command = [sys.executable, "-m", "scripts.bench.frameworks.measure"]
    done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert {row["framework"] for row in rows} == {"PyTorch", "JAX"} and all(float(row["median_ms"]) > 0 for row in rows)
    optimizers = [row for row in rows if not row["optimizer"].endswith(" alone")]
    assert len(optimizers) == len(rows) - 2 == 9
    for row in optimizers:
        copies = 2 if row["optimizer"].startswith("AdamW") else 1
        assert copies <= float(row["state_copies"]) < copies + 0.01, row
