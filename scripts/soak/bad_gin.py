"""Slips of the hand in the shipped gin files: misspelt names, wrong types, numbers out of range, missing lines."""

import ast
import pathlib
import random
import re
from collections.abc import Iterator

from data.errors import InputError
from trainers import gin_files
from trainers.checkout import ROOT

FILES = sorted(file for scale in ("paper", "laptop") for file in ROOT.glob(f"configs/{scale}/*_*.gin"))
_BINDING = re.compile(r"^(?P<name>[A-Za-z_][\w./]*) *= *(?P<value>[^#\n]*?) *(?P<comment>#.*)?$", re.MULTILINE)
_OTHER_TYPES = ("'text'", "[1, 2]", "{}", "True", "(0.5,)", "@bert_pretraining()", "2.5")


def whole_text(file: pathlib.Path) -> str:
    """A run file with what it includes in its place."""
    text = file.read_text()
    return re.sub(r'^include "(.*)"$', lambda match: (ROOT / match[1]).read_text(), text, flags=re.MULTILINE)


def slip(text: str, generator: random.Random) -> tuple[str, str, str]:
    """One slip: its kind, the name in the line that it is in, and the text with it.

    Args:
      text: From whole_text.
      generator: Draws the line and the slip.
    """
    kind = generator.choice(("misspelt", "type", "negative", "huge", "no macro", "missing", "cut"))
    numbers = {"negative", "huge"}
    lines = [m for m in _BINDING.finditer(text) if kind not in numbers or _is_number(m["value"])]
    line = generator.choice(lines)
    name, value = line["name"], line["value"]
    if kind == "misspelt":
        new = f"{_misspell(name, generator)} = {value}"
    elif kind == "type":
        new = f"{name} = {generator.choice([v for v in _OTHER_TYPES if v != value])}"
    elif kind == "negative":
        new = f"{name} = -{value}" if float(value) else f"{name} = -1"
    elif kind == "huge":
        new = f"{name} = {generator.choice(('1' + 30 * '0', '1e300', '1e999', '9' * 20))}"
    elif kind == "no macro":
        new = f"{name} = %nothing"
    elif kind == "missing":
        new = ""
    else:
        new = line[0].split("#")[0].rstrip()
        new = new[: generator.randrange(1, len(new))]
    return kind, name, text[: line.start()] + new + text[line.end() :]


def bindings(text: str) -> Iterator[tuple[str, object]]:
    """(name, value) of each line that binds a literal."""
    for line in _BINDING.finditer(text):
        try:
            yield line["name"], ast.literal_eval(line["value"])
        except (ValueError, SyntaxError):
            continue


def judge(kind: str, name: str, text: str, original: str, file: pathlib.Path) -> str:
    """What loading the text came to: "refused" or "accepted".

    Args:
      kind, name, text: From slip.
      original: What the slip was made in.
      file: To write the text to.

    Raises:
      AssertionError: A message that is not one line with the file's name, a slip that has to be refused and was not, or
        one that changed nothing in silence. Any other exception is a traceback that the user would have seen.
    """

    def described(content: str) -> tuple:
        file.write_text(content)
        loaded = gin_files.load(str(file), [])
        return loaded.config.as_dict(), loaded.eta0, loaded.scale, gin_files.operative_config()

    try:
        after = described(text)
    except InputError as error:
        message = str(error)
        assert message.startswith(f"{file}: ") and "\n" not in message and len(message) < 700, message
        return "refused"
    assert kind not in ("misspelt", "negative", "huge", "no macro"), f"{kind} {name}: accepted"
    is_macro = "." not in name
    assert not (kind == "missing" and is_macro), f"the macro {name} is missing, and nothing said"
    if kind != "missing" and dict(bindings(text)) != dict(bindings(original)):
        assert after != described(original), f"{kind} {name}: accepted, and nothing has changed"
    return "accepted"


def _is_number(value: str) -> bool:
    try:
        return isinstance(ast.literal_eval(value), int | float) and value not in ("True", "False")
    except (ValueError, SyntaxError):
        return False


def _misspell(name: str, generator: random.Random) -> str:
    place = generator.randrange(len(name))
    while not name[place].isalpha():
        place = generator.randrange(len(name))
    letter = name[place]
    new = generator.choice(("", 2 * letter, letter.upper() if letter.islower() else letter.lower(), f"{letter}_x"))
    return name[:place] + new + name[place + 1 :]
