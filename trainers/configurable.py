"""gin configurables that check what they are given."""

import inspect
from collections.abc import Callable
from typing import TypeVar

import gin
import pydantic

Function = TypeVar("Function", bound=Callable)


def configurable(function: Function) -> Function:
    """Registers a function with gin, its arguments checked against their annotations (pydantic, strict) at each call.

    gin alone passes any type.

    Raises (when called):
      ValueError: One line, "sgd.momentum = 2: Input should be less than 1".
    """
    checked = pydantic.validate_call(config={"strict": True, "arbitrary_types_allowed": True})(function)

    def call(*args, **kwargs):
        try:
            return checked(*args, **kwargs)
        except pydantic.ValidationError as error:
            # gin rebuilds exceptions to add to their message, and cannot rebuild this one.
            raise ValueError(_describe(function.__name__, error)) from error

    # gin reads the parameters' names from the signature and does not look behind wrappers.
    call.__name__ = function.__name__
    call.__qualname__ = function.__qualname__
    call.__module__ = function.__module__
    call.__doc__ = function.__doc__
    call.__signature__ = inspect.signature(function)
    return gin.configurable(call)


def _describe(name: str, error: pydantic.ValidationError) -> str:
    first = error.errors()[0]
    argument = first["loc"][0] if first["loc"] else "?"
    if first["type"].startswith("missing"):
        return f"{name}.{argument} has no value; bind it"
    if first["type"] == "value_error":  # raised by the function's own body: a nested configurable has described it
        return str(first["msg"]).removeprefix("Value error, ")
    value = repr(first["input"])
    return f"{name}.{argument} = {value if len(value) < 80 else value[:77] + '...'}: {first['msg']}"
