"""What commands share: bad options and bad input end them with one line on stderr; a terminal breaks it at blanks."""

import re
import shutil
import sys
import textwrap
from collections.abc import Callable
from typing import NoReturn, TextIO

from absl import app, flags, logging

from data.errors import InputError, RunError


def run(name: str, module: str, main: Callable[[], int | None]) -> None:
    """Reads the options and calls main; the process ends with its status, 2 if the user has to mend something, or 1.

    Args:
      name: The lines begin with it: the make target, where there is one.
      module: The program, as after `python -m`.
      main: Takes the options from flags.FLAGS. What it raises of InputError, RunError and OSError is one line.
    """
    logging.set_verbosity(logging.ERROR)  # Beam tells of the clouds that it cannot reach

    def called(argv: list[str]) -> int | None:
        try:
            if len(argv) > 1:
                raise InputError(f"unexpected argument {argv[1]!r}: options begin with --")
            return main()
        except (InputError, RunError) as error:
            _end(f"{name}: {error}", 2 if isinstance(error, InputError) else 1)
        except OSError as error:
            place = error.filename or flags.FLAGS.flag_values_dict().get("data_dir", "a file")
            _end(f"{name}: {place}: {error.strerror}; mend that, then repeat the command", 2)

    app.run(called, flags_parser=parser(name, module))


def parser(name: str, module: str) -> Callable[[list[str]], list[str]]:
    """What app.run takes as flags_parser: an option that is wrong is one line and status 2.

    Args:
      name, module: As run takes them.
    """

    def parse(argv: list[str]) -> list[str]:
        try:
            return flags.FLAGS(argv)
        except flags.Error as error:
            # absl's own: "Unknown command line flag 'seeds'. Did you mean: seed ?"
            _end(f"{name}: {' '.join(str(error).split())}; see python -m {module} --help", 2)

    return parse


def say(text: str, stream: TextIO, indent: str = "") -> None:
    """Writes a line: whole into a file, and as a paragraph on a terminal, which would break it within words.

    Args:
      text: A `command` in it stays on one line, to be copied.
      stream: sys.stdout or sys.stderr.
      indent: Of every line of the paragraph but the first.
    """
    if stream.isatty() and len(text) > shutil.get_terminal_size().columns:
        text = paragraph(re.findall(r"(?:`[^`]*`|\S)+", text), indent=indent)
    print(text, file=stream, flush=True)


def paragraph(units: list[str], end: str = "", indent: str = "") -> str:
    """The units in lines of the terminal's width; one that is longer has a line of its own.

    Args:
      units: None is broken at its blanks.
      end: Of every line but the last.
      indent: Of every line but the first.
    """
    text, width = " ".join(unit.replace(" ", "\0") for unit in units), shutil.get_terminal_size().columns - len(end)
    lines = textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return f"{end}\n".join(lines).replace("\0", " ")


def _end(message: str, status: int) -> NoReturn:
    say(message, sys.stderr)
    sys.exit(status)
