"""Kills, faults and bad input at random, for as long as one gives it: python -m scripts.soak --minutes=10.

Prints a table: what was tried how often, and what was lost. Exit status: 0 nothing, 1 something; its files are kept.
"""

import collections
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable
from typing import Self

from absl import app, flags

from data import command_line, environment
from scripts.soak import bad_gin, engines, faults, kills, sweeps
from scripts.soak.forked import Run, arguments
from trainers.checkout import ROOT, describe_commit
from trainers.running.atomic import write_atomically

RUNS = ("bert_nigt", "resnet_nigt", "bert_adam", "resnet_sgd")
KILLS = 20  # in one run
KILLED = faults.SETTINGS | {"train_steps": 600}  # long enough for so many
SLIPS = 100  # in the gin files, a round


def define_flags() -> None:
    """Defines the options; not at import, which each fork does again beside trainers.train's own flags."""
    flags.DEFINE_float("minutes", 10.0, "No new round begins after so long.", lower_bound=0)
    flags.DEFINE_integer("seed", None, "Of everything random; drawn, and shown, if not given.", lower_bound=0)
    flags.DEFINE_string("data_dir", ".data/laptop", "The built laptop data.")
    flags.DEFINE_string("output", None, "A Markdown file for the table besides.")


class Soak:
    """What has been tried so far.

    Attributes:
      tried: How often, by what.
      losses: One line each.
    """

    def __init__(self, folder: pathlib.Path, data: pathlib.Path, seed: int):
        self._folder, self._data, self._generator = folder, data, random.Random(seed)
        self._references: set[pathlib.Path] = set()
        self.tried: collections.Counter[str] = collections.Counter()
        self.losses: list[str] = []

    def kill(self, name: str, count: int) -> None:
        """Kills a run so often and compares it with the unbroken one."""
        directory = self._folder / f"kills-{name}-{self.tried['runs killed to pieces']}"
        argv = arguments(name, directory, self._data, **KILLED)
        with self._judging(f"{name} after kills", directory):
            reference = self._reference(name, KILLED)
            done = kills.kill_and_resume(
                argv, directory.with_suffix(".out"), count, KILLED["train_steps"], faults.INTERVAL, self._generator
            )
            self.tried["runs killed to pieces"] += 1
            most = f"most kills in one run of {name}"
            self.tried[most] = max(self.tried[most], sum(done.by_kind.values()))
            for kind, number in done.by_kind.items():
                self.tried[f"kills while {kind}"] += number
            found = [f"exit status {done.status}"] if done.status else kills.differences(reference, directory)
            assert not found, f"{found[:3]}"

    def fault(self, fault: Callable[[faults.Case], None]) -> None:
        """Tries one of scripts.soak.faults."""
        folder = self._folder / f"{fault.__name__}-{self.tried[f'fault: {fault.__name__}']}"
        folder.mkdir()
        with self._judging(fault.__name__, folder):
            self.tried[f"fault: {fault.__name__}"] += 1
            fault(faults.Case(folder, self._data, self._reference("bert_nigt", faults.SETTINGS), self._generator))

    def slips(self, count: int) -> None:
        """Slips in the gin files."""
        for _ in range(count):
            original = bad_gin.whole_text(self._generator.choice(bad_gin.FILES))
            kind, name, text = bad_gin.slip(original, self._generator)
            file = self._folder / "slip.gin"
            with self._judging(f"slip: {kind} {name}", file):
                outcome = bad_gin.judge(kind, name, text, original, file)
                self.tried[f"gin files with a slip, {outcome}"] += 1

    def table(self, seconds: float, seed: int) -> str:
        """Markdown."""
        rows = [f"| {what} | {count} |" for what, count in sorted(self.tried.items())]
        return "\n".join(
            [
                f"`make soak`, seed {seed}, {seconds / 60:.0f} minutes, {describe_commit()}. "
                "Every broken run is compared with the unbroken one: "
                "bit-identical variables, best checkpoint and metrics.",
                "",
                *("| tried | times |", "| --- | --- |"),
                *rows,
                f"| **losses** | **{len(self.losses)}** |",
                "",
            ]
        )

    def _reference(self, name: str, settings: dict) -> pathlib.Path:
        """The directory of the unbroken run."""
        directory = self._folder / f"reference-{name}-{settings['train_steps']}"
        if directory not in self._references:
            run = Run(arguments(name, directory, self._data, **settings), directory.with_suffix(".out"))
            assert run.wait(900) == 0, run.text()[-1000:]
            self._references.add(directory)
        return directory

    def _judging(self, what: str, files: pathlib.Path) -> "_Judging":
        return _Judging(self, what, files)


class _Judging:
    """Notes a loss where its body raises; removes its files where it does not."""

    def __init__(self, soak: Soak, what: str, files: pathlib.Path):
        self._soak, self._what, self._files = soak, what, files

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> bool:
        if error is None:
            shutil.rmtree(self._files, ignore_errors=True)
            return False
        if not isinstance(error, Exception):
            return False
        self._soak.losses.append(f"{self._what}: {str(error)[:300]}")
        print(f"soak: LOSS: {self._what}; its files are in {self._files}", file=sys.stderr, flush=True)
        traceback.print_exception(error)
        return True


def main(argv: list[str]) -> int:
    """Runs what the flags say and returns the exit status."""
    del argv
    environment.hide_gpus()
    values = flags.FLAGS
    os.chdir(ROOT)
    seed = random.SystemRandom().randrange(2**31) if values.seed is None else values.seed
    print(f"soak: seed {seed}; {values.minutes:g} minutes and what the last round takes longer", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="soak-"))
    soak, begun = Soak(folder, pathlib.Path(values.data_dir).resolve(), seed), time.monotonic()
    generator = random.Random(seed + 1)
    rounds: list[tuple] = [(soak.kill, name, KILLS) for name in RUNS] + [
        (soak.fault, fault) for fault in faults.FAULTS + sweeps.FAULTS + engines.FAULTS
    ]
    rounds += [(soak.slips, SLIPS)] * 3
    waiting: list = []
    while time.monotonic() - begun < 60 * values.minutes:
        waiting = waiting or generator.sample(rounds, len(rounds))
        action, *parameters = waiting.pop()
        name = getattr(parameters[0], "__name__", parameters[0])
        print(f"soak: {(time.monotonic() - begun) / 60:.1f} min: {action.__name__} {name}", flush=True)
        action(*parameters)
    table = soak.table(time.monotonic() - begun, seed)
    print(table)
    if values.output:
        pathlib.Path(values.output).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(pathlib.Path(values.output), table)
    if soak.losses:
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    define_flags()
    app.run(main, flags_parser=command_line.parser("soak", "scripts.soak"))
