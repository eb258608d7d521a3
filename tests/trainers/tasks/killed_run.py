"""A run of a shipped file that is killed after a checkpoint and repeated."""

import csv
import json
import signal

from scripts.soak.forked import Run


def killed_and_repeated(file, bindings, checkpoint, tmp_path):
    """Kills it when the checkpoint is there; the second run has to end by itself.

    Returns:
      Its directory, its run.json, and the rows of its metrics.csv.
    """
    directory = tmp_path / "run"
    arguments = ["train", f"--gin_file={file}", f"--model_dir={directory}", "--seed=1"]
    arguments += [f"--gin_param={binding}" for binding in bindings]
    first = Run(arguments, tmp_path / "first.txt")
    assert first.wait_for((directory / f"{checkpoint}.index").exists, 500), first.text()
    first.send(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    second = Run(arguments, tmp_path / "second.txt")
    assert second.wait(500) == 0, second.text()
    with open(directory / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return directory, json.loads((directory / "run.json").read_text()), rows


def losses(rows):
    """The loss by (split, step)."""
    return {(row["split"], int(row["step"])): float(row["value"]) for row in rows if row["name"] == "loss"}
