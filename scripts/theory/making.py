"""Makes results/theory: measures what is missing, and writes every file from measurements.csv."""

import json
import pathlib
import time

from data.errors import InputError
from scripts.figures import style
from scripts.figures import theory as theory_figures
from scripts.theory import acceptance, execution, plan, report, tables, tasks
from trainers.checkout import git_state
from trainers.running.atomic import write_atomically
from trainers.running.held import describe_device


def run(quick: bool, workers: int, output: pathlib.Path, cache: pathlib.Path, command: str) -> str:
    """Measures what the cache lacks, writes all files and returns the acceptance table.

    Args:
      quick: Which plan.
      workers: Processes.
      output: An existing directory, for the files.
      cache: A directory, made if missing, of finished measurements.
      command: What the files say made them.

    Raises:
      InputError: The cache cannot be written.
    """
    start = time.monotonic()
    todo = plan.quick() if quick else plan.full()
    done = execution.run_all(todo, cache, workers)
    records = [record for own in done for record in own.records]
    made = {"command": command, "quick": quick, **git_state(), "source": execution.source_digest(), "seed": tasks.SEED}
    made |= {"device": describe_device(1), "workers": workers, "tasks": len(done)}
    batches = [own.seconds for task, own in zip(todo, done, strict=True) if task.experiment == "batch"]
    # A task that the cache held counts with the time that it took then.
    made |= {"task_seconds": round(sum(own.seconds for own in done)), "batch_seconds": round(sum(batches))}
    made |= {"wall_seconds": round(time.monotonic() - start)}
    write_atomically(output / "measurements.csv", tables.as_csv(tables.record_rows(records), tables.RECORD_COLUMNS))
    write_atomically(output / "made.json", json.dumps(made, indent=2) + "\n")
    return rewrite(output)


def rewrite(output: pathlib.Path) -> str:
    """Makes the tables, the figures and the report from measurements.csv and made.json; returns the acceptance table.

    Raises:
      InputError: One of the two is missing or broken.
    """
    records = tables.read_records(output / "measurements.csv")
    try:
        made = json.loads((output / "made.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{output / 'made.json'}: {error}; measure with `make theory`") from error
    write_atomically(output / "rates.csv", tables.as_csv(tables.rate_rows(records), tables.RATE_COLUMNS))
    rows = acceptance.rows(records)
    cells = [row.cells() for row in rows]
    write_atomically(output / "acceptance.csv", tables.as_csv(cells, acceptance.COLUMNS))
    for name, draw in theory_figures.FIGURES.items():
        style.save(draw(records), output / f"{name}.png")
    write_atomically(output / "report.md", report.text(records, rows, made))
    return report.table(rows)
