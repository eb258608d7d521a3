"""v3.csv, v3.md and h100.md from the compilers' answers."""

import csv
import io

from scripts.tpu_check.programs import Program
from scripts.tpu_check.targets import TARGETS

COLUMNS = (
    *("program", "optimizer", "per_core_batch", "parameters", "state_bytes", "argument_bytes", "temp_bytes"),
    *("hbm_bytes", "fits", "flops", "bytes_accessed", "update_bytes_accessed", "compile_s"),
)
# Half a chip's 123 teraflops (bfloat16) and 900 GB/s: a chip has two cores (cloud.google.com/tpu/docs/v3).
PEAK_FLOPS = 61.5e12  # a second
PEAK_BYTES = 450e9  # a second
HBM_BYTES = TARGETS["v3"].memory_bytes


def hbm_bytes(answer: dict) -> int:
    """What a core holds: arguments, results that are not in the place of arguments, temporaries, and the program."""
    results = answer["output_bytes"] - answer["alias_bytes"]
    return answer["argument_bytes"] + results + answer["temp_bytes"] + answer["code_bytes"]


def roofline_seconds(answer: dict) -> tuple[float, float]:
    """The least time for the arithmetic, and for the memory traffic."""
    return answer["flops"] / PEAK_FLOPS, answer["bytes_accessed"] / PEAK_BYTES


def run_hours(answer: dict) -> float:
    """The roofline's time of a whole run: its steps, and nothing between or beside them."""
    return answer["steps"] * max(roofline_seconds(answer)) / 3600


def rows(answers: dict[Program, dict]) -> list[dict]:
    """The rows of v3.csv; per_core_batch is 0 for an update alone."""
    return [
        {
            "program": program.model,
            "optimizer": program.optimizer,
            "per_core_batch": answer["batch"],
            "parameters": answer["parameters"],
            "state_bytes": answer["state_bytes"],
            "argument_bytes": answer["argument_bytes"],
            "temp_bytes": answer["temp_bytes"],
            "hbm_bytes": hbm_bytes(answer),
            "fits": str(hbm_bytes(answer) <= HBM_BYTES).lower(),
            "flops": int(answer["flops"]),
            "bytes_accessed": int(answer["bytes_accessed"]),
            "update_bytes_accessed": _update_bytes(program, answers),
            "compile_s": f"{answer['compile_s']:.1f}",
        }
        for program, answer in answers.items()
    ]


def _update_bytes(program: Program, answers: dict[Program, dict]) -> int | str:
    """Of the same optimizer's update alone; empty where that was not compiled."""
    update = answers.get(Program(program.task, program.optimizer, 0))
    return int(update["bytes_accessed"]) if update else ""


def csv_text(answers: dict[Program, dict]) -> str:
    """The content of v3.csv."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(answers))
    return text.getvalue()


def markdown(answers: dict[Program, dict], command: str, state: dict) -> str:
    """The content of v3.md."""
    first = next(iter(answers.values()))
    dirty = " (modified)" if state["dirty"] else ""
    lines = [
        "# The train steps, compiled for TPU v3",
        "",
        f"Made by `{command}` at commit {state['commit'][:7]}{dirty}: {first['compiler']}, compiling for one core "
        f"of {first['device']}. No TPU took part: every number is the compiler's answer or follows from it, "
        "and none is a measured time.",
        "",
        "A step is `train_step` of the trainer, built from the gin files of `configs/paper/`, on one core's part of "
        "the batch. It holds the forward and backward pass, the update, the metrics and dropout; it does not hold "
        "the sum of the gradients over the cores, nor the input. Memory is what one core holds: arguments "
        "(variables, optimizer state and the batch), temporaries, the program.",
        "",
        "## Memory",
        "",
    ]
    steps = {program: answer for program, answer in answers.items() if program.cores}
    lines += [
        *_memory(steps, "core", "16 GiB"),
        "",
        "## Time, at best",
        "",
        "The roofline: a core does 61.5 TFLOP/s in bfloat16 and moves 450 GB/s, half of what "
        "cloud.google.com/tpu/docs/v3 gives for a chip of two cores (123 teraflops, 900 GBps). No step can be faster "
        "than the slower of the two; real ones are slower. Hours are steps × that, without the gradients' sum, "
        "input, evaluations and checkpoints: a lower bound, not an estimate.",
        "",
        "| program | optimizer | on | batch of a core | TFLOP | GB accessed | arithmetic, ms | memory, ms | bound by "
        "| steps | hours | core-hours |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for program, answer in steps.items():
        arithmetic, memory = roofline_seconds(answer)
        hours = run_hours(answer)
        lines.append(
            _line(
                *(program.model, program.optimizer, f"v3-{program.cores}", answer["batch"]),
                *(f"{answer['flops'] / 1e12:.3f}", f"{answer['bytes_accessed'] / 1e9:.2f}"),
                *(f"{1e3 * arithmetic:.1f}", f"{1e3 * memory:.1f}", "memory" if memory > arithmetic else "arithmetic"),
                *(f"{answer['steps']:,}", f"{hours:.1f}", f"{hours * program.cores:.0f}"),
            )
        )
    updates = {program: answer for program, answer in answers.items() if not program.cores}
    if updates:
        lines += [
            "",
            "## The update alone",
            "",
            "Of all variables, from float32 gradients that are given; memory traffic bounds each. LARS and LAMB with "
            "tf-models-official's settings.",
            "",
            "| program | optimizer | optimizer state | state, copies of the parameters | GB accessed "
            "| passes over the parameters | memory, ms |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
    for program, answer in updates.items():
        copy = 4 * answer["parameters"]
        lines.append(
            _line(
                *(program.model, program.optimizer, _gib(answer["state_bytes"]), f"{answer['state_bytes'] / copy:.2f}"),
                *(f"{answer['bytes_accessed'] / 1e9:.2f}", f"{answer['bytes_accessed'] / copy:.1f}"),
                f"{1e3 * roofline_seconds(answer)[1]:.2f}",
            )
        )
    missing = [f"v3-{cores}" for cores in TARGETS["v3"].shares if cores not in {program.cores for program in steps}]
    if missing:
        lines += ["", f"Not run: the steps of {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def gpu_markdown(answers: dict[Program, dict], command: str, state: dict) -> str:
    """The content of h100.md."""
    first = next(iter(answers.values()))
    dirty = " (modified)" if state["dirty"] else ""
    memory = TARGETS["h100"].memory_bytes / 2**30
    lines = [
        "# The train steps, compiled for an H100",
        "",
        f"Made by `{command}` at commit {state['commit'][:7]}{dirty}: {first['compiler']}, compiling for one "
        f"{first['device']}. No GPU took part: every number is the compiler's answer, and none was measured.",
        "",
        "A step is `train_step` of the trainer, built from the gin files of `configs/paper/` with bfloat16 "
        "activations, on one GPU's part of the batch, compiled whole as with `experiment.compile = True`. It does not "
        "hold the sum of the gradients over the GPUs, nor what cuDNN's fastest algorithms take as scratch space: "
        "these are chosen on the device.",
        "",
        *_memory(answers, "GPU", f"{memory:.1f} GiB"),
    ]
    return "\n".join(lines) + "\n"


def _memory(steps: dict[Program, dict], share: str, whole: str) -> list[str]:
    lines = [
        f"| program | optimizer | batch of a {share} | parameters | optimizer state | arguments | temporaries "
        f"| program | in all, of {whole} |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for program, answer in steps.items():
        sizes = [answer[key] for key in ("state_bytes", "argument_bytes", "temp_bytes", "code_bytes")]
        lines.append(
            _line(
                *(program.model, program.optimizer, answer["batch"], f"{answer['parameters']:,}"),
                *(_gib(size) for size in [*sizes, hbm_bytes(answer)]),
            )
        )
    return lines


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _gib(size: int) -> str:
    return f"{size / 2**30:.3f} GiB"
