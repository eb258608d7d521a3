"""Benchmarks: python -m scripts.bench (`make bench`). Writes results/bench/optimizers.csv and optimizers.md.

One process; in every round each optimizer takes one step on the same variables with the same gradients, in turn, so
that what disturbs the machine disturbs all. Times are medians over the rounds with the 10th and 90th percentile; ratios
are medians of each round's ratio. State is counted from the optimizer's variables.
"""

import csv
import io
import pathlib
import sys
import time
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import tensorflow as tf
import tf_keras
from absl import app, flags
from official.core import task_factory
from official.modeling.optimization import lamb, lars, legacy_adamw

from data import command_line, environment
from nigt import NIGT
from trainers import gin_files
from trainers.checkout import git_state
from trainers.running.atomic import write_atomically
from trainers.running.held import describe_device

_GIN_FILES = {
    "bert_base": "configs/paper/bert_nigt.gin",
    "resnet50": "configs/paper/resnet_nigt.gin",
    "bert": "configs/laptop/bert_nigt.gin",
    "resnet": "configs/laptop/resnet_nigt.gin",
}
_ROUNDS = flags.DEFINE_integer("rounds", 15, "Measured steps of each optimizer.", lower_bound=1)
_WARM_UP = flags.DEFINE_integer("warm_up", 3, "Steps of each optimizer before the measured ones.", lower_bound=1)
_MODELS = flags.DEFINE_list("models", list(_GIN_FILES), "Of bert_base, resnet50, and the laptop's bert, resnet.")
_OUTPUT = flags.DEFINE_string("output", "results/bench", "Where the table goes.")

_LEGACY = tf_keras.optimizers.legacy
Optimizer: TypeAlias = tf_keras.optimizers.Optimizer | tf_keras.optimizers.legacy.Optimizer
# Settings as each is used for these models; they do not change what is computed.
OPTIMIZERS: dict[str, Callable] = {
    "Adam": lambda: _LEGACY.Adam(1e-4, beta_2=0.99),
    "NIGT": lambda: NIGT(1e-3),
    "NIGT, m in bfloat16": lambda: NIGT(1e-3, momentum_dtype="bfloat16"),
    "SGD": lambda: _LEGACY.SGD(0.1, momentum=0.9),
    "AdamW": lambda: legacy_adamw.AdamWeightDecay(1e-4, weight_decay_rate=0.01, gradient_clip_norm=0.0),
    "LARS": lambda: lars.LARS(1e-3),
    "LAMB": lambda: lamb.LAMB(1e-3),
    "AdaGrad": lambda: _LEGACY.Adagrad(1e-2),
    "Adafactor": lambda: tf_keras.optimizers.Adafactor(1e-2, relative_step=False),
}
COLUMNS = (
    *("model", "optimizer", "variables", "parameters", "median_ms", "p10_ms", "p90_ms", "to_adam", "to_lars"),
    *("state_copies", "state_scalars", "rounds", "device", "commit", "dirty", "command"),
)


def measure(model: str, rounds: int, warm_up: int) -> list[dict]:
    """A row an optimizer, on a model's real variables."""
    task = task_factory.get_task(gin_files.load(_GIN_FILES[model], []).config.task)
    variables = task.build_model().trainable_variables
    parameters = sum(int(np.prod(v.shape)) for v in variables)
    random = np.random.default_rng(0)
    gradients = [tf.constant(random.standard_normal(v.shape, np.float32) * 1e-2) for v in variables]
    optimizers = {name: make() for name, make in OPTIMIZERS.items()}
    steps = {name: _step(optimizer, variables) for name, optimizer in optimizers.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(warm_up + rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step(gradients)
            if number >= warm_up:
                times[name].append(time.perf_counter() - start)
        print(f"bench: {model}, round {number + 1} of {warm_up + rounds}", flush=True)
    rows = []
    for name, own in times.items():
        state = _state(optimizers[name], variables)
        rows.append(
            {
                "model": model,
                "optimizer": name,
                "variables": len(variables),
                "parameters": parameters,
                "median_ms": f"{1e3 * np.median(own):.1f}",
                "p10_ms": f"{1e3 * np.percentile(own, 10):.1f}",
                "p90_ms": f"{1e3 * np.percentile(own, 90):.1f}",
                "to_adam": f"{np.median(np.divide(own, times['Adam'])):.2f}",
                "to_lars": f"{np.median(np.divide(own, times['LARS'])):.2f}",
                "state_copies": f"{sum(v.dtype.size * int(np.prod(v.shape)) for v in state) / (4 * parameters):.3f}",
                "state_scalars": sum(v.shape.rank == 0 for v in state),
                "rounds": rounds,
            }
        )
    return rows


def _step(optimizer: Optimizer, variables: list[tf.Variable]) -> Callable:
    @tf.function
    def step(gradients: list[tf.Tensor]) -> None:
        optimizer.apply_gradients(list(zip(gradients, variables, strict=True)))

    return step


def _state(optimizer: Optimizer, variables: list[tf.Variable]) -> list[tf.Variable]:
    """What the optimizer keeps; a legacy optimizer's hyperparameters are Python numbers and count as nothing."""
    own = optimizer.variables
    own = own() if callable(own) else own
    known = {id(v) for v in variables}
    return [v for v in own if id(v) not in known]


def table(rows: list[dict]) -> str:
    """The Markdown table of the rows."""
    first = rows[0]
    dirty = " (modified)" if first["dirty"] else ""
    lines = [
        "# The optimizers' update alone",
        "",
        f"Made by `{first['command']}` at commit {first['commit'][:7]}{dirty} on {first['device']}; "
        f"n = {first['rounds']} interleaved rounds, float32, median (10th–90th percentile).",
        "",
        "| model | optimizer | ms a step | × Adam | × LARS | state, copies of the parameters | and scalars |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        span = f"{row['median_ms']} ({row['p10_ms']}–{row['p90_ms']})"
        cells = (row["model"], row["optimizer"], span, row["to_adam"], row["to_lars"])
        lines.append("| " + " | ".join(map(str, (*cells, row["state_copies"], row["state_scalars"]))) + " |")
    return "\n".join(lines) + "\n"


def main(argv: list[str]) -> int:
    """Exit status: 0 done, 2 an unknown model."""
    del argv
    environment.hide_gpus()
    unknown = set(_MODELS.value) - set(_GIN_FILES)
    if unknown:
        names = ", ".join(sorted(unknown))
        print(f"bench: --models: unknown {names}; choose from {', '.join(_GIN_FILES)}", file=sys.stderr)
        return 2
    chosen = [f"--{flag.name}={flag.value}" for flag in (_ROUNDS, _WARM_UP) if flag.present]
    chosen += [f"--models={','.join(_MODELS.value)}"] if _MODELS.present else []
    command = " ".join(["python -m scripts.bench", *chosen]) if chosen else "make bench"
    shared = {"device": describe_device(None), **git_state(), "command": command}
    rows = [row | shared for model in _MODELS.value for row in measure(model, _ROUNDS.value, _WARM_UP.value)]
    folder = pathlib.Path(_OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(folder / "optimizers.csv", text.getvalue())
    write_atomically(folder / "optimizers.md", table(rows))
    print(table(rows))
    return 0


if __name__ == "__main__":
    app.run(main, flags_parser=command_line.parser("bench", "scripts.bench"))
