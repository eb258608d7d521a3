"""The figure of every trial: a panel a task and length of runs, with its legend on the canvas."""

from scripts.figures import sweep
from tests.conftest import ROOT


def test_each_length_has_its_panel_and_every_legend_is_whole():
    figure = sweep.draw(ROOT / "results" / "laptop")
    figure.canvas.draw()
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == len(set(titles)) and titles[0] == "BERT, masked LM: 2,400 steps"
    assert "BERT, masked LM: 3,000 steps from ckpt-3000" in titles
    boxes = [axes.get_legend().get_window_extent() for axes in figure.axes]
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
