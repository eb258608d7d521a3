"""The theory, measured: python -m scripts.theory (`make theory`). Writes results/theory; --quick, runs/theory/quick.

Exit status: 0 done (also if a claim fails: that is a result), 2 bad input, 4 interrupted (the same command goes on).
"""

import json
import os
import pathlib
import sys
import time

# Each process works alone; NumPy's own threads would only get in the others' way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from absl import app, flags

from data.errors import InputError
from scripts.theory import acceptance, execution, figures, plan, report, tables, tasks
from trainers.run_directory import describe_device, git_state, write_atomically

_QUICK = flags.DEFINE_boolean("quick", False, "T up to 1e4 only, in under two minutes; not into results/theory.")
_WORKERS = flags.DEFINE_integer("workers", 2, "Processes.", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "Where the files go; default results/theory, or runs/theory/quick.")
_CACHE = flags.DEFINE_string("cache", "runs/theory/cache", "Where finished measurements are kept, to go on from.")


def run(quick: bool, workers: int, output: pathlib.Path, cache: pathlib.Path, command: str) -> str:
    """Measures what the cache lacks, writes all files and returns the acceptance table.

    Raises:
      InputError: A directory cannot be written.
    """
    start = time.monotonic()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output}: {error.strerror}; choose another --output") from error
    todo = plan.quick() if quick else plan.full()
    done = execution.run_all(todo, cache, workers)
    records = [record for own in done for record in own.records]
    made = {"command": command, "quick": quick, **git_state(), "source": execution.source_digest(), "seed": tasks.SEED}
    made |= {"device": describe_device(1), "workers": workers, "tasks": len(done)}
    # A task that the cache held counts with the time that it took then.
    made |= {"task_seconds": round(sum(own.seconds for own in done)), "wall_seconds": round(time.monotonic() - start)}
    write_atomically(output / "measurements.csv", tables.as_csv(tables.record_rows(records), tables.RECORD_COLUMNS))
    # From here on, all is made from that file, so that anyone can make it again from it.
    records = tables.read_records(output / "measurements.csv")
    write_atomically(output / "rates.csv", tables.as_csv(tables.rate_rows(records), tables.RATE_COLUMNS))
    rows = acceptance.rows(records)
    cells = [row.cells() for row in rows]
    write_atomically(output / "acceptance.csv", tables.as_csv(cells, acceptance.COLUMNS))
    write_atomically(output / "made.json", json.dumps(made, indent=2) + "\n")
    for name, draw in figures.FIGURES.items():
        figures.save(draw(records), output / f"{name}.png")
    write_atomically(output / "report.md", report.text(records, rows, made))
    return report.table(rows)


def main(argv: list[str]) -> int:
    """See the module."""
    quick, workers, output = _QUICK.value, _WORKERS.value, _OUTPUT.value
    if len(argv) > 1:
        print(f"theory: unexpected {argv[1]}; all options start with --, see --help", file=sys.stderr)
        return 2
    chosen = [f"--output={output}"] if output else []
    command = " ".join(["python -m scripts.theory", *(["--quick"] if quick else []), *chosen])
    if not chosen:
        command = "make theory QUICK=1" if quick else "make theory"
    folder = pathlib.Path(output or ("runs/theory/quick" if quick else "results/theory"))
    try:
        print(run(quick, workers, folder, pathlib.Path(_CACHE.value), command))
    except InputError as error:
        print(f"theory: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("theory: interrupted; the same command goes on", file=sys.stderr)
        return 4
    print(f"theory: wrote {folder}/report.md")
    return 0


if __name__ == "__main__":
    app.run(main)
