"""A framework that is not installed gets one line."""


def explained(error: ModuleNotFoundError, package: str, extra: str) -> ModuleNotFoundError:
    """The error to raise where importing one of nigt's packages found a module missing: what to install.

    Args:
      package: Of nigt, "nigt.torch".
      extra: That brings the module ("torch" in pyproject.toml).
    """
    name = (error.name or "nigt").split(".")[0]
    if name == "nigt":
        return error
    message = f"{package} needs {name}: install the extra [{extra}], in a clone pip install '.[{extra}]'"
    return ModuleNotFoundError(message, name=name)
