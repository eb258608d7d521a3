"""Notebooks run without a browser."""

import base64
import io
import pathlib

import nbclient
import nbformat
import numpy as np
from PIL import Image

PICTURE, TOLERANCE = (
    "image/png",
    2.0,
)  # of 255, the mean over pixels: another FreeType draws letters a little differently


def execute(file: pathlib.Path, cwd: pathlib.Path) -> dict[str, nbformat.NotebookNode]:
    """The cells by id, after running them all with the kernel started in cwd."""
    notebook = nbformat.read(file, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(cwd)}}).execute()
    return {cell.id: cell for cell in notebook.cells}


def shown(cell: nbformat.NotebookNode) -> list[dict]:
    """What a cell has put out but for pictures: text and tables, word for word."""
    return [
        {kind: text for kind, text in output.get("data", output).items() if kind != PICTURE} for output in cell.outputs
    ]


def pictures(cell: nbformat.NotebookNode) -> list[np.ndarray]:
    """Its pictures, [height, width, 3]."""
    found = [output.data[PICTURE] for output in cell.outputs if PICTURE in output.get("data", {})]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB"), float) for one in found]
