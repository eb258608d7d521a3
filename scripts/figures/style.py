"""What all figures have in common: how they look, and how they are made and written. Same results, same bytes."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from data.errors import InputError

DPI = 150
WIDTH = 8.3  # inches: at a README's width on GitHub, 830 pixels, 9 points are 12.5 pixels
# Okabe and Ito's palette, which most colour-blind readers can tell apart (jfly.uni-koeln.de/color).
BLUE, VERMILLION, GREEN, SKY, ORANGE, PURPLE = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#E69F00", "#CC79A7"
COLOURS = {"nigt": BLUE, "baseline": VERMILLION, "other": "0.55"}
_PDF_METADATA = dict.fromkeys(("CreationDate", "Creator", "Producer"))
_STYLE: dict = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "0.3",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "legend.framealpha": 0.9,
    "legend.edgecolor": "0.85",
}


@contextlib.contextmanager
def figure(size: tuple[float, float], dpi: int = DPI, layout: dict | None = None, **style: Any) -> Iterator[Figure]:
    """A new figure; what is added to it inside has the common style, whatever the reader's own matplotlibrc says.

    Args:
      size: Width and height, in inches.
      layout: Of the constrained layout.
      **style: Further rcParams, a dot in a name as two underscores.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE | {name.replace("__", "."): value for name, value in style.items()})
        made = Figure(figsize=size, dpi=dpi, layout=ConstrainedLayoutEngine(**(layout or {})))
        FigureCanvasAgg(made)
        yield made


def save(made: Figure, path: str | os.PathLike) -> list[pathlib.Path]:
    """Writes the figure as a PNG, and beside it as a PDF, each under a temporary name that is then renamed.

    Args:
      path: Of the PNG.

    Returns:
      The two files.

    Raises:
      InputError: A file cannot be written.
    """
    png = pathlib.Path(path)
    return [_write(made, png, {"Software": None}), _write(made, png.with_suffix(".pdf"), _PDF_METADATA)]


def _write(made: Figure, path: pathlib.Path, metadata: dict[str, None]) -> pathlib.Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with matplotlib.rc_context():
                matplotlib.rcdefaults()
                # Without a date or matplotlib's version in the file, the bytes depend on the picture alone.
                made.savefig(temporary, format=path.suffix.removeprefix("."), metadata=metadata)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error
    return path
