"""The points of a grid, one TPU each."""

import concurrent.futures
import signal

from data.errors import RunError
from scripts.tpu.gcloud import GcloudError
from scripts.tpu.lifecycle import Launch


def run_all(launches: list[Launch], parallel: int) -> dict[str, str]:
    """Runs launches, so many at a time; in words how each ended, by its name: "exit status 0" or what went wrong.

    A signal ends those at work in order, which deletes what they created, and the rest is not begun.
    """
    outcomes: dict[str, str] = {}
    stopped: list[str] = []

    def stop(number, frame):
        del frame
        stopped.append(signal.Signals(number).name)
        print(f"sweep: {stopped[-1]}: ending what was begun", flush=True)
        for launch in launches:
            launch.stop(stopped[-1])

    def one(launch: Launch) -> None:
        name = launch.state.request.name
        if stopped:
            outcomes[name] = f"{stopped[0]}; not begun"
            return
        print(f"sweep: {name} is at work", flush=True)
        try:
            outcomes[name] = f"exit status {int(launch.run())}"
        except (RunError, GcloudError) as error:
            outcomes[name] = str(error)
        print(f"sweep: {name}: {outcomes[name]}", flush=True)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
            list(pool.map(one, launches))
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return outcomes
