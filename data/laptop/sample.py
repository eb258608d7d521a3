"""The laptop's sources in the shape of the paper's: a Wikipedia dump, a folder of long texts as books."""

import pathlib

from data.laptop import sources


def write(folder: pathlib.Path, downloads: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes the piece of a dump (106 articles) and the State of the Union addresses (249 files).

    Args:
      folder: Made if missing.
      downloads: Of sources.fetch, which fetches what is not there.

    Returns:
      The dump's file and the books' folder.

    Raises:
      InputError: As sources.fetch.
    """
    paths = sources.fetch(downloads, (sources.DUMP, sources.SPEECHES))
    books = folder / "books"
    books.mkdir(parents=True, exist_ok=True)
    ((name, content),) = sources.read_members(paths[sources.DUMP.name], sources.DUMP).items()
    dump = folder / pathlib.PurePosixPath(name).name
    dump.write_bytes(content)
    for name, content in sources.read_members(paths[sources.SPEECHES.name], sources.SPEECHES).items():
        if name.endswith(".txt"):
            (books / pathlib.PurePosixPath(name).name).write_bytes(content)
    return dump, books
