"""Loading a gin file strictly: what gin passes in silence is an error here."""

import os
import re
import tokenize

import gin

from data.errors import InputError
from trainers.experiment import Experiment, experiment

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_NOT_BINDINGS = ("gin.macro", "gin.constant", "gin.singleton")

# So that the shipped files find what they include, wherever the command is run from.
gin.add_config_file_search_path(_ROOT)
# gin would also look for a file inside Python packages, and fail on `configs`, a folder that is none, instead of saying
# that the file is missing.
gin.config._FILE_READERS[:] = [(open, os.path.isfile)]


def load(gin_file: str, bindings: list[str], seed: int | None = None) -> Experiment:
    """The experiment that a gin file describes.

    Args:
      gin_file: A path; its includes are relative to the working directory or to the repository.
      bindings: Further bindings, "eta0=0.01", which override the file's.
      seed: Overrides the file's seed.

    Raises:
      InputError: For a missing file, a syntax error, an unknown or misspelt name, a macro or binding that nothing uses,
        a missing value, a wrong type or range. One line, with the file and the name.
    """
    if not os.path.isfile(gin_file):
        raise InputError(
            f"{gin_file}: no such gin file; the shipped ones are configs/paper/*.gin and configs/laptop/*.gin"
        )
    gin.clear_config()
    if seed is not None:
        bindings = [*bindings, f"experiment.seed = {seed}"]
    try:
        _check_syntax(bindings)
        gin.parse_config_files_and_bindings([gin_file], bindings, finalize_config=False)
        gin.finalize()
        loaded = experiment()
    except (
        ValueError,
        TypeError,
        SyntaxError,
        OSError,
        NameError,
        ImportError,
        AttributeError,
        RuntimeError,
        tokenize.TokenError,
    ) as error:
        raise InputError(f"{gin_file}: {_first_line(error)}") from error
    unused = _unused()
    if unused:
        raise InputError(f"{gin_file}: {', '.join(unused)}: nothing uses this; correct the name or delete the line")
    return loaded


def operative_config() -> str:
    """The full configuration of the loaded experiment as gin text, which alone rebuilds it."""
    header = "# The whole configuration of this run; `--gin_file` takes it as it is.\n"
    return header + gin.operative_config_str(max_line_length=120)


def _check_syntax(bindings: list[str]) -> None:
    """Parses each binding by itself, so that what is wrong with it can be said with its text."""
    for binding in bindings:
        try:
            statements = list(gin.config_parser.ConfigParser(binding, gin.config.ParserDelegate()))
        except (SyntaxError, ValueError, tokenize.TokenError) as error:
            raise ValueError(f"--gin_param={binding}: write it as name=value, {_first_line(error)}") from error
        if not statements or not all(isinstance(s, gin.config_parser.BindingStatement) for s in statements):
            raise ValueError(f"--gin_param={binding}: write it as name=value")


def _unused() -> list[str]:
    """Names of the bindings and macros that building the experiment did not consume."""
    operative = gin.config._OPERATIVE_CONFIG
    names = []
    for (scope, selector), parameters in gin.config._CONFIG.items():
        used = operative.get((scope, selector), {})
        for parameter in parameters:
            if parameter not in used:
                macro = selector in _NOT_BINDINGS
                name = scope if macro else f"{scope + '/' if scope else ''}{selector.rsplit('.', 1)[-1]}.{parameter}"
                names.append(name)
    return sorted(names)


def _first_line(error: Exception) -> str:
    """The message without gin's trail of where it was called from."""
    text = str(error).strip() or type(error).__name__
    return re.split(r"\n", text)[0].strip()[:400]
