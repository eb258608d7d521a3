"""The notebook, run without a browser on collected runs (of test_results: their numbers are invented)."""

import base64

import nbclient
import pytest

from scripts.figures import collect
from tests.conftest import ROOT
from tests.scripts.figures.notebooks import execute, stored
from tests.scripts.figures.test_results import make_all

NOTEBOOK = ROOT / "notebooks" / "figure1.ipynb"


def test_is_stored_valid_small_and_without_outputs():
    notebook = stored(NOTEBOOK)
    assert notebook.cells[0].cell_type == "markdown"
    assert [cell.metadata.get("tags") for cell in notebook.cells[1:3]] == [["parameters"], None]
    assert notebook.cells[1].source.startswith('RESULTS = "results/laptop/demo"')


@pytest.mark.parametrize("cwd", [ROOT, ROOT / "notebooks"], ids=["root", "notebooks"])
def test_draws_the_figure_and_the_table(tmp_path, monkeypatch, cwd):
    collect.collect([str(make_all(tmp_path / "runs"))], str(tmp_path / "results"), "final", "a command")
    monkeypatch.setenv("NIGT_RESULTS", str(tmp_path / "results"))
    cells = execute(NOTEBOOK, cwd)
    picture = cells["figure"].outputs[0].data["image/png"]
    assert base64.b64decode(picture).startswith(b"\x89PNG\r\n\x1a\n")
    table = cells["end-points"].outputs[0].data["text/html"]
    for number in ("0.0001", "50.0", "45.0", "80.0", "78.0", "70.91", "70.76", "76.37", "76.20"):
        assert f"<td>{number}</td>" in table


def test_names_the_file_that_is_missing(monkeypatch):
    monkeypatch.setenv("NIGT_RESULTS", "results/no-such-scale")
    with pytest.raises(nbclient.exceptions.CellExecutionError) as caught:
        execute(NOTEBOOK, ROOT / "notebooks")
    assert caught.value.ename == "InputError"
    assert caught.value.evalue.startswith("results/no-such-scale/runs.csv is missing: train (e.g. `make bert-nigt`)")
