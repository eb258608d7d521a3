"""What is wrong with a figure's layout, by the bounding boxes of its parts after a draw. For any figure."""

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

SMALLEST_SHARE = 0.4  # of the canvas, for all axes together
README = 830  # pixels, the width of a picture in a README on GitHub
SMALLEST_TEXT = 10.0  # of those pixels, a font's size
_SLACK = 1.0  # pixels: a box may be rounded up


def faults(figure: Figure) -> list[str]:
    """One line for each part off the canvas, each two parts that overlap, each line under its axes' legend, each text
    that is too small at a README's width, and for axes that are too small; none for a good figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    whole, axes = figure.bbox, [each for each in figure.axes if each.get_visible()]
    frames = {f"axes {i}": each.get_window_extent(renderer) for i, each in enumerate(axes)}
    parts = _texts("figure", figure.texts, renderer)
    parts |= {f"figure legend {i}": each.get_window_extent(renderer) for i, each in enumerate(figure.legends)}
    for name, each in zip(frames, axes, strict=True):
        parts |= _of(name, each, renderer)
    found = [f"{name} is off the canvas" for name, box in parts.items() if not _inside(box, whole)]
    for (one, first), (other, second) in itertools.combinations(parts.items(), 2):
        if _overlap(first, second) and not _may_meet(one, other):
            found.append(f"{one} overlaps {other}")
    for (name, frame), (part, box) in itertools.product(frames.items(), parts.items()):
        if _overlap(frame, box) and not (part.startswith(name) and "title" not in part):
            found.append(f"{part} overlaps {name}")
    for name, each in zip(frames, axes, strict=True):
        for part in _over_lines(name, each, parts):
            found += [f"{part} covers a line"] if any(_crosses(line, parts[part]) for line in each.get_lines()) else []
    pixels = README / (72 * figure.get_figwidth())  # of a point
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text.get_fontsize() * pixels < SMALLEST_TEXT:
            found.append(f"{text.get_text()!r} has {text.get_fontsize() * pixels:.1f} pixels, not {SMALLEST_TEXT:g}")
    share = sum(box.width * box.height for box in _distinct(frames.values())) / (whole.width * whole.height)
    if share < SMALLEST_SHARE:
        found.append(f"the axes have {share:.0%} of the canvas, not {SMALLEST_SHARE:.0%}")
    return found


def _of(name: str, axes: Axes, renderer) -> dict[str, Bbox]:
    """Titles, axis with its numbers and label, legend and texts of one Axes."""
    titles = [each for each in (axes.title, axes._left_title, axes._right_title) if each.get_text()]
    boxes = {f"{name} title {i}": each.get_window_extent(renderer) for i, each in enumerate(titles)}
    for axis in (axes.xaxis, axes.yaxis):
        box = axis.get_tightbbox(renderer)
        if box is not None:
            boxes[f"{name} {axis.axis_name} axis"] = box
    if axes.get_legend():
        boxes[f"{name} legend"] = axes.get_legend().get_window_extent(renderer)
    return boxes | _texts(name, axes.texts, renderer)


def _over_lines(name: str, axes: Axes, parts: dict[str, Bbox]) -> list[str]:
    """The legend and the texts of one Axes that no line may cross: all but names of lines (annotations)."""
    plain = [f"{name} text {each.get_text()!r}" for each in axes.texts if not isinstance(each, Annotation)]
    return [part for part in (f"{name} legend", *plain) if part in parts]


def _texts(name: str, texts: list[Text], renderer) -> dict[str, Bbox]:
    shown = [each for each in texts if each.get_visible() and each.get_text().strip()]
    # Of an annotation the words alone: its line may cross whatever it likes.
    return {f"{name} text {each.get_text()!r}": Text.get_window_extent(each, renderer) for each in shown}


def _inside(box: Bbox, whole: Bbox) -> bool:
    low, high = box.min - whole.min, whole.max - box.max
    return bool(np.all(low >= -_SLACK) and np.all(high >= -_SLACK))


def _overlap(first: Bbox, second: Bbox) -> bool:
    common = np.minimum(first.max, second.max) - np.maximum(first.min, second.min)
    return bool(np.all(common > _SLACK))


def _may_meet(one: str, other: str) -> bool:
    """The two axis boxes of one Axes share the corner, and its texts and titles may stand beside its numbers."""
    own = one.split()[:2] == other.split()[:2] and one.startswith("axes")
    return own and one.endswith(" axis") and other.endswith(" axis")


def _crosses(line, box: Bbox) -> bool:
    if not line.get_visible() or not len(line.get_xydata()):
        return False
    path = line.get_transform().transform_path(line.get_path())
    return bool(path.intersects_bbox(box.padded(-_SLACK), filled=False))


def _distinct(boxes) -> list[Bbox]:
    """Of twin axes, one."""
    return list({tuple(box.extents.round()): box for box in boxes}.values())
