"""Trains from a bundle: python -m scripts.exported.run BUNDLE [--model_dir=DIR]. Needs jax, numpy and flatbuffers.

The device is JAX's first; JAX_PLATFORMS=cpu asks for another. The same command resumes a run. Exit status: 0 done,
1 failed, 2 bad input, 3 diverged, 4 interrupted (repeat it to resume).
"""

import argparse
import os
import pathlib
import shlex
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from data.errors import InputError
from scripts.exported.bundle import Bundle
from trainers.exit_status import ExitStatus
from trainers.running.held import HeldDirectory, describe_device
from trainers.running.interruption import Interrupted, Interruption

_PROGRAM = "scripts.exported.run"
_FLAG = "--xla_gpu_deterministic_ops"


class ExportedDirectory(HeldDirectory):
    """The directory of a run of one bundle."""

    packages = ("jax", "jaxlib", "numpy")

    def _refuse_another_run(self, record: dict, fields: dict) -> None:
        if record.get("bundle") != fields["bundle"] and (record or any(self.path.glob("ckpt-*"))):
            raise InputError(f"{self.path} holds another run, not one of this bundle; choose another --model_dir")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"{_PROGRAM}: {message}; see python -m {_PROGRAM} --help", file=sys.stderr)
        sys.exit(ExitStatus.BAD_INPUT)


def _arguments() -> argparse.Namespace:
    parser = _Parser(prog=f"python -m {_PROGRAM}", description=__doc__, allow_abbrev=False)
    parser.add_argument("bundle", type=pathlib.Path, help="The folder that `make export` wrote.")
    parser.add_argument("--model_dir", type=pathlib.Path, help="The run's files; runs/exported/BUNDLE if not given.")
    parser.add_argument("--seconds", type=float, help="End after so many of training, at an evaluation.")
    return parser.parse_args()


def main() -> ExitStatus:
    """Runs what the arguments say and returns the exit status."""
    arguments = _arguments()
    if _FLAG not in os.environ.get("XLA_FLAGS", ""):  # a run that is resumed has to give the same bits
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAG}=true".strip()
    interruption = Interruption(_PROGRAM)
    interruption.install()
    try:
        return _run(arguments, interruption)
    except InputError as error:
        print(f"{_PROGRAM}: {error}", file=sys.stderr)
        return ExitStatus.BAD_INPUT
    except RuntimeError as error:  # of the device: too little memory, say
        print(f"{_PROGRAM}: the device failed: {_first_line(error)}", file=sys.stderr)
        return ExitStatus.FAILED
    except OSError as error:
        print(f"{_PROGRAM}: {error.filename or arguments.bundle}: {error.strerror}; mend that", file=sys.stderr)
        return ExitStatus.FAILED
    finally:
        interruption.close()


def _run(arguments: argparse.Namespace, interruption: Interruption) -> ExitStatus:
    if arguments.seconds is not None and not arguments.seconds > 0:
        raise InputError(f"--seconds={arguments.seconds:g}: has to be more than 0")
    bundle = Bundle(arguments.bundle)
    path = arguments.model_dir or pathlib.Path("runs/exported") / arguments.bundle.resolve().name
    try:
        from scripts.exported import training  # JAX takes seconds to import: a slip should not wait for it
    except ImportError as error:
        raise InputError(f"{error.name} is not installed; see requirements/exported.txt") from error
    if wrong := training.unsupported(bundle):
        raise InputError(f"{arguments.bundle}: {wrong}; set JAX_PLATFORMS, or export it again")
    command = f"{bundle.manifest['command']} && {shlex.join(['python', '-m', _PROGRAM, *sys.argv[1:]])}"
    fields = bundle.manifest["run"] | {"command": command, "bundle": bundle.digest}
    fields |= {"device": training.describe_device(describe_device(None))}
    directory = ExportedDirectory(str(path), bundle.manifest["config"], fields)
    # The code that trains is the bundle's, whatever checkout starts it.
    directory.record |= {name: bundle.manifest[name] for name in ("commit", "dirty")}
    say = _Log(directory.path / "train.log")
    try:
        enough = directory.record["steps"] if arguments.seconds else bundle.manifest["settings"]["train_steps"]
        if directory.is_finished(enough):
            say(f"{path}: done already ({directory.record['steps']} steps)")
            return ExitStatus.DONE
        return _train(training.Training(bundle, directory, interruption, say), directory, interruption, say, arguments)
    finally:
        directory.close()


def _train(
    run: Any,
    directory: ExportedDirectory,
    interruption: Interruption,
    say: Callable[[str], None],
    arguments: argparse.Namespace,
) -> ExitStatus:
    from scripts.exported.training import Diverged

    def last_words(name: str) -> None:
        directory.update("interrupted", run.saved)
        text = f"the last checkpoint is of step {run.saved}, the same command goes on from there"
        print(f"{_PROGRAM}: {name}; {text}", file=sys.stderr, flush=True)

    directory.begin(run.step)
    say(f"{'resuming from' if run.step else 'starting at'} step {run.step} on {directory.record['device']}")
    interruption.guard(last_words)
    status = "failed"
    try:
        try:
            run.run(arguments.seconds)
        except Interrupted:
            run.save()
            raise
        status = "ok"
        say(f"done: {directory.path / 'metrics.csv'}")
    except Diverged as error:
        status = "diverged"
        say(f"diverged: {error}; the last checkpoint is of step {run.saved}")
    except Interrupted as error:
        status = "interrupted"
        say(f"{error} at step {run.saved}; the same command goes on from there")
    finally:
        directory.update(status, run.step)
    return {"ok": ExitStatus.DONE, "diverged": ExitStatus.DIVERGED, "interrupted": ExitStatus.INTERRUPTED}[status]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:400]


class _Log:
    """Writes lines with the time to standard error and, appending, to a file."""

    def __init__(self, file: pathlib.Path):
        self._file = file

    def __call__(self, text: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {text}"
        print(line, file=sys.stderr, flush=True)
        with open(self._file, "a") as stream:
            stream.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
