"""Calls a bundle's programs, in the environment that has JAX: drive.py BUNDLE OUT {batches|steps|evaluate} …

batches FIRST COUNT       the batches of these steps, stacked, by name
steps FIRST COUNT [STATE] the state after these steps in one program
single FIRST COUNT        the same, one step a call
evaluate STATE            the metrics on the selection data at w
"""

import pathlib
import sys

import numpy as np

from scripts.exported import bundle, training


def main(folder: str, out: str, what: str, *arguments: str) -> None:
    """Writes what was asked for to OUT, as .npz."""
    read = bundle.Bundle(pathlib.Path(folder))
    programs = training.load(read)
    data = read.arrays("train")
    if what in ("batches", "single"):
        first, count = map(int, arguments)
        batches = [programs["batch"](data, np.int32(number)) for number in range(first, first + count)]
    if what == "batches":
        result = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
    elif what == "single":
        result = read.arrays("state")
        for batch in batches:
            result = programs["step"](result, batch)
    elif what == "steps":
        first, count = map(int, arguments)
        result = programs["steps"](read.arrays("state"), data, np.int32(first), np.int32(count))
    else:
        result = evaluate(read, programs, bundle.unpacked(pathlib.Path(arguments[0]).read_bytes()))
    pathlib.Path(out).write_bytes(bundle.packed({name: np.asarray(value) for name, value in result.items()}))


def evaluate(read: bundle.Bundle, programs: dict, state: dict) -> dict:
    """The metrics of a state at w."""
    signature = read.manifest["signature"]
    weights = state | {
        path: np.zeros(shape, dtype)
        for path, (dtype, shape) in signature["variables"].items()
        if path in signature["signatures"]["evaluate"]["writes"]
    }

    def part(name: str) -> dict:
        return {path: weights[path] for path in signature["signatures"][name]["variables"]}

    if "at_w" in programs:
        weights |= programs["at_w"](part("at_w"))
    columns = read.arrays("selection")
    inputs = signature["signatures"]["evaluate"]["inputs"]
    for number in range(len(next(iter(columns.values())))):
        batch = {name: columns[name][number].astype(dtype) for name, dtype, _ in inputs}
        weights |= programs["evaluate"](part("evaluate"), batch)
    return programs["evaluated"](part("evaluated"))


if __name__ == "__main__":
    main(*sys.argv[1:])
