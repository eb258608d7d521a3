"""Notebooks run without a browser, and what two runs of one differ in."""

import base64
import io
import pathlib

import nbclient
import nbformat
import numpy as np
from matplotlib import image

TOLERANCE = 2 / 255  # of a picture's mean difference: another machine may round a shade differently


def execute(file: pathlib.Path, cwd: pathlib.Path) -> dict[str, nbformat.NotebookNode]:
    """The cells by id, after running them all with the kernel started in cwd."""
    notebook = nbformat.read(file, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(cwd)}}).execute()
    return {cell.id: cell for cell in notebook.cells}


def differences(one: nbformat.NotebookNode, other: nbformat.NotebookNode) -> list[str]:
    """What two cells' outputs differ in: texts and tables to the letter, pictures beyond TOLERANCE."""
    first, second = ([_parts(output) for output in cell.get("outputs", [])] for cell in (one, other))
    if [set(parts) for parts in first] != [set(parts) for parts in second]:
        return [f"{one.id}: other outputs"]
    return [
        f"{one.id}: {kind} differs"
        for before, after in zip(first, second, strict=True)
        for kind in before
        if not (_look_alike if kind == "image/png" else str.__eq__)(before[kind], after[kind])
    ]


def _parts(output: nbformat.NotebookNode) -> dict[str, str]:
    """Its contents by kind."""
    return dict(output.data) if "data" in output else {output.output_type: output.get("text", "")}


def _look_alike(one: str, other: str) -> bool:
    first, second = (image.imread(io.BytesIO(base64.b64decode(picture))) for picture in (one, other))
    return first.shape == second.shape and float(np.abs(first - second).mean()) <= TOLERANCE
