"""What a user asks for, checked before anything is created."""

import dataclasses
import hashlib
import pathlib
import re

from data.errors import InputError
from scripts.tpu.machine import Machine
from trainers.checkout import ROOT
from trainers.schema.tasks import TASKS

# The paper's gin files alone: a TPU is not asked for what fails there.
_EXPERIMENTS = sorted(path.stem for path in (ROOT / "configs" / "paper").glob("*_*.gin"))
_PATTERNS = {
    "name": (r"[a-z]([a-z0-9-]{0,58}[a-z0-9])?", "lower-case letters, digits and hyphens, 60 at most"),
    "zone": (r"[a-z]+-[a-z]+[0-9]+-[a-z]", "like europe-west4-a"),
    "project": (r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project's id, like my-project-1"),
    "bucket": (r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", "a bucket's name without gs://"),
    "data": (r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[A-Za-z0-9._=-]+)*/?", "gs://BUCKET/FOLDER"),
    "experiment": ("|".join(_EXPERIMENTS), f"one of {', '.join(_EXPERIMENTS)}"),
}


@dataclasses.dataclass(frozen=True)
class Request:
    """One run on one TPU.

    Attributes:
      name: Of the TPU, of its queued resource, of the run's folder in the bucket and under runs/tpu.
      experiment: The gin file's name, "bert_nigt".
      bindings: Further gin bindings.
      seed: Of the run.
      machine: From configs/tpu.
      zone, project, bucket: Of Google Cloud.
      data: A gs:// folder that holds the records; None: the gin file's own data_dir, on the VM.
      spot: Whether the TPU may be taken back.
      queued: Whether it is asked for as a queued resource; else the command fails if there is none free.
      commit: Of the clone that is copied.
      max_hours: From the first creation to the deletion, in all.
      max_restarts: After preemptions.
      bundle: The folder of an exported run (docs/exported.md), which is trained by JAX instead, and brings its own
        experiment, bindings, seed and data; "": none.
    """

    name: str
    experiment: str
    bindings: tuple[str, ...]
    seed: int
    machine: Machine
    zone: str
    project: str
    bucket: str
    data: str | None
    spot: bool
    queued: bool
    commit: str
    max_hours: float
    max_restarts: int
    bundle: str = ""

    def __post_init__(self) -> None:
        for field in ("name", "zone", "project", "bucket", *(() if self.bundle else ("experiment",))):
            check(field, getattr(self, field))
        if self.data is not None:
            check("data", self.data)
        if not re.fullmatch(r"[0-9a-f]{40}", self.commit):
            raise InputError(f"commit {self.commit!r}: not a commit; launch from a clone")

    @property
    def gin_file(self) -> str:
        """Relative to the clone."""
        return f"configs/paper/{self.experiment}.gin"

    @property
    def lock(self) -> str:
        """What is installed on the VM; of requirements/."""
        return "tpu_exported.txt" if self.bundle else "tpu_vm.txt"

    @property
    def program(self) -> list[str]:
        """The module that trains, and its arguments but --model_dir, in the clone on the VM."""
        if self.bundle:
            return ["scripts.exported.run", "../bundle"]
        settings = [f"--gin_param={binding}" for binding in self.all_bindings]
        return ["trainers.train", f"--gin_file={self.gin_file}", f"--seed={self.seed}", *settings]

    @property
    def all_bindings(self) -> list[str]:
        """The user's, and the data's place."""
        if self.data is None:
            return list(self.bindings)
        scope = TASKS[self.experiment.split("_")[0]].gin_name
        return [*self.bindings, f"{scope}.data_dir='{self.data.rstrip('/')}'"]

    @property
    def folder(self) -> str:
        """Of the run's files in the bucket."""
        return f"gs://{self.bucket}/nigt/{self.name}"


def check(field: str, value: str) -> None:
    """Raises InputError where a value is not what its field may be."""
    pattern, description = _PATTERNS[field]
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        given = "has no value" if value is None else f"{value!r}"
        raise InputError(f"--{field} {given}: has to be {description}")


def point_name(experiment: str, accelerator: str, point: str, seed: int, further: list[str]) -> str:
    """Of a point of a sweep: what runs there, and a digest of the further bindings that all its points share."""
    name = f"{experiment}-{accelerator}-{point}".lower().replace(".", "p")
    name = "".join(c if c.isalnum() else "-" for c in name)
    suffix = f"-s{seed}" + (f"-{_digest(further)}" if further else "")
    return f"{name[: 60 - len(suffix)].rstrip('-')}{suffix}"


def default_name(bundle: str, experiment: str, bindings: list[str], seed: int, accelerator: str) -> str:
    """A name that says what runs; the same for the same run, so that it is found again."""
    if bundle:
        own = "".join(c if c.isalnum() else "-" for c in pathlib.Path(bundle).name.lower().replace(".", "p"))
        return f"exported-{own[:40].strip('-')}-{accelerator}"
    suffix = f"-{_digest(bindings)}" if bindings else ""
    return f"{experiment.replace('_', '-')}-s{seed}-{accelerator}{suffix}"


def _digest(bindings: list[str]) -> str:
    return hashlib.sha256("\n".join(bindings).encode()).hexdigest()[:6]
