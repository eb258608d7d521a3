"""The workers of a sweep: each claims what waits, runs it and records how it ended."""

import sys
import threading

from data import command_line
from scripts.sweep import grid, queue
from scripts.sweep.training import Ended, Pace, Training, Trainings, in_threads, stop_on_signals
from trainers.exit_status import ExitStatus


def work(study: queue.Queue, trials: dict[grid.Point, Training], runner: Trainings, workers: int) -> ExitStatus:
    """Has the workers share the points until none waits; the exit status."""
    bad: list[Ended] = []
    stopping, pace = threading.Event(), Pace(workers)

    def stop() -> None:
        stopping.set()
        runner.stop()

    def take_turns() -> None:
        while not stopping.is_set():
            claimed = study.claim(trials)
            if claimed is None:
                if study.is_finished(trials):
                    return
                stopping.wait(queue.POLL_SECONDS)
                continue
            print(f"sweep: {claimed.point.name} started", flush=True)
            with claimed:
                ended = runner.run(trials[claimed.point])
                is_ours = claimed.tell(ended)
            if ended.status == ExitStatus.INTERRUPTED and not stopping.is_set():
                stop()
            value = "" if ended.selection is None else f" {ended.selection:.4f} on selection"
            problem = f": {ended.message}" if ended.status in (ExitStatus.FAILED, ExitStatus.BAD_INPUT) else ""
            line = f"sweep: {claimed.point.name} {ended.status.name.lower()}{value}{problem}"
            if not is_ours:
                line += "; another worker had taken it for dead and claimed it again: one result counts"
            if ended.status not in (ExitStatus.BAD_INPUT, ExitStatus.INTERRUPTED):
                line += f"; {pace.after(ended, study.left(trials))}"
            command_line.say(line, sys.stdout)
            if ended.status == ExitStatus.BAD_INPUT and is_ours:
                bad.append(ended)
                stop()

    stop_on_signals(stop)
    in_threads(take_turns, workers, stop)
    if bad:
        return ExitStatus.BAD_INPUT
    if stopping.is_set():
        return ExitStatus.INTERRUPTED
    return ExitStatus.FAILED if study.has_failed(trials) else ExitStatus.DONE
