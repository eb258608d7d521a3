"""Lowered modules as JAX's files: python -m scripts.exported.programs FOLDER, in the environment .venv/exported.

FOLDER holds work.json and the modules (*.hlo) that scripts/exported/export.py wrote; for each program a .jax file comes
beside them. One file serves CPUs, NVIDIA's GPUs and TPUs.
"""

import json
import pathlib
import sys
from typing import Any

import jax
import numpy as np
from jax import export, lax

from scripts.exported import drawing, hlo

PLATFORMS = ("cpu", "cuda", "tpu")


def programs(work: dict, modules: dict[str, bytes]) -> dict[str, tuple]:
    """(function, its arguments' shapes, which of them it gives back in place) by the program's name.

    The state is a dict of arrays by checkpoint path, and so is every part of it that a program takes.

      batch(data, number): the batch of a step.
      step(state, batch): the state after one step.
      steps(state, data, start, count): after the steps start … start + count − 1; only where `loops`.
      trained(state): what the steps since the last call came to (a line of the log), and the state for the next ones.
      at_w(weights): the weights of the iterate w; only for optimizers that have one besides x.
      evaluate(weights, batch): the sums of an evaluation, which are among the weights, after one more batch.
      evaluated(sums): what they come to.
    """
    lowered = {
        name: hlo.as_function(module, work["signatures"][name] | {"shapes": work["variables"]}, work["precision"])
        for name, module in modules.items()
    }
    seed, batch_size = work["seed"], work["batch_size"]
    examples = next(iter(work["data"].values()))[1][0]
    draw = drawing.drawing(work["rule"], seed, examples, batch_size)

    def batch(data: Any, number: Any) -> Any:
        epoch = drawing.epoch_of(number, examples, batch_size)
        return draw(data, drawing.order(seed, epoch, examples), number)

    def step(state: Any, batch: Any) -> Any:
        return state | lowered["step"](batch, state)[1]

    def steps(state: Any, data: Any, start: Any, count: Any) -> Any:
        last = drawing.epoch_of(start + count - 1, examples, batch_size)
        of_epoch = examples // batch_size

        def epoch(number: Any, state: Any) -> Any:
            order = drawing.order(seed, number, examples)
            first, stop = (lax.max(start, number * of_epoch), lax.min(start + count, (number + 1) * of_epoch))
            return lax.fori_loop(first, stop, lambda i, state: step(state, draw(data, order, i)), state)

        return lax.fori_loop(drawing.epoch_of(start, examples, batch_size), last + 1, epoch, state)

    def trained(state: Any) -> Any:
        returned, written = lowered["trained"]({}, state)
        return returned, state | written

    def evaluate(weights: Any, batch: Any) -> Any:
        return lowered["evaluate"](batch, weights)[1]

    shapes = {path: jax.ShapeDtypeStruct(shape, dtype) for path, (dtype, shape) in work["variables"].items()}
    state = {path: shapes[path] for path in work["state"]}
    data = {name: jax.ShapeDtypeStruct(shape, dtype) for name, (dtype, shape) in work["data"].items()}
    number = jax.ShapeDtypeStruct((), np.int32)
    signatures = work["signatures"]
    read = {name: {path: shapes[path] for path in signature["variables"]} for name, signature in signatures.items()}
    inputs = {
        name: {key: jax.ShapeDtypeStruct(shape, dtype) for key, dtype, shape in signature["inputs"]}
        for name, signature in signatures.items()
    }
    found = {
        "batch": (batch, (data, number), ()),
        "step": (step, (state, inputs["step"]), (0,)),
        "trained": (trained, (state,), (0,)),
        "evaluate": (evaluate, (read["evaluate"], inputs["evaluate"]), ()),
        "evaluated": (lambda sums: lowered["evaluated"]({}, sums)[0], (read["evaluated"],), ()),
    }
    if work["loops"]:
        found["steps"] = (steps, (state, data, number, number), (0,))
    if "at_w" in lowered:
        found["at_w"] = (lambda weights: lowered["at_w"]({}, weights)[0], (read["at_w"],), ())
    return found


def main(folder: pathlib.Path) -> None:
    """Writes the programs."""
    work = json.loads((folder / "work.json").read_text())
    modules = {name: (folder / f"{name}.hlo").read_bytes() for name in work["signatures"]}
    for name, (function, arguments, given) in programs(work, modules).items():
        exported = export.export(jax.jit(function, donate_argnums=given), platforms=PLATFORMS)(*arguments)
        (folder / f"{name}.jax").write_bytes(exported.serialize())


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
