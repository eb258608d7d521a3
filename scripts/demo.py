"""The demo: four laptop runs, two side by side with one thread each, then the table and Figure 1.

python -m scripts.demo (`make demo` builds the data first). What is done is not trained again.
"""

import subprocess
import sys
import time

from absl import app, flags

from data import command_line
from trainers.checkout import ROOT

# The slower task first, so that its two runs share the machine with each other.
RUNS = ("bert_nigt", "bert_adam", "resnet_nigt", "resnet_sgd")
SIDE_BY_SIDE = 2
SECONDS_BETWEEN_LINES = 30

_RUNS_DIR = flags.DEFINE_string("runs", "runs/laptop/demo", "Where the four runs' directories go.")
_RESULTS = flags.DEFINE_string("results", "results/laptop/demo", "Where the logs, the table and the figure go.")
_GIN_PARAM = flags.DEFINE_multi_string("gin_param", [], "A binding for all four runs, e.g. train_steps=20.")


def main(argv: list[str]) -> int:
    """Trains, collects, draws; returns the first exit status that is not 0."""
    del argv
    status = _train_all()
    if status:
        return status
    directories = ",".join(f"{_RUNS_DIR.value}/{name}" for name in RUNS)
    for command in (
        [
            "scripts.figures.collect",
            f"--runs={directories}",
            f"--output={_RESULTS.value}",
            "--phase=final",
            "--replace",
        ],
        ["scripts.figures.figure1", f"--results={_RESULTS.value}"],
    ):
        status = subprocess.run([sys.executable, "-m", *command], cwd=ROOT).returncode
        if status:
            return status
    print(f"demo: {_RESULTS.value}/figure1.png, table.md, runs.csv, curves.csv and logs/")
    return 0


def _train_all() -> int:
    """Runs the four, SIDE_BY_SIDE at a time; the exit status of the first that fails, or 0."""
    waiting, running, failed, shown = list(RUNS), {}, 0, time.monotonic()
    while (waiting and not failed) or running:
        while waiting and not failed and len(running) < SIDE_BY_SIDE:
            name = waiting.pop(0)
            running[name] = subprocess.Popen(
                _command(name), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            print(f"demo: {name} started; its log is {_RUNS_DIR.value}/{name}/train.log", flush=True)
        if time.monotonic() - shown > SECONDS_BETWEEN_LINES:
            shown = time.monotonic()
            for name in running:
                print(f"demo: {name}: {_last_line(name)}", flush=True)
        for name, process in list(running.items()):
            try:
                _, errors = process.communicate(timeout=1)
            except subprocess.TimeoutExpired:
                continue
            except KeyboardInterrupt:
                # The terminal has sent the signal to the runs as well: each writes its checkpoint and stops.
                waiting.clear()
                continue
            del running[name]
            if process.returncode:
                failed = failed or process.returncode
                last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
                print(f"demo: {name} stopped with exit status {process.returncode}: {last[0]}", file=sys.stderr)
            else:
                print(f"demo: {name} done at {time.strftime('%H:%M:%S')}", flush=True)
    return failed


def _last_line(name: str) -> str:
    log = ROOT / _RUNS_DIR.value / name / "train.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return lines[-1] if lines else "starting"


def _command(name: str) -> list[str]:
    parameters = [f"--gin_param={binding}" for binding in _GIN_PARAM.value]
    return [
        *(sys.executable, "-m", "trainers.train", f"--gin_file=configs/laptop/{name}.gin", "--seed=0", "--threads=1"),
        *(f"--model_dir={_RUNS_DIR.value}/{name}", *parameters),
    ]


if __name__ == "__main__":
    app.run(main, flags_parser=command_line.parser("demo", "scripts.demo"))
