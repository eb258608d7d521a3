"""Loading a gin file strictly: what gin passes in silence is an error here."""

import contextlib
import os
import re
import tempfile
import tokenize
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO, TypeVar

import gin

from data.errors import InputError
from trainers.checkout import ROOT
from trainers.experiment import Experiment

Root = TypeVar("Root")
_QUOTED = re.compile(r"(['\"])(?:\\.|(?!\1)[^\\])*\1")
_NAME = re.compile(r"(?<!\S)[\w./]+\s*=")  # where a binding begins
_VALUES = "where a value is 0.1, True, None, 'text', (1, 2), @name() or %macro"
_NOT_BINDINGS = ("gin.macro", "gin.constant", "gin.singleton")

# So that the shipped files find what they include, wherever the command is run from.
gin.add_config_file_search_path(str(ROOT))
_references: set[tuple[str, str]] = set()  # (scope, selector) of all that the files' values refer to


def split(texts: Iterable[str]) -> list[str]:
    """Each binding by itself, without blanks around its "=": "eta0 = 0.1 beta=0.9" is "eta0=0.1" and "beta=0.9".

    Args:
      texts: Of one binding or several, separated by blanks.
    """
    found = []
    for text in texts:
        masked = _QUOTED.sub(lambda quoted: "_" * len(quoted[0]), text)
        starts = sorted({0, *(match.start() for match in _NAME.finditer(masked))})
        pieces = (text[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True))
        found += [re.sub(r"^([\w./]+)\s*=\s*", r"\1=", piece) for piece in pieces if piece]
    return found


def load(gin_file: str, bindings: list[str], seed: int | None = None) -> Experiment:
    """The experiment that a gin file describes; operative_config then has it as text.

    Args:
      gin_file: A path; its includes are relative to the working directory or to the repository.
      bindings: Further bindings, "eta0=0.01", which override the file's.
      seed: Overrides the file's seed.

    Raises:
      InputError: As `read`.
    """
    seeded = [] if seed is None else [f"experiment.seed = {seed}"]
    known = "the shipped ones are configs/paper/*.gin and configs/laptop/*.gin"
    return read(gin_file, [*bindings, *seeded], Experiment.from_gin, known)


def read(gin_file: str, bindings: list[str], root: Callable[..., Root], known: str) -> Root:
    """What a gin file describes.

    Args:
      gin_file, bindings: See load.
      root: The configurable that it is for.
      known: Which files there are, to say it where this one is missing.

    Raises:
      InputError: For a missing file, a syntax error, an unknown or misspelt name, a macro or binding that nothing uses,
        a missing value, a wrong type or range. One line, with the file and the name.
    """
    if not os.path.isfile(gin_file):
        raise InputError(f"{gin_file}: no such gin file; {known}")
    gin.clear_config()
    _references.clear()
    try:
        given = _check_syntax(bindings)
        gin.parse_config_file(gin_file)
        gin.parse_config(bindings)
        with gin.unlock_config():  # afterwards: tf-models-official registers its own configurables when it is imported
            gin.finalize()
        loaded = root()
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
    unused = _unused(given)
    if unused:
        raise InputError(f"{gin_file}: {', '.join(unused)}: nothing uses this; correct the name or delete the line")
    return loaded


def loads(text: str) -> Experiment:
    """The experiment whose operative_config the text was, in this version or an older one.

    Raises:
      InputError: As `read`.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".gin", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        return load(file.name, [])


def differences(there: Experiment, here: Experiment) -> list[str]:
    """What differs, the task and the optimizer first: ["nigt.beta is 0.9 there and 0.5 here"].

    Where `there` was loaded from the text of an older version, what that does not name has its default.
    """
    old, new = there.flat(), here.flat()
    # What only one has belongs to a task or an optimizer that the other does not use, which is a difference itself.
    first = ("experiment.task", "experiment.optimizer")
    names = sorted(old.keys() & new.keys(), key=lambda name: (name not in first, name))
    return [f"{name} is {old[name]} there and {new[name]} here" for name in names if old[name] != new[name]]


def operative_config() -> str:
    """The full configuration of the loaded experiment as gin text, which alone rebuilds it."""
    header = "# The whole configuration of this run; `--gin_file` takes it as it is.\n"
    return header + gin.operative_config_str(max_line_length=120)


def _check_syntax(bindings: list[str]) -> set[tuple[str, str, str]]:
    """Parses each binding by itself, so that what is wrong with it can be said with its text.

    Returns:
      (scope, name, parameter) of each.
    """
    given = set()
    for binding in bindings:
        try:
            statements = list(gin.config_parser.ConfigParser(binding, gin.config.ParserDelegate()))
        except (SyntaxError, ValueError, tokenize.TokenError) as error:
            raise ValueError(f"--gin_param={binding}: write it as name=value, {_VALUES}") from error
        if not statements or not all(isinstance(s, gin.config_parser.BindingStatement) for s in statements):
            raise ValueError(f"--gin_param={binding}: write it as name=value")
        for statement in statements:
            # A macro's name is parsed as a selector without a parameter; gin keeps it as a scope.
            macro = not statement.arg_name
            given.add(
                (statement.selector, "macro", "value")
                if macro
                else (statement.scope, statement.selector.rsplit(".", 1)[-1], statement.arg_name)
            )
    return given


@contextlib.contextmanager
def _noting_references(path: str) -> Iterator[TextIO]:
    """Opens a gin file for gin; when it has been read, notes what its values, and those read before, refer to.

    A file that includes it may bind them anew. What they referred to, and the scopes around that, are then no slips.
    """
    with open(path, encoding="utf-8") as file:
        yield file
    for reference in gin.config.iterate_references(gin.config._CONFIG):
        scope, selector = reference.config_key
        _references.update((outer, selector) for outer in _scopes_around(scope))


# gin would also look for a file inside Python packages, and fail on `configs`, a folder that is none, instead of saying
# that the file is missing.
gin.config._FILE_READERS[:] = [(_noting_references, os.path.isfile)]


def _scopes_around(scope: str) -> list[str]:
    """ "a/b" has the bindings of "", "a" and "a/b"."""
    parts = scope.split("/") if scope else []
    return ["/".join(parts[:length]) for length in range(len(parts) + 1)]


def _unused(given: set[tuple[str, str, str]]) -> list[str]:
    """Names of the bindings and macros that building the experiment did not consume.

    What a file refers to may have lost its use to an override: `train_steps=100` takes the place of a number of epochs,
    and of the size of the data set behind that.

    Args:
      given: Bindings that override the files': each must be consumed.
    """
    used = set()
    for (scope, selector), parameters in gin.config._OPERATIVE_CONFIG.items():
        # gin fills in defaults too; a parameter counts as used in each scope that can have given its value.
        used |= {(outer, selector, parameter) for outer in _scopes_around(scope) for parameter in parameters}
    names = []
    for (scope, selector), parameters in gin.config._CONFIG.items():
        for parameter in parameters:
            name = "macro" if selector in _NOT_BINDINGS else selector.rsplit(".", 1)[-1]
            overridden = (scope, selector) in _references and (scope, name, parameter) not in given
            if (scope, selector, parameter) not in used and not overridden:
                names.append(scope if name == "macro" else f"{scope + '/' if scope else ''}{name}.{parameter}")
    return sorted(names)


def _first_line(error: Exception) -> str:
    """The message without gin's trail of where it was called from, and in words for who writes gin files."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0].strip()
    if missing := re.match(r"No bindings specified for '(.+)/gin.macro'", text):
        return f"the macro '{missing[1]}' has no value; bind it"
    if isinstance(error, SyntaxError):
        return f"line {error.lineno} of {error.filename}: write name = value, {_VALUES}"
    if isinstance(error, tokenize.TokenError):
        return f"a bracket is not closed ({text})"
    return text[:400]
