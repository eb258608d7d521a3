"""Runs the study, as far as it has not been run: python -m scripts.study (`make study`).

Group by group: the grid of every tuned arm, wider where an optimum lies on its edge; the best two at full length, where
tuning runs are shorter; fresh seeds at the chosen points. What runs.csv has is not run again. Then study.md.

Exit status: 0 done, 1 a run failed, 2 bad configuration or missing data, 4 interrupted or out of time (it resumes).
"""

import pathlib
import time
from collections.abc import Iterator

from absl import flags

from data import command_line, environment
from data.errors import InputError
from scripts.study import choice, plan, report
from scripts.study.arm import CHECKED, GRID, RUNS
from scripts.sweep.training import Ended, Pace, Training, Trainings, run_all, stop_on_signals
from trainers.exit_status import ExitStatus

_COMMAND = "python -m scripts.study"


def _define_flags() -> None:
    flags.DEFINE_integer("workers", 2, "Runs at a time.", lower_bound=1)
    flags.DEFINE_float("hours", None, "Begin no run after so many hours.", lower_bound=0)
    flags.DEFINE_list("groups", plan.groups(), "Which groups of arms, in this order.")
    flags.DEFINE_string("runs", RUNS, "Where the runs' directories go.")
    flags.DEFINE_string("output", "results/laptop", "Where runs.csv, curves.csv, logs/, study.md and the figures go.")
    flags.DEFINE_bool("again", False, "Run again what ran in a modified clone, or with other bindings than the plan's.")
    flags.DEFINE_bool("report", False, "Run nothing: write study.md and the figures from what is there.")


class Study:
    """What is run, and what is known from what was run.

    Args:
      output: The results directory.
      runner: Runs and collects.
      workers: Runs at a time.
      until: time.monotonic() after which none begins; None: no limit.
      again: Whether what ran in a modified clone, or with other bindings, is run again.
    """

    def __init__(self, output: pathlib.Path, runner: Trainings, workers: int, until: float | None, again: bool):
        self._output, self._runner, self._workers, self._until = output, runner, workers, until
        self._again = again
        self.status = ExitStatus.DONE

    def run(self, groups: list[str]) -> bool:
        """Whether everything of these groups has been run.

        Raises:
          InputError: An arm takes the point, or the trials, of one that has not been tuned.
        """
        return all(self._run_group(group) for group in groups)

    def _run_group(self, group: str) -> bool:
        arms = plan.arms_of(group)
        for arm in (arm for arm in arms if arm.like or arm.trials_of):
            model, takes = plan.model_of(arm), "point" if arm.like else "trials"
            try:
                choice.point_of(model, self._finished(), strict=True)
            except KeyError:
                raise InputError(
                    f"--groups={group}: {arm.name} takes the {takes} of {model.name}: run that first"
                ) from None
        tuned, grid = [arm for arm in arms if arm.is_tuned], GRID
        while True:
            if not self._run_all([arm.tuning(point) for arm in tuned for point in plan.points(arm, grid)]):
                return False
            wider = choice.wider(tuned, grid, self._finished())
            if wider == grid:
                break
            print(f"study: {group}: an optimum lies on the grid's edge; wider for all", flush=True)
            grid = wider
        finished = self._finished()
        checks = [a.check(p) for a in tuned if a.checks for p in choice.ranking(a, grid, finished)[:CHECKED]]
        if not self._run_all(checks):
            return False
        finished = self._finished()
        return self._run_all([training for arm in arms for training in choice.final_runs(arm, finished)])

    def _finished(self) -> dict[str, choice.Finished]:
        return choice.read(self._output)

    def _run_all(self, trainings: list[Training]) -> bool:
        finished = self._finished()
        waiting = choice.missing(trainings, finished, self._output, self._again)
        if not waiting:
            return True
        for training in waiting:
            if training.name in finished:
                self._runner.forget(training)
        print(f"study: {len(waiting)} runs: {waiting[0].name} … {waiting[-1].name}", flush=True)
        self._left, self._pace = len(waiting), Pace(self._workers)
        return run_all(self._in_time(waiting), self._runner, self._workers, self._done) and self.status == 0

    def _in_time(self, waiting: list[Training]) -> Iterator[Training]:
        for training in waiting:
            if self._until is not None and time.monotonic() > self._until:
                self.status = ExitStatus.INTERRUPTED
                return
            yield training

    def _done(self, training: Training, ended: Ended) -> None:
        value = "" if ended.selection is None else f" {ended.selection:.4f} on selection"
        line = f"study: {time.strftime('%H:%M:%S')} {training.name} {ended.status.name.lower()}{value}"
        if ended.status in (ExitStatus.FAILED, ExitStatus.BAD_INPUT):
            line += f": {ended.message}"
        if ended.status in (ExitStatus.DONE, ExitStatus.DIVERGED):
            self._left -= 1
            line += f"; {self._pace.after(ended, self._left)}"
        print(line, flush=True)
        if ended.status not in (ExitStatus.DONE, ExitStatus.DIVERGED) and self.status == ExitStatus.DONE:
            self.status = ended.status


def main() -> int:
    """Runs what the flags say and returns the exit status.

    Raises:
      InputError: The user has to mend something.
    """
    environment.hide_gpus()
    values = flags.FLAGS
    output = pathlib.Path(values.output)
    unknown = set(values.groups) - set(plan.groups())
    if unknown:
        raise InputError(f"--groups={unknown.pop()}: no such group; there are {', '.join(plan.groups())}")
    status = ExitStatus.DONE
    if not values.report:
        runner = Trainings(pathlib.Path(values.runs), output, 1, _COMMAND)
        stop_on_signals(runner.stop)
        until = None if values.hours is None else time.monotonic() + 3600 * values.hours
        study = Study(output, runner, values.workers, until, values.again)
        study.run(values.groups)
        status = study.status
    print("study:", *report.write(output, f"{_COMMAND} --report"))
    return status


if __name__ == "__main__":
    _define_flags()
    command_line.run("study", "scripts.study", main)
