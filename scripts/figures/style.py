"""What all figures have in common: how they look, and how they are made and written. Same results, same bytes."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from data.errors import InputError

DPI = 150
COLOURS = {"nigt": "#0b2f7f", "baseline": "#6db3e8"}  # dark and light blue, as the paper's
_STYLE: dict = {
    "font.size": 9,
    "axes.titlesize": 10,
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
def figure(size: tuple[float, float], dpi: int = DPI, layout: dict | None = None, **style) -> Iterator[Figure]:
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


def save(made: Figure, path: str | os.PathLike) -> None:
    """Writes the PNG under a temporary name, then renames it.

    Raises:
      InputError: The file cannot be written.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with matplotlib.rc_context():
                matplotlib.rcdefaults()
                # Without matplotlib's version in the file, the bytes depend on the picture alone.
                made.savefig(temporary, format="png", metadata={"Software": None})
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error
