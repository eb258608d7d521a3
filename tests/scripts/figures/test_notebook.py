"""The notebooks, run without a browser: as they are committed, and on collected runs (of test_results: invented)."""

import base64
import io

import nbclient
import nbformat
import numpy as np
import pytest
from matplotlib import image

from scripts.figures import collect
from tests.conftest import ROOT
from tests.scripts.figures.notebooks import differences, execute
from tests.scripts.figures.test_results import make_all

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIGURE1 = ROOT / "notebooks" / "figure1.ipynb"


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_committed_with_the_outputs_that_it_gives(file, monkeypatch):
    for name in ("NIGT_RESULTS", "NIGT_PARTIAL"):
        monkeypatch.delenv(name, raising=False)
    notebook = nbformat.read(file, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert notebook.nbformat == 4 and notebook.cells[0].cell_type == "markdown" and file.stat().st_size < 2_000_000
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code), "run it: make notebooks-run"
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    fresh = execute(file, file.parent)
    assert [fault for cell in code for fault in differences(cell, fresh[cell.id])] == []


def test_a_changed_output_is_seen():
    def cell(text: str, shade: float) -> nbformat.NotebookNode:
        picture = io.BytesIO()
        image.imsave(picture, np.full((4, 4, 3), shade), format="png")
        data = {"text/html": text, "image/png": base64.b64encode(picture.getvalue()).decode()}
        outputs = [nbformat.v4.new_output("display_data", data), nbformat.v4.new_output("stream", text=text)]
        return nbformat.v4.new_code_cell(id="a", outputs=outputs)

    assert differences(cell("1.0", 0.5), cell("1.0", 0.5 + 1 / 255)) == []
    assert differences(cell("1.0", 0.5), cell("1.0", 0.55)) == ["a: image/png differs"]
    assert differences(cell("1.0", 0.5), cell("1.1", 0.5)) == ["a: text/html differs", "a: stream differs"]
    assert differences(cell("1.0", 0.5), nbformat.v4.new_code_cell(id="a")) == ["a: other outputs"]


@pytest.mark.parametrize("cwd", [ROOT, ROOT / "notebooks"], ids=["root", "notebooks"])
def test_draws_the_figure_and_the_table(tmp_path, monkeypatch, cwd):
    collect.collect([str(make_all(tmp_path / "runs"))], str(tmp_path / "results"), "final", "a command")
    monkeypatch.setenv("NIGT_RESULTS", str(tmp_path / "results"))
    cells = execute(FIGURE1, cwd)
    picture = cells["figure"].outputs[0].data["image/png"]
    assert base64.b64decode(picture).startswith(b"\x89PNG\r\n\x1a\n")
    words = cells["figure-words"].outputs[0].data["text/markdown"]
    assert "BERT from scratch: NIGT ends at 50.00 %, 5.00 points above Adam's 45.00 %." in words
    table = cells["end-points"].outputs[0].data["text/html"]
    for number in ("0.0001", "50.0", "45.0", "80.0", "78.0", "70.91", "70.76", "76.37", "76.20"):
        assert f"<td>{number}</td>" in table


def test_names_the_file_that_is_missing(monkeypatch):
    monkeypatch.setenv("NIGT_RESULTS", "results/no-such-scale")
    with pytest.raises(nbclient.exceptions.CellExecutionError) as caught:
        execute(FIGURE1, ROOT / "notebooks")
    assert caught.value.ename == "InputError"
    assert caught.value.evalue.startswith("results/no-such-scale/runs.csv is missing: train (e.g. `make bert-nigt`)")
