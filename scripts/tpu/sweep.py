"""A grid of learning rates, one TPU a point."""

import pathlib
import signal
import subprocess
import sys
import threading
import time
from typing import Annotated

import gin
from pydantic import Field

from data.errors import InputError
from trainers.configurable import configurable
from trainers.exit_status import ExitStatus

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
Rate = Annotated[float, Field(gt=0)]


@configurable
def grid(eta0: tuple[Rate, ...]) -> list[float]:
    """The points of a sweep: values of η0."""
    return list(eta0)


def load_grid(gin_file: str) -> list[float]:
    """The points of a grid file. Raises InputError: one line with the file."""
    with gin.unlock_config():
        gin.clear_config()
        try:
            gin.parse_config_file(gin_file)
            return grid()
        except (ValueError, TypeError, SyntaxError, OSError, NameError, AttributeError, RuntimeError) as error:
            raise InputError(f"{gin_file}: {str(error).strip().splitlines()[0][:300]}") from error
        finally:
            gin.clear_config()


def run_all(commands: dict[str, list[str]], parallel: int, folder: pathlib.Path) -> dict[str, int]:
    """Runs launches, so many at a time; the exit status of each by its name.

    A signal goes on to those at work, which delete what they created, and the rest is not begun: status 4.

    Args:
      commands: By the launches' names.
      parallel: At a time.
      folder: Each launch's output goes to NAME.out there.
    """
    waiting, running, statuses = list(commands), {}, {}
    stopped = threading.Event()

    def stop(number, frame):
        del frame
        stopped.set()
        for process in running.values():
            process.send_signal(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, stop) for number in numbers}
    folder.mkdir(parents=True, exist_ok=True)
    try:
        while waiting or running:
            while waiting and len(running) < parallel and not stopped.is_set():
                name = waiting.pop(0)
                with open(folder / f"{name}.out", "ab") as output:
                    running[name] = subprocess.Popen(
                        commands[name],
                        cwd=ROOT,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                print(f"sweep: {name} is at work; its output: {folder / name}.out", flush=True)
            if stopped.is_set():
                statuses |= {name: int(ExitStatus.INTERRUPTED) for name in waiting}
                waiting.clear()
            for name, process in list(running.items()):
                if process.poll() is not None:
                    del running[name]
                    statuses[name] = process.returncode
                    last = ((folder / f"{name}.out").read_text(errors="replace").strip().splitlines() or ["?"])[-1]
                    print(f"sweep: {name} ended with status {process.returncode}: {last}", flush=True)
            time.sleep(0.2)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return statuses


def launch_command(arguments: list[str]) -> list[str]:
    """One launch as a process of its own."""
    return [sys.executable, "-m", "scripts.launch_tpu", "launch", *arguments]
