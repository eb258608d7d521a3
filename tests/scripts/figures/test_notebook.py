"""The notebooks, run without a browser: as they are committed, and Figure 1's on runs with invented numbers."""

import base64

import nbclient
import nbformat
import numpy as np
import pytest

from scripts.figures import collect
from tests.conftest import ROOT
from tests.scripts.figures.notebooks import TOLERANCE, execute, pictures, shown
from tests.scripts.figures.test_results import make_all

FIGURE_1 = ROOT / "notebooks" / "figure1.ipynb"


@pytest.mark.parametrize("file", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda file: file.stem)
def test_a_notebook_is_committed_with_what_it_puts_out(file):
    """`make notebooks-run` after new results."""
    notebook = nbformat.read(file, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    stored = {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}
    made = execute(file, ROOT / "notebooks")
    assert sum(len(pictures(cell)) for cell in stored.values()) > 0 and file.stat().st_size < 1_000_000
    for name, cell in stored.items():
        assert shown(cell) == shown(made[name]), name
        for own, other in zip(pictures(cell), pictures(made[name]), strict=True):
            assert own.shape == other.shape and np.mean(np.abs(own - other)) < TOLERANCE, name


@pytest.mark.parametrize("cwd", [ROOT, ROOT / "notebooks"], ids=["root", "notebooks"])
def test_draws_the_figure_and_the_table(tmp_path, monkeypatch, cwd):
    collect.collect([str(make_all(tmp_path / "runs"))], str(tmp_path / "results"), "final", "a command")
    monkeypatch.setenv("NIGT_RESULTS", str(tmp_path / "results"))
    cells = execute(FIGURE_1, cwd)
    picture = cells["figure"].outputs[0].data["image/png"]
    assert base64.b64decode(picture).startswith(b"\x89PNG\r\n\x1a\n")
    table = cells["end-points"].outputs[0].data["text/html"]
    for number in ("0.0001", "50.0", "45.0", "80.0", "78.0", "70.91", "70.76", "76.37", "76.20"):
        assert f"<td>{number}</td>" in table
    assert (
        "BERT, masked LM: NIGT ends 5.00 points ahead of Adam."
        in cells["figure-words"].outputs[0].data["text/markdown"]
    )


def test_names_the_file_that_is_missing(monkeypatch):
    monkeypatch.setenv("NIGT_RESULTS", "results/no-such-scale")
    with pytest.raises(nbclient.exceptions.CellExecutionError) as caught:
        execute(FIGURE_1, ROOT / "notebooks")
    assert caught.value.ename == "InputError"
    assert caught.value.evalue.startswith("results/no-such-scale/runs.csv is missing: train (e.g. `make bert-nigt`)")
