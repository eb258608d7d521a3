"""The study that a GPU is for, ten minutes at a time: python -m scripts.exported.gpu_study (`make gpu-study`).

Goes on with the first piece of scripts/exported/gpu_plan.py that is not done, and rewrites results/gpu/study.md. Where
bundles are missing it exports them first, which needs TensorFlow; the rest needs jax, numpy and flatbuffers alone, so
that bundles can be copied to a machine with a GPU. Exit status: 0 done or to be repeated, 1 a run failed, 2 bad input.
"""

import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from data.errors import InputError, RunError
from scripts.exported import gpu_report
from scripts.exported.bundle import MANIFEST
from scripts.exported.gpu_plan import PIECES, Arm, Piece
from trainers.exit_status import ExitStatus
from trainers.running.atomic import write_atomically

_MARGIN = 40.0  # seconds before the end of a piece: for a signal, a checkpoint and what is copied afterwards


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """The options, of this process if not given."""
    parser = argparse.ArgumentParser(prog="python -m scripts.exported.gpu_study", description=__doc__)
    parser.add_argument("--bundles", type=pathlib.Path, default="runs/gpu/bundles", help="Where the bundles are.")
    parser.add_argument("--runs", type=pathlib.Path, default="runs/gpu/runs", help="Where the runs' files go.")
    parser.add_argument("--output", type=pathlib.Path, default="results/gpu", help="Where study.md goes.")
    parser.add_argument("--minutes", type=float, default=10.0, help="Of this piece.")
    parser.add_argument("--python", default=sys.executable, help="The one that has jax.")
    parser.add_argument("--data", default=".data", help="Where the text is built, for missing bundles.")
    parser.add_argument("--gin_param", action="append", default=[], help="Further bindings of missing bundles.")
    parser.add_argument("--shorter", type=int, default=1, help="A rehearsal: divides all steps and seconds.")
    parser.add_argument("--pieces", default="", help="Only these, by their numbers: 1,3.")
    parser.add_argument("--export", action="store_true", help="Only export what is missing, of all pieces.")
    parser.add_argument("--report", action="store_true", help="Only write study.md.")
    return parser.parse_args(given)


def export(arms: tuple[Arm, ...], options: argparse.Namespace) -> None:
    """Exports the bundles that are missing.

    Raises:
      RunError: One cannot be exported.
    """
    missing = [arm for arm in arms if not (options.bundles / arm.name / MANIFEST).exists()]
    if any(arm.larger for arm in missing) and not pathlib.Path(options.data, "gpu", "manuals", MANIFEST).exists():
        sizes = ("--manuals", "--seq_length=128", "--max_predictions=20")
        _call("data.laptop", f"--data_dir={options.data}/gpu", *sizes)
    for arm in missing:
        bindings = [*arm.bindings(options.data, options.shorter), *options.gin_param]
        flags = [f"--gin_param={binding}" for binding in bindings]
        flags += [f"--gin_file={arm.gin_file}", f"--seed={arm.seed}"]
        _call("scripts.exported.export", *flags, f"--output={options.bundles / arm.name}")


def _call(module: str, *flags: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, *flags], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RunError((done.stderr.strip().splitlines() or [f"{module}: status {done.returncode}"])[-1])


def _require_gpu(options: argparse.Namespace) -> None:
    """Refuses a device on which the study would take days; a rehearsal runs anywhere."""
    asked = [options.python, "-c", "import jax; print(jax.default_backend())"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    except OSError as error:
        raise InputError(f"--python={options.python}: {error.strerror}; name a Python that has jax") from error
    if found not in ("gpu", "tpu") and options.shorter == 1:
        seen = f"its jax sees only a {found}" if found else "it has no jax that works"
        raise InputError(
            f"--python={options.python}: {seen}; name one whose jax sees a GPU (make gpu-study JAX=python3)"
        )


def run(piece: Piece, options: argparse.Namespace, end: float) -> bool:
    """Goes on with a piece until its end or the time `end` (of time.monotonic()).

    Returns:
      Whether it is done.

    Raises:
      RunError: A run failed.
    """
    if piece.together:
        return _follow({arm: _start(arm, options) for arm in piece.arms}, end)
    for arm in piece.arms:  # what was broken off would have had other seconds
        shutil.rmtree(options.runs / arm.name, ignore_errors=True)
    return all(_follow({arm: _start(arm, options)}, end) for arm in piece.arms)


def _start(arm: Arm, options: argparse.Namespace) -> subprocess.Popen:
    flags = [str(options.bundles / arm.name), f"--model_dir={options.runs / arm.name}"]
    if arm.seconds:
        flags.append(f"--seconds={arm.seconds / options.shorter:g}")
    print(f"gpu-study: {arm.name}", flush=True)
    # Two processes share the GPU's memory, of which JAX would take most for the first.
    shared = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    return subprocess.Popen([options.python, "-m", "scripts.exported.run", *flags], env=os.environ | shared)


def _follow(running: dict[Arm, subprocess.Popen], end: float) -> bool:
    """Waits; at the end, and where this process is interrupted, the runs are stopped as by a signal of their own."""
    try:
        while any(process.poll() is None for process in running.values()) and time.monotonic() < end:
            time.sleep(0.2)
    finally:
        for process in running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        statuses = {arm.name: process.wait() for arm, process in running.items()}
    fine = (ExitStatus.DONE, ExitStatus.DIVERGED, ExitStatus.INTERRUPTED)
    failed = [name for name, status in statuses.items() if status not in fine]
    if failed:
        raise RunError(f"{', '.join(failed)}: failed (status {statuses[failed[0]]})")
    return ExitStatus.INTERRUPTED not in statuses.values()


def main(options: argparse.Namespace) -> None:
    """Does what the options say."""
    if options.minutes <= 0 or options.shorter < 1:
        raise InputError("--minutes and --shorter have to be positive")
    try:
        pieces = [PIECES[int(number) - 1] for number in options.pieces.split(",")] if options.pieces else list(PIECES)
    except (ValueError, IndexError) as error:
        raise InputError(f"--pieces={options.pieces}: numbers from 1 to {len(PIECES)}, with commas") from error
    try:
        if options.export:
            export(tuple(arm for piece in pieces for arm in piece.arms), options)
        elif not options.report:
            go_on(pieces, options)
    finally:
        options.output.mkdir(parents=True, exist_ok=True)
        write_atomically(options.output / "study.md", gpu_report.markdown(pieces, options.runs))
        left = [piece.title for piece in pieces if not gpu_report.is_done(piece, options.runs)]
        print(f"gpu-study: {options.output}/study.md; {f'not done: {left[0]}; repeat the command' if left else 'done'}")


def go_on(pieces: list[Piece], options: argparse.Namespace) -> None:
    """Runs what is not done, until the minutes are over; exporting is not counted.

    Raises:
      RunError: A run failed, or a piece that is not resumed does not fit.
    """
    _require_gpu(options)
    end = None
    for piece in pieces:
        if gpu_report.is_done(piece, options.runs):
            continue
        if end is not None and not piece.together:  # it needs a whole call
            break
        print(f"gpu-study: {piece.title}", flush=True)
        export(piece.arms, options)
        end = end or time.monotonic() + 60 * options.minutes - _MARGIN
        if not run(piece, options, end):
            if not piece.together:
                raise RunError(f"{piece.title}: does not fit {options.minutes:g} minutes; give it more with --minutes")
            break


if __name__ == "__main__":
    try:
        main(arguments())
    except (InputError, RunError) as error:
        print(f"gpu-study: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)
