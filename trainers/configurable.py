"""gin configurables that check what they are given. Nothing here, nor in trainers/schema, imports TensorFlow."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import gin
import pydantic

Target = TypeVar("Target", bound=Callable)


class Settings(pydantic.BaseModel):
    """What a gin file may say of one configurable: its names, types, ranges and defaults.

    Attributes:
      gin_name: As gin files write it, "warmup_polynomial_decay".
      from_gin: Builds one with the arguments that gin has for it.
    """

    model_config = pydantic.ConfigDict(strict=True, frozen=True, extra="forbid")
    gin_name: ClassVar[str]
    from_gin: ClassVar[Callable[..., Any]]

    def flat(self) -> dict[str, Any]:
        """Every setting by its name in gin files, "nigt.beta", those of nested configurables too; tuples as lists."""
        found: dict[str, Any] = {}
        for field in type(self).model_fields:
            value = getattr(self, field)
            if isinstance(value, Settings):
                found |= value.flat()
                value = f"@{value.gin_name}()"
            found[f"{self.gin_name}.{field}"] = list(value) if isinstance(value, tuple) else value
        return found


def configurable(target: Target) -> Target:
    """Registers a function, or a class of Settings, with gin; its arguments are checked (pydantic, strict).

    gin alone passes any type. A class keeps its name in snake case, and is returned as it is.

    Raises (when called by gin):
      ValueError: One line, "sgd.momentum = 2: Input should be less than 1".
    """
    is_class = isinstance(target, type)
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", target.__name__).lower()
    check = pydantic.validate_call(config={"strict": True, "arbitrary_types_allowed": True})
    checked = target if is_class else check(target)

    @functools.wraps(target, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return checked(*args, **kwargs)
        except pydantic.ValidationError as error:
            # gin rebuilds exceptions to add to their message, and cannot rebuild this one.
            raise ValueError(_describe(name, error)) from error

    # gin reads the parameters' names from the signature and does not look behind wrappers.
    vars(call)["__signature__"] = inspect.signature(target)
    call.__name__ = call.__qualname__ = name
    registered = gin.configurable(call)
    if not is_class:
        return registered
    settings: Any = target
    settings.gin_name, settings.from_gin = name, staticmethod(registered)
    return target


def _describe(name: str, error: pydantic.ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] == "value_error":  # raised by the target's own body: a nested configurable has described it
        return str(first["msg"]).removeprefix("Value error, ")
    argument = first["loc"][0] if first["loc"] else "?"
    if first["type"].startswith("missing"):
        return f"{name}.{argument} has no value; bind it"
    value = repr(first["input"])
    return f"{name}.{argument} = {value if len(value) < 80 else value[:77] + '...'}: {first['msg']}"
