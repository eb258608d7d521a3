"""The points of a grid, one TPU each."""

import concurrent.futures
import contextlib
import dataclasses
import os
import signal
import types
from collections.abc import Callable

from scripts.tpu.lifecycle import Launch
from trainers.exit_status import ExitStatus


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a launch ended.

    Attributes:
      text: "exit status 0", or what went wrong.
      was_stopped: Whether a signal ended it, or kept it from beginning.
      is_left: Whether something may still be there at Google.
    """

    text: str
    was_stopped: bool = False
    is_left: bool = False


def run_all(launches: list[Launch], parallel: int, show: Callable[[str], None]) -> dict[str, Outcome]:
    """Runs launches, so many at a time; how each ended, by its name.

    A signal ends those at work in order, which deletes what they created, and the rest is not begun.
    """
    outcomes: dict[str, Outcome] = {}
    stopped: list[str] = []

    def stop(number: int, frame: types.FrameType | None) -> None:
        del frame
        stopped.append(signal.Signals(number).name)
        for launch in launches:
            launch.stop(stopped[-1])
        with contextlib.suppress(OSError):  # not print, which the signal may have interrupted
            os.write(2, f"sweep: {stopped[-1]}: ending what was begun\n".encode())

    def one(launch: Launch) -> None:
        name = launch.state.request.name
        if stopped:
            outcomes[name] = Outcome(f"{stopped[0]}; not begun", was_stopped=True)
            return
        show(f"sweep: {name} is at work")
        try:
            status = launch.run()
            text, was_stopped = f"exit status {int(status)}", status == ExitStatus.INTERRUPTED
        except Exception as error:  # whatever it is: the other points, and what is left of this one, are still told of
            text, was_stopped = str(error) or repr(error), False
        outcomes[name] = Outcome(text, was_stopped, launch.state.phase == "left")
        show(f"sweep: {name}: {outcomes[name].text}")

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
            list(pool.map(one, launches))
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return outcomes
