"""Shows sweeps in the browser: python -m scripts.sweep.dashboard --storage=sqlite:///FILE; see `make dashboard`.

optuna-dashboard can delete studies and trials, so it gets a connection that only reads, or of a journal a copy.
"""

import pathlib
import shutil
import subprocess
import tempfile

import sqlalchemy
from absl import flags

from data import command_line
from data.errors import InputError
from scripts.sweep.queue import without_password
from scripts.sweep.training import die_with_parent
from trainers.checkout import ROOT

_PROGRAM = ROOT / ".venv" / "dashboard" / "bin" / "optuna-dashboard"


def _define_flags() -> None:
    flags.DEFINE_string("storage", None, "Of the sweeps, as scripts.sweep takes it.", required=True)
    flags.DEFINE_integer("port", 8080, "Of the pages, on this machine alone.")


def read_only(url: str, folder: pathlib.Path) -> str:
    """What optuna-dashboard is given for a sweep's storage.

    Args:
      url: As scripts.sweep takes it.
      folder: Where a copy may go.

    Raises:
      InputError: It is no storage, or its file is not there.
    """
    without_password(url)
    parsed = sqlalchemy.engine.make_url(url)
    kind = parsed.get_backend_name()
    if kind in ("sqlite", "journal"):
        file = pathlib.Path(parsed.database or "").absolute()
        if not file.is_file():
            raise InputError(f"{file}: no such file; run a sweep first, or name its storage with STORAGE=")
        if kind == "journal":
            return str(shutil.copy(file, folder))
        return f"sqlite:///file:{file}?mode=ro&uri=true"
    if kind != "postgresql":
        raise InputError(f"--storage: no way is known to read {kind} only; give a sqlite, postgresql or journal URL")
    parsed = parsed.update_query_dict({"options": "-c default_transaction_read_only=on"})
    return parsed.render_as_string(hide_password=False)


def main() -> int:
    """Serves the pages until Ctrl-C.

    Raises:
      InputError: The user has to mend something.
    """
    if not _PROGRAM.exists():
        raise InputError(f"{_PROGRAM}: not there; `make dashboard` installs it")
    with tempfile.TemporaryDirectory() as folder:
        storage = read_only(flags.FLAGS.storage, pathlib.Path(folder))
        command = [str(_PROGRAM), storage, f"--port={flags.FLAGS.port}", "--host=127.0.0.1"]
        try:
            return subprocess.run(command, preexec_fn=die_with_parent).returncode
        except KeyboardInterrupt:
            return 0


if __name__ == "__main__":
    _define_flags()
    command_line.run("dashboard", "scripts.sweep.dashboard", main)
