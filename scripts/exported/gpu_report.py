"""study.md of the GPU study: what each run came to, and what was not run."""

import csv
import json
import pathlib
from collections.abc import Sequence

from scripts.exported.gpu_plan import ADAM, NIGT, Arm, Piece
from scripts.study.comparison import Comparison, Judged, Sample

_METRIC = "masked_lm_accuracy"
Curves = dict[str, dict[int, float]]  # accuracy by split and step


def is_done(piece: Piece, runs: pathlib.Path) -> bool:
    """Whether every run of a piece has ended by itself."""
    return all(_record(runs / arm.name).get("status") in ("ok", "diverged") for arm in piece.arms)


def markdown(pieces: Sequence[Piece], runs: pathlib.Path) -> str:
    """The content of study.md."""
    lines = [
        "# The GPU study",
        "",
        "Written by `make gpu-study`; the rules are in [PROTOCOL.md](PROTOCOL.md). Accuracies on masked tokens, in %: "
        "of training over the last loop of steps, at x; of validation at w, at the end, and at the step that was best "
        "on selection.",
    ]
    for piece in pieces:
        lines += ["", f"## {piece.title}", ""]
        lines += ["| run | η0 | seed | status | steps | training | end | best on selection | device |"]
        lines += ["| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
        lines += [_row(arm, runs / arm.name) for arm in piece.arms]
    compared = Comparison(_sample(NIGT, runs), _sample(ADAM, runs))
    lines += ["", "## (a) and (c) NIGT beside Adam at the paper's own rates", ""]
    lines += [
        f"Validation at the end, NIGT minus Adam [Welch 95 %]: {compared.text}. *{Judged(compared, (compared,)).word}*"
    ]
    return "\n".join(lines) + "\n"


def _sample(arms: Sequence[Arm], runs: pathlib.Path) -> Sample:
    """Accuracy at the end, of the runs that there are."""
    statuses = {arm: _record(runs / arm.name).get("status") for arm in arms}
    ended = [_curves(runs / arm.name / "metrics.csv")["validation"] for arm in arms if statuses[arm] == "ok"]
    values = tuple(100 * accuracy[max(accuracy)] for accuracy in ended)
    return Sample(values, list(statuses.values()).count("diverged"), len(arms))


def _row(arm: Arm, directory: pathlib.Path) -> str:
    record = _record(directory)
    cells = [arm.name, f"{arm.eta0:g}", arm.seed]
    if not record:
        return _line([*cells, "not run", *["–"] * 5])
    curves = _curves(directory / "metrics.csv")
    validation, selection = curves["validation"], curves["selection"]
    end = best = training = "–"
    if curves["train"]:
        training = f"{100 * curves['train'][max(curves['train'])]:.2f}"
    if validation:
        last, chosen = max(validation), max(selection, key=lambda step: (selection[step], -step))
        end = f"{100 * validation[last]:.2f} ({last:,})"
        best = f"{100 * validation[chosen]:.2f} ({chosen:,})"
    status = {"ok": "done", "running": "broken off"}.get(record["status"], record["status"])
    return _line([*cells, status, f"{record['steps']:,}", training, end, best, record["device"]])


def _record(directory: pathlib.Path) -> dict:
    file = directory / "run.json"
    return json.loads(file.read_text()) if file.exists() else {}


def _curves(file: pathlib.Path) -> Curves:
    found: Curves = {"train": {}, "selection": {}, "validation": {}}
    with open(file, newline="") as stream:
        for row in csv.DictReader(stream):
            if row["name"] == _METRIC and row["split"] in found:
                found[row["split"]][int(row["step"])] = float(row["value"])
    return found


def _line(cells: list) -> str:
    return f"| {' | '.join(map(str, cells))} |"
