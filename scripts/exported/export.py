"""Exports one run: python -m scripts.exported.export --gin_file=configs/laptop/bert_nigt.gin (`make export`).

Writes a bundle (scripts/exported/bundle.py), from which scripts.exported.run trains without TensorFlow. Exit status: 0
done, 1 it cannot be exported, 2 bad configuration or missing data.
"""

import json
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
from typing import Any

from absl import flags

from data import command_line, environment
from data.documents import SPLITS
from data.errors import InputError, RunError
from scripts.exported import bundle
from trainers import data_folder, gin_files, names
from trainers.checkout import ROOT, git_state
from trainers.experiment import Experiment
from trainers.schema.tasks import BertPretraining, ResnetClassification

_MODULES = ("step", "trained", "evaluate", "evaluated", "at_w")


def define_flags() -> None:
    """Not when imported: the programs' flags have names in common."""
    flags.DEFINE_string("gin_file", None, "The experiment, e.g. configs/laptop/bert_nigt.gin.", required=True)
    flags.DEFINE_multi_string("gin_param", [], "Further bindings, e.g. eta0=0.01. Repeatable.")
    flags.DEFINE_integer("seed", None, "Of initialization, order, masking and dropout.", lower_bound=0)
    flags.DEFINE_string("output", None, "The bundle's folder; runs/bundles/SCALE/NAME-sSEED if not set.")
    flags.DEFINE_enum("precision", "HIGHEST", ["DEFAULT", "HIGH", "HIGHEST"], "Of products; HIGHEST: float32.")
    flags.DEFINE_string("exporter", ".venv/exported/bin/python", "The Python that has jax.")


def export(
    experiment: Experiment, config: str, command: str, output: pathlib.Path, precision: str, exporter: str
) -> None:
    """Writes the bundle of a run into a new folder, or in the place of an older bundle.

    Args:
      experiment, config: From gin_files.load, and its operative configuration.
      command: That does this, for the records.
      output: The folder.
      precision: See scripts/exported/hlo.py.
      exporter: The Python that has jax.

    Raises:
      InputError: It is of a kind that is not exported, its data is missing, or the folder is something else's.
      RunError: JAX does not take it.
    """
    _refuse_what_is_not_exported(experiment)
    data_folder.require(experiment)
    if output.exists() and any(output.iterdir()) and not (output / bundle.MANIFEST).is_file():
        raise InputError(f"{output}: there are other files; choose another --output")
    # TensorFlow takes seconds to import: a slip should not wait for it.
    from scripts.exported import examples
    from scripts.exported.lowering import Lowered
    from trainers.input.files import fingerprint
    from trainers.running.directory import described

    lowered, task = Lowered(experiment), experiment.config.task
    train, rule = examples.training(experiment, lowered.task)
    splits = {split: examples.evaluation(lowered.task, getattr(task, f"{split}_data")) for split in bundle.SPLITS}
    sums = lowered.signatures["evaluate"]["writes"]
    state = {path: v.numpy() for path, v in lowered.variables.items() if path not in sums}
    settings = {
        name: getattr(experiment, name)
        for name in ("train_steps", "validation_interval", "checkpoint_interval", "steps_per_loop", "keep_checkpoints")
    }
    settings |= {"batch_size": experiment.task.batch_size, "step": lowered.step_path}
    work = {
        "signatures": {name: lowered.signatures[name] for name in _MODULES if name in lowered.signatures},
        "variables": {path: [v.dtype.name, list(v.shape)] for path, v in sorted(lowered.variables.items())},
        "state": sorted(state),
        "data": {name: [array.dtype.name, list(array.shape)] for name, array in train.items()},
        "rule": rule,
        "seed": experiment.seed,
        "batch_size": experiment.task.batch_size,
        # XLA's convolutions are 12 times slower inside a loop on a CPU.
        "loops": experiment.task.name == "bert",
        "precision": precision,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as scratch:
        folder = pathlib.Path(scratch) / "bundle"
        folder.mkdir()
        made = _programs(work, lowered.modules, pathlib.Path(scratch), exporter)
        for file in made:
            bundle.write_compressed(folder / f"{file.name}.xz", file.read_bytes())
        for name, arrays in {"state": state, "train": train, **splits}.items():
            bundle.write_compressed(folder / f"{name}.npz.xz", bundle.packed(arrays))
        manifest = git_state() | {
            "config": config,
            "command": command,
            "run": described(experiment)
            | {"metric": lowered.task.metric, "data": fingerprint([_pattern(task, split) for split in SPLITS])},
            "settings": settings,
            "signature": work | {"programs": sorted(file.stem for file in made)},
        }
        bundle.finish(folder, manifest)
        if output.exists():
            shutil.rmtree(output)
        folder.rename(output)


def _programs(work: dict, modules: dict[str, bytes], folder: pathlib.Path, exporter: str) -> list[pathlib.Path]:
    (folder / "work.json").write_text(json.dumps(work))
    for name in work["signatures"]:
        (folder / f"{name}.hlo").write_bytes(modules[name])
    done = subprocess.run(
        [exporter, "-m", "scripts.exported.programs", str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise RunError(f"JAX does not export it: {(done.stderr.strip().splitlines() or ['no message'])[-1][:400]}")
    return sorted(folder.glob("*.jax"))


def _pattern(task: Any, split: str) -> str:
    return getattr(task, f"{split}_data").input_path


def _refuse_what_is_not_exported(experiment: Experiment) -> None:
    task = experiment.task
    if not isinstance(task, BertPretraining | ResnetClassification):
        raise InputError(f"experiment.task = @{task.gin_name}() is not exported; BERT's pretraining and the ResNet are")
    wanted: dict[str, tuple[object, object]] = {"experiment.strategy": (experiment.strategy, "one_device")}
    wanted["experiment.norms"] = (experiment.norms, False)
    absent: dict[str, object] = {"next_sentence": False, "target": None, "recalibration_batches": 0}
    wanted |= {f"{task.gin_name}.{name}": (getattr(task, name, value), value) for name, value in absent.items()}
    for name, (found, only) in wanted.items():
        if found != only:
            raise InputError(f"{name} = {found!r} is not exported; it has to be {only!r}")


def main() -> None:
    """Exports what the flags say."""
    environment.hide_gpus()
    options = flags.FLAGS
    bindings = gin_files.split(options.gin_param)
    experiment = gin_files.load(options.gin_file, bindings, options.seed)
    config = gin_files.operative_config()
    if not pathlib.Path(options.exporter).exists():
        raise InputError(f"--exporter: {options.exporter} is missing; `make export` installs it")
    own = names.directory(options.gin_file, bindings, experiment.seed)
    output = pathlib.Path(options.output or own.replace("runs/", "runs/bundles/", 1))
    command = shlex.join(["python", "-m", "scripts.exported.export", *sys.argv[1:]])
    export(experiment, config, command, output, options.precision, options.exporter)
    size = sum(file.stat().st_size for file in output.iterdir())
    print(f"export: {output}: {size / 2**20:.1f} MiB; python -m scripts.exported.run {shlex.quote(str(output))}")


if __name__ == "__main__":
    define_flags()
    command_line.run("export", "scripts.exported.export", main)
