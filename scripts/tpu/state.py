"""runs/tpu/NAME.json: what another terminal, or a later command, has to know of a launch. Written before anything is
created, so that whatever exists at Google is named in a file here."""

import contextlib
import dataclasses
import datetime
import fcntl
import json
import pathlib
import subprocess
from collections.abc import Iterator

from data.errors import InputError, RunError
from scripts.tpu.machine import Machine
from scripts.tpu.request import Request
from trainers.running.atomic import write_atomically


@dataclasses.dataclass
class State:
    """A launch.

    Attributes:
      request: What was asked for.
      phase: "new", "creating", "setting up", "running", "deleting", "deleted", or "left": not deleted, though it
        should be.
      restarts: After preemptions.
      outcome: What came out, in words; empty before the end.
      process, process_start: The launcher's process number, and when it began: numbers are used again.
      started: UTC, ISO 8601.
      results: Where its rows are to go; empty: nowhere.
      results_phase: As what: "final", "ablation" or "tune".
    """

    request: Request
    phase: str = "new"
    restarts: int = 0
    outcome: str = ""
    process: int = 0
    process_start: str = ""
    started: str = ""
    results: str = ""
    results_phase: str = "final"

    @property
    def may_exist(self) -> bool:
        """Whether something of it may be at Google."""
        return self.phase not in ("new", "deleted")

    @property
    def launcher_is_alive(self) -> bool:
        """Whether the process that launched it is still at work here."""
        return self.process > 0 and process_start(self.process) == self.process_start

    def deadline(self) -> datetime.datetime:
        """When max_hours are over."""
        return datetime.datetime.fromisoformat(self.started) + datetime.timedelta(hours=self.request.max_hours)


class StateFile:
    """The state files of a folder."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder

    def path(self, name: str) -> pathlib.Path:
        """Of a launch."""
        return self.folder / f"{name}.json"

    def read(self, name: str) -> State:
        """Raises InputError where there is none, or it is broken."""
        path = self.path(name)
        if not path.exists():
            known = ", ".join(sorted(file.stem for file in self.folder.glob("*.json"))) or "none"
            raise InputError(f"{path}: no such launch; there are: {known}")
        try:
            content = json.loads(path.read_text())
            own = content["request"]
            own["machine"], own["bindings"] = Machine(**own["machine"]), tuple(own["bindings"])
            return State(**content | {"request": Request(**own)})
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: not a launch ({error!r}); look for its TPU yourself: gcloud compute tpus tpu-vm list"
            ) from error

    def write(self, state: State) -> None:
        """Replaces the file as a whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path(state.request.name), json.dumps(dataclasses.asdict(state), indent=2) + "\n")

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keeps a second launcher from the same name.

        Raises:
          RunError: There is one at work.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / f"{name}.lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(f"{name}: another launcher is at work on it here; nothing was created") from None
            yield

    def ask_to_stop(self, name: str) -> None:
        """Leaves word for the launcher that is at work."""
        self._word(name).touch()

    def is_asked_to_stop(self, name: str) -> bool:
        """Whether there is word."""
        return self._word(name).exists()

    def forget_to_stop(self, name: str) -> None:
        """Takes the word away."""
        self._word(name).unlink(missing_ok=True)

    def _word(self, name: str) -> pathlib.Path:
        return self.folder / f"{name}.stop"

    def names(self) -> list[str]:
        """Of every launch."""
        return sorted(path.stem for path in self.folder.glob("*.json"))


def process_start(process: int) -> str:
    """When a process began, in the kernel's ticks or as `ps` says it; "none" where there is no such process."""
    if not pathlib.Path("/proc/self/stat").exists():
        done = subprocess.run(["ps", "-o", "lstart=", "-p", str(process)], capture_output=True, text=True)
        return done.stdout.strip() or "none"
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return "none"
