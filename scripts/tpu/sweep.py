"""The points of a grid, one TPU each."""

import concurrent.futures
import contextlib
import os
import signal
from collections.abc import Callable

from scripts.tpu.lifecycle import Launch
from trainers.exit_status import ExitStatus

_NOT_BEGUN = "not begun"


def was_stopped(outcomes: dict[str, str]) -> bool:
    """Whether a signal has ended the sweep."""
    interrupted = f"exit status {int(ExitStatus.INTERRUPTED)}"
    return any(outcome == interrupted or outcome.endswith(_NOT_BEGUN) for outcome in outcomes.values())


def run_all(launches: list[Launch], parallel: int, show: Callable[[str], None]) -> dict[str, str]:
    """Runs launches, so many at a time; in words how each ended, by its name: "exit status 0" or what went wrong.

    A signal ends those at work in order, which deletes what they created, and the rest is not begun.
    """
    outcomes: dict[str, str] = {}
    stopped: list[str] = []

    def stop(number, frame):
        del frame
        stopped.append(signal.Signals(number).name)
        for launch in launches:
            launch.stop(stopped[-1])
        with contextlib.suppress(OSError):  # not print, which the signal may have interrupted
            os.write(2, f"sweep: {stopped[-1]}: ending what was begun\n".encode())

    def one(launch: Launch) -> None:
        name = launch.state.request.name
        if stopped:
            outcomes[name] = f"{stopped[0]}; {_NOT_BEGUN}"
            return
        show(f"sweep: {name} is at work")
        try:
            outcomes[name] = f"exit status {int(launch.run())}"
        except Exception as error:  # whatever it is: the other points, and what is left of this one, are still told of
            outcomes[name] = str(error) or repr(error)
        show(f"sweep: {name}: {outcomes[name]}")

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
            list(pool.map(one, launches))
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return outcomes
