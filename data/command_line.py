"""What commands share: bad options and bad input end them with one line on stderr."""

import sys
from collections.abc import Callable
from typing import NoReturn

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


def _end(message: str, status: int) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(status)
