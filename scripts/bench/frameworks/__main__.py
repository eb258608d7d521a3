"""PyTorch's, JAX's and Keras 3's NIGT beside their own Adam and SGD: python -m scripts.bench.frameworks (`make bench`).

Builds the models for the shapes of their variables, has measure.py time the steps in .venv/frameworks, where there is
no TensorFlow, and writes results/bench/frameworks.csv and frameworks.md.
"""

import csv
import io
import json
import os
import pathlib
import subprocess

from absl import app, flags
from official.core import task_factory

from data import command_line
from trainers import gin_files
from trainers.checkout import git_state
from trainers.running.atomic import write_atomically
from trainers.running.held import describe_device

_GIN_FILES = {"BERT-Base": "configs/paper/bert_nigt.gin", "ResNet-50": "configs/paper/resnet_nigt.gin"}
_PYTHON = flags.DEFINE_string("python", ".venv/frameworks/bin/python", "Of the environment with PyTorch and JAX.")
_MODELS = flags.DEFINE_list("models", list(_GIN_FILES), "Of BERT-Base and ResNet-50.")
_ROUNDS = flags.DEFINE_integer("rounds", 15, "Measured steps of each optimizer.", lower_bound=1)
_WARM_UP = flags.DEFINE_integer("warm_up", 3, "Steps of each optimizer before the measured ones.", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", "results/bench", "Where the table goes.")

# A read or a write of an array as large as the parameters, where they do not fit into a cache.
_PASSES = {
    ("PyTorch", "AdamW, fused"): (7, "reads x, g, m, v; writes x, m, v"),
    ("PyTorch", "AdamW, foreach"): (20, "x·(1−ηλ) 2, m 3, v 2 + 3, √v 2, its division 2, + ε 2, x 4"),
    ("PyTorch", "NIGT"): (12, "‖g‖ (for NaN and Inf) 1, ‖x‖ 1, x + offset·m 3, m 3, ‖m‖ 1, x − (s + offset)·m 3"),
    ("PyTorch", "NIGT, fused"): (8, "reads x, m, g for the norms; reads x, m, g again; writes x, m"),
    ("PyTorch", "‖x‖ alone"): (1, "reads x"),
    ("JAX", "AdamW"): (7, "as PyTorch's, fused"),
    ("JAX", "NIGT"): (10, "‖g‖ (for NaN and Inf) 1, m 3, ‖m‖ 1, ‖x‖ 1, x − a·g − b·m 4"),
    ("JAX", "‖g‖ alone"): (1, "reads g"),
}
_REASON = """
NIGT cannot have AdamW's 7 passes: before the first weight may move, the norm of the new m must be known, and no
gradient may hold a NaN. A pass of a norm also takes longer than a pass of AdamW: see the rows of a norm alone. XLA on a
CPU fuses less than the table of passes supposes. NIGT in PyTorch, without `fused=True`, is a foreach form: compare it
with AdamW's.
"""


def page(rows: list[dict], versions: str, told: dict) -> str:
    """The Markdown page."""
    dirty = " (modified)" if told["dirty"] else ""
    lines = [
        "# The optimizers' update alone, in PyTorch, JAX and Keras 3",
        "",
        f"Made by `make bench` at commit {told['commit'][:7]}{dirty} on {describe_device(None)}, with {versions}; "
        f"n = {_ROUNDS.value} interleaved rounds, float32, median (10th–90th percentile). × AdamW: PyTorch's fused "
        "one, optax's under `jit`, Keras's own. On a GPU: not run.",
        "",
        "| framework | model | optimizer | ms a step | × AdamW | state, copies of the parameters |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        span = f"{row['median_ms']} ({row['p10_ms']}–{row['p90_ms']})"
        cells = (row["framework"], row["model"], row["optimizer"], span, row["to_adamw"], row["state_copies"])
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "| framework | optimizer | array passes | which | ms a pass, BERT-Base |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        passes, which = _PASSES.get((row["framework"], row["optimizer"]), (0, ""))
        if passes and row["model"] == "BERT-Base":
            each = f"{float(row['median_ms']) / passes:.1f}"
            lines.append("| " + " | ".join((row["framework"], row["optimizer"], str(passes), which, each)) + " |")
    return "\n".join(lines) + "\n" + _REASON


def main(argv: list[str]) -> int:
    """Exit status: 0 done; that of measure.py where it failed."""
    del argv
    shapes = {}
    for model in _MODELS.value:
        task = task_factory.get_task(gin_files.load(_GIN_FILES[model], []).config.task)
        shapes[model] = [v.shape.as_list() for v in task.build_model().trainable_variables]
    given = json.dumps({"shapes": shapes, "rounds": _ROUNDS.value, "warm_up": _WARM_UP.value})
    command = [_PYTHON.value, "-m", "scripts.bench.frameworks.measure"]
    found: dict = {"rows": [], "versions": []}
    for backend in ({}, {"KERAS_BACKEND": "torch"}, {"KERAS_BACKEND": "jax"}):
        environment = os.environ | backend
        done = subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, env=environment)
        if done.returncode:
            return done.returncode
        own = json.loads(done.stdout)
        found["rows"] += own["rows"]
        found["versions"] += [own["versions"]] if own["versions"] not in found["versions"] else []
    told = git_state()
    text = io.StringIO()
    writer = csv.DictWriter(text, [*found["rows"][0], *told], lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | told for row in found["rows"])
    folder = pathlib.Path(_OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "frameworks.csv", text.getvalue())
    write_atomically(folder / "frameworks.md", page(found["rows"], ", ".join(found["versions"]), told))
    print(page(found["rows"], ", ".join(found["versions"]), told))
    return 0


if __name__ == "__main__":
    app.run(main, flags_parser=command_line.parser("bench", "scripts.bench.frameworks"))
