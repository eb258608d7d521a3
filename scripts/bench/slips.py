"""What a slip of the hand costs until it is refused, in processor time: results/bench/slips.md.

python -m scripts.bench.slips. Each is made through `make`, as a user makes it, so many times in turn.
"""

import os
import resource
import statistics
import subprocess
import sys
import time

from data.errors import RunError
from trainers.checkout import ROOT, describe_commit
from trainers.running.atomic import write_atomically
from trainers.running.held import describe_device

ROUNDS = 5
LIMIT = 2.0  # seconds of processor time
_TPU = "TPU=v3-8 ZONE=europe-west4-a PROJECT=my-project BUCKET=my-bucket DATA=gs://my-bucket/text MAX_HOURS=3 PRICE=1"
SLIPS = {
    "a misspelt name": "bert-nigt SCALE=laptop GIN=etta0=1",
    "a wrong type": "bert-nigt SCALE=laptop GIN=eta0=abc",
    "a number out of range": "resnet-nigt SCALE=laptop GIN=beta=1.5",
    "a wrong path": "bert-nigt SCALE=laptop MODEL_DIR=README.md/run",
    "no data": "resnet-nigt GIN=resnet_classification.data_dir='/nowhere'",
    "a misspelt make variable": "bert-nigt SEEDS=1",
    "a sweep, a misspelt name": "bert-nigt-sweep SCALE=laptop GIN=etta0=1",
    "a sweep, a wrong axis": "bert-nigt-sweep SCALE=laptop SWEEP=eta0",
    "a TPU launch, a misspelt name": f"bert-nigt {_TPU} GIN=etta0=1",
    "a TPU launch, a wrong zone": f"bert-nigt {_TPU.replace('europe-west4-a', 'Europe')}",
}


def _refused(arguments: str) -> tuple[float, float]:
    """Processor and wall time, in seconds, until make has refused it.

    Raises:
      RunError: It has not.
    """
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    # A word's quotes are gin's.
    done = subprocess.run(["make", *arguments.split()], cwd=ROOT, capture_output=True, text=True, env=_environment())
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    if done.returncode != 2:
        raise RunError(f"make {arguments}: exit status {done.returncode}, not 2")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def _environment() -> dict[str, str]:
    """Without what `make bench` hands down to a make inside it."""
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}


def main() -> int:
    """Measures, writes the table; the exit status: 1 where a slip takes longer than LIMIT, or was not refused."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in SLIPS}
    try:
        for _ in range(ROUNDS):
            for name, arguments in SLIPS.items():
                times[name].append(_refused(arguments))
    except RunError as error:
        print(f"bench_slips: {error}", file=sys.stderr)
        return 1
    lines, worst = [], 0.0
    for name, own in times.items():
        processor, wall = ([round(value, 2) for value in sorted(column)] for column in zip(*own, strict=True))
        worst = max(worst, processor[-1])
        lines.append(
            f"| {name} | {statistics.median(processor):.2f} ({processor[0]:.2f} to {processor[-1]:.2f}) | "
            f"{statistics.median(wall):.2f} | `make {SLIPS[name].replace(_TPU, 'TPU=v3-8 …')}` |"
        )
    text = "\n".join(
        [
            f"`python -m scripts.bench.slips`, {describe_device(None)}, {describe_commit()},",
            f"n = {ROUNDS} rounds in turn, medians (range). Wall time depends on what else the machine does.",
            "",
            "| slip | processor time until it is refused, s | wall time, s | command |",
            *("| --- | --- | --- | --- |", *lines),
            "",
        ]
    )
    write_atomically(ROOT / "results/bench/slips.md", text)
    print(text)
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
