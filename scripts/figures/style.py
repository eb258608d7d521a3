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
    """Writes a PNG and, beside it, a PDF of the same name, each under a temporary name that is then replaced.

    Raises:
      InputError: A file cannot be written.
    """
    path = pathlib.Path(path)
    for kind, without in (("png", ("Software",)), ("pdf", ("Creator", "Producer", "CreationDate"))):
        # Without dates and matplotlib's version in the files, the bytes depend on the picture alone.
        _save(made, path.with_suffix(f".{kind}"), kind, dict.fromkeys(without))


def _save(made: Figure, path: pathlib.Path, kind: str, metadata: dict[str, None]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with matplotlib.rc_context():
                matplotlib.rcdefaults()
                made.savefig(temporary, format=kind, metadata=metadata)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error
