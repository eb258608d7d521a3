"""Notebooks run without a browser."""

import pathlib

import nbclient
import nbformat


def execute(file: pathlib.Path, cwd: pathlib.Path) -> dict[str, nbformat.NotebookNode]:
    """The cells by id, after running them all with the kernel started in cwd."""
    notebook = nbformat.read(file, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(cwd)}}).execute()
    return {cell.id: cell for cell in notebook.cells}


def stored(file: pathlib.Path) -> nbformat.NotebookNode:
    """The notebook, after a check that it is stored valid, small and without outputs."""
    notebook = nbformat.read(file, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5) and file.stat().st_size < 10_000
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    return notebook
