"""The frameworks' benchmark runs and counts state from what is kept; what it times is no test's business."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("torch")

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("backend", ["", "torch", "jax"])
def test_state_is_one_copy_of_the_parameters_beside_adamws_two(backend):
    # Large enough that a norm alone takes more than the tenth of a millisecond to which times are written.
    given = json.dumps({"shapes": {"small": [[1024, 1024], [1024]]}, "rounds": 1, "warm_up": 1})
    command = [sys.executable, "-m", "scripts.bench.frameworks.measure"]
    environment = os.environ | ({"KERAS_BACKEND": backend} if backend else {})
    done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    frameworks = {f"Keras on {'JAX' if backend == 'jax' else 'PyTorch'}"} if backend else {"PyTorch", "JAX"}
    assert {row["framework"] for row in rows} == frameworks and all(float(row["median_ms"]) > 0 for row in rows)
    optimizers = [row for row in rows if not row["optimizer"].endswith(" alone")]
    assert (len(optimizers), len(rows)) == ((3, 3) if backend else (9, 11))
    for row in optimizers:
        copies = 2 if row["optimizer"].startswith("AdamW") else 1
        assert copies <= float(row["state_copies"]) < copies + 0.01, row
