"""python -m scripts.tpu_check (`make tpu-check`): writes results/tpu_check/v3.csv and v3.md.

With --target=h100 (`make gpu-check`): h100.md, for a GPU.

What has been compiled is kept under runs/tpu_check and not compiled again unless the program changes. Exit status: 0
done, 1 a program does not compile or does not fit (it is named; nothing is written), 2 bad arguments.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from absl import app, flags

from data import command_line, environment
from data.errors import InputError
from scripts.exported.bundle import Bundle
from scripts.tpu_check import report
from scripts.tpu_check.programs import Program, all_programs
from scripts.tpu_check.targets import TARGETS, Target
from trainers.checkout import ROOT, git_state
from trainers.running.atomic import write_atomically

_TARGET = flags.DEFINE_enum("target", "v3", list(TARGETS), "The device.")
_PROGRAMS = flags.DEFINE_list("programs", None, "E.g. bert_nigt-8,resnet_lamb-update; all if not given.")
_OUTPUT = flags.DEFINE_string("output", "results/tpu_check", "Where the tables go.")
_CACHE = flags.DEFINE_string("cache", "runs/tpu_check", "Where the compiler's answers are kept.")
_BUNDLE = flags.DEFINE_string("bundle", None, "Compile the steps of an exported run instead, and write nothing.")
_COMPILER = flags.DEFINE_string("compiler", ".venv/tpu_check/bin/python", "The Python that has the compilers.")


class CheckError(Exception):
    """A program that cannot be lowered, does not compile or does not fit; the message names it."""


def check(target: Target, program: Program, cache: pathlib.Path, compiler: str) -> dict:
    """The compiler's answer for one program, with lowering.lower's description.

    Raises:
      CheckError.
    """
    with tempfile.TemporaryDirectory(prefix="tpu-check-") as folder:
        module = pathlib.Path(folder) / "module.hlo"
        lowered = subprocess.run(
            [sys.executable, "-m", "scripts.tpu_check.lowering", f"--program={program.name}", f"--output={module}"],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": "0"},  # the same module each time: TensorFlow's order hangs on sets
            capture_output=True,
            text=True,
        )
        if lowered.returncode:
            raise CheckError(f"{program.name}: TensorFlow does not lower it: {_last_line(lowered.stderr)}")
        description = json.loads(pathlib.Path(f"{module}.json").read_text())
        answer = ask(target, module, cache / f"{program.name}.json", compiler)
    if "error" in answer:
        raise CheckError(f"{program.name}: the {target.name}'s compiler refuses it: {answer['error']}")
    answer |= description
    judge(target, program.name, answer)
    return answer


def ask(target: Target, module: pathlib.Path, kept: pathlib.Path, compiler: str) -> dict:
    """The compiler's answer for a module; the kept one if it is of this module."""
    kept = kept.parent / target.name / kept.name
    program = ROOT / "scripts" / "tpu_check" / "compiler.py"
    digest = hashlib.sha256(module.read_bytes() + program.read_bytes()).hexdigest()
    if kept.exists():
        known = json.loads(kept.read_text())
        if known["module"] == digest:
            return known
    # libtpu would have its library loaded once on a machine, as if there were a TPU to share.
    environment = os.environ | {"ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
    done = subprocess.run(
        [compiler, str(program), target.name, str(module)], capture_output=True, text=True, env=environment
    )
    try:
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        answer = {"error": f"status {done.returncode}: {_last_line(done.stderr)}"}
    if "error" not in answer:
        answer["module"] = digest
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, json.dumps(answer, indent=2) + "\n")
    return answer


def check_bundle(target: Target, folder: pathlib.Path, cache: pathlib.Path, compiler: str) -> int:
    """Compiles the programs of a bundle that take steps; returns the exit status."""
    try:
        bundle = Bundle(folder)
    except InputError as error:
        print(f"{target.command}: {error}", file=sys.stderr)
        return 2
    failed = 0
    for name in sorted({"step", "steps"} & set(bundle.manifest["signature"]["programs"])):
        with tempfile.TemporaryDirectory(prefix="tpu-check-") as scratch:
            module = pathlib.Path(scratch) / f"{name}.jax"
            module.write_bytes(bundle.program(name))
            answer = ask(target, module, cache / f"{folder.resolve().name}-{name}.json", compiler)
        try:
            if "error" in answer:
                raise CheckError(f"{name}: the {target.name}'s compiler refuses it: {answer['error']}")
            judge(target, name, answer)
        except CheckError as error:
            print(f"{target.command}: {error}", file=sys.stderr, flush=True)
            failed += 1
            continue
        used, aliased = report.hbm_bytes(answer) / 2**20, answer["alias_bytes"] / 2**20
        print(
            f"{target.command}: {name} for {answer['device']}: {used:.1f} MiB, {aliased:.1f} of them updated in place, "
            f"compiled in {answer['compile_s']:.0f} s",
            flush=True,
        )
    return 1 if failed else 0


def judge(target: Target, name: str, answer: dict) -> None:
    """Raises CheckError for a program that is too large for a core or GPU."""
    needed = report.hbm_bytes(answer)
    if needed > target.memory_bytes:
        raise CheckError(f"{name}: does not fit: {needed / 2**30:.2f} GiB of {target.memory_bytes / 2**30:.4g} GiB")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1][:400]


def main(argv: list[str]) -> int:
    """Compiles what the flags say and returns the exit status."""
    del argv
    environment.hide_gpus()
    target = TARGETS[_TARGET.value]
    known = {program.name: program for program in all_programs(target)}
    names = _PROGRAMS.value or list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        print(
            f"{target.command}: --programs: unknown {', '.join(unknown)}; choose from {', '.join(known)}",
            file=sys.stderr,
        )
        return 2
    if not pathlib.Path(_COMPILER.value).exists():
        print(f"{target.command}: {_COMPILER.value} is missing; `make {target.command}` installs it", file=sys.stderr)
        return 2
    if _BUNDLE.value:
        return check_bundle(target, pathlib.Path(_BUNDLE.value), pathlib.Path(_CACHE.value), _COMPILER.value)
    answers, failed = {}, 0
    for name in names:
        try:
            answer = check(target, known[name], pathlib.Path(_CACHE.value), _COMPILER.value)
            answers[known[name]] = answer
        except CheckError as error:
            print(f"{target.command}: {error}", file=sys.stderr, flush=True)
            failed += 1
            continue
        used = report.hbm_bytes(answer) / 2**30
        print(f"{target.command}: {name}: {used:.2f} GiB, compiled in {answer['compile_s']:.0f} s", flush=True)
    if failed:
        print(f"{target.command}: {failed} of {len(names)} programs failed; nothing was written", file=sys.stderr)
        return 1
    command = f"make {target.command}"
    if _PROGRAMS.value:
        command = f"python -m scripts.tpu_check --target={target.name} --programs={','.join(names)}"
    folder = pathlib.Path(_OUTPUT.value)
    folder.mkdir(parents=True, exist_ok=True)
    if target.name == "v3":
        write_atomically(folder / "v3.csv", report.csv_text(answers))
    written = report.markdown if target.name == "v3" else report.gpu_markdown
    write_atomically(folder / f"{target.name}.md", written(answers, command, git_state()))
    print(f"{target.command}: {folder}/{target.name}.md")
    return 0


if __name__ == "__main__":
    app.run(main, flags_parser=command_line.parser("tpu-check", "scripts.tpu_check"))
