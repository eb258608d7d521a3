"""The demo: small BERT and ResNet, NIGT beside its baselines; then Figure 1, and whether the numbers are ours.

python -m scripts.demo (`make demo` builds the data first). BERT is trained in its two phases: from scratch, and after
the plateau, from weights that Adam has there. Two runs at a time, one thread each; what is done is not trained again.
"""

import csv
import dataclasses
import pathlib
import subprocess
import sys
import time

from absl import app, flags

from data import command_line, environment
from trainers.checkout import ROOT

SIDE_BY_SIDE = 2
SECONDS_BETWEEN_LINES = 30
COMMITTED = "results/laptop/demo"

_RUNS_DIR = flags.DEFINE_string("runs", "runs/laptop/demo", "Where the runs' directories go.")
_RESULTS = flags.DEFINE_string("results", "runs/laptop/demo/results", "Where the logs, the table and the figure go.")
_SHORTER = flags.DEFINE_integer("shorter", 1, "Divide every run's steps by this: a rehearsal.", lower_bound=1)


@dataclasses.dataclass(frozen=True)
class Run:
    """One of the demo's trainings.

    Attributes:
      name: Of its directory.
      experiment: A gin file of configs/laptop.
      label: In the last table: the task, and what about it.
      steps: train_steps.
      bindings: What else is bound.
      source: The run and the step whose weights it starts from.
    """

    name: str
    experiment: str
    label: str
    steps: int
    bindings: tuple[str, ...] = ()
    source: tuple[str, int] | None = None


_PLATEAU_ENDS = ("bert_adam", 1600)
_THREE = "interval/share_of_steps.share=(1, 3)"  # evaluations; as many seconds as 50 steps each
RUNS = (
    Run("bert_adam", "bert_adam", "BERT from scratch, Adam", 2400, ("experiment.keep_checkpoints=6",)),
    Run("bert_nigt", "bert_nigt", "BERT from scratch, NIGT", 800, (_THREE,)),
    Run("bert_nigt_after", "bert_nigt", "BERT after the plateau, NIGT", 400, ("eta0=0.00316", _THREE), _PLATEAU_ENDS),
    Run("bert_adam_after", "bert_adam", "BERT after the plateau, Adam", 400, (_THREE,), _PLATEAU_ENDS),
    Run("resnet_nigt", "resnet_nigt", "ResNet, NIGT", 1284),
    Run("resnet_sgd", "resnet_sgd", "ResNet, SGD", 1284),
)


def main(argv: list[str]) -> int:
    """Trains, collects, draws, compares; returns the first exit status that is not 0."""
    del argv
    environment.hide_gpus()
    committed = _final(ROOT / COMMITTED)  # before `make demo-results` writes there
    status = _train_all()
    if status:
        return status
    directories = ",".join(f"{_RUNS_DIR.value}/{run.name}" for run in RUNS)
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
        status = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, stdout=subprocess.DEVNULL).returncode
        if status:
            return status
    print(f"\n{comparison(_final(ROOT / _RESULTS.value), committed)}\n")
    print(f"demo: the curves are drawn in {_RESULTS.value}/figure1.png and .pdf, the numbers are in table.md there")
    return 0


def comparison(here: dict[str, str], there: dict[str, str]) -> str:
    """The last table: validation accuracy at the end, here and in the committed results, and whether all agree.

    Args:
      here, there: The value of each run, from 0 to 1, as runs.csv has it, by the name of its directory.
    """
    lines = [["validation accuracy at the end, %", "here", "committed", ""]]
    for run in RUNS:
        values = [_percent(found.get(run.name)) for found in (here, there)]
        lines.append([run.label, *values, "" if here.get(run.name) == there.get(run.name) else "differs"])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
    differing = sum(line[-1] == "differs" for line in lines)
    if not differing:
        return f"{table}\n\nAll {len(RUNS)} numbers equal the committed ones, digit for digit."
    return f"{table}\n\n{differing} of {len(RUNS)} numbers differ from the committed ones."


def _final(folder: pathlib.Path) -> dict[str, str]:
    """The final value of each run of runs.csv, as text, by the name of its directory."""
    with open(folder / "runs.csv", newline="", encoding="utf-8") as file:
        return {row["run_id"].rpartition("-")[0]: row["final_value"] for row in csv.DictReader(file)}


def _percent(value: str | None) -> str:
    return f"{100 * float(value):.2f}" if value else "–"


def _train_all() -> int:
    """Runs them, SIDE_BY_SIDE at a time; the exit status of the first that fails, or 0."""
    waiting, failed, shown = list(RUNS), 0, time.monotonic()
    running: dict[str, subprocess.Popen] = {}
    while (waiting and not failed) or running:
        while not failed and len(running) < SIDE_BY_SIDE and (ready := next(filter(_is_ready, waiting), None)):
            waiting.remove(ready)
            running[ready.name] = subprocess.Popen(
                _command(ready), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            print(f"demo: {ready.name} started; its log is {_RUNS_DIR.value}/{ready.name}/train.log", flush=True)
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


def _is_ready(run: Run) -> bool:
    """Whether the weights that it starts from are there, whole: the run's list of checkpoints names them."""
    if run.source is None:
        return True
    source = _checkpoint(*run.source)
    written = (ROOT / source).with_name("checkpoint")
    return written.exists() and f'"{source.name}"' in written.read_text()


def _checkpoint(name: str, step: int) -> pathlib.Path:
    return pathlib.Path(_RUNS_DIR.value) / name / f"ckpt-{step // _SHORTER.value}"


def _last_line(name: str) -> str:
    log = ROOT / _RUNS_DIR.value / name / "train.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return lines[-1].partition(" ")[2] if lines else "starting"  # without the time, for 80 columns


def _command(run: Run) -> list[str]:
    bindings = [f"train_steps={run.steps // _SHORTER.value}", *run.bindings]
    bindings += [f"bert_pretraining.init_checkpoint='{_checkpoint(*run.source)}'"] if run.source else []
    return [
        *(sys.executable, "-m", "trainers.train", f"--gin_file=configs/laptop/{run.experiment}.gin", "--seed=0"),
        *("--threads=1", f"--model_dir={_RUNS_DIR.value}/{run.name}"),
        *(f"--gin_param={binding}" for binding in bindings),
    ]


if __name__ == "__main__":
    app.run(main, flags_parser=command_line.parser("demo", "scripts.demo"))
