"""What is compiled: the train steps, and the optimizers' updates alone."""

import dataclasses

from scripts.tpu_check.targets import TARGETS, Target

MODELS = {"bert": "bert_base", "resnet": "resnet50"}
# What `make bert-nigt` and the others run.
STEPS = (("bert", "nigt"), ("bert", "adam"), ("resnet", "nigt"), ("resnet", "sgd"))
UPDATES = ("nigt", "nigt, m in bfloat16", "adam", "sgd", "lars", "lamb")


@dataclasses.dataclass(frozen=True)
class Program:
    """One program for one core or GPU.

    Attributes:
      task: "bert" or "resnet".
      optimizer: Its name; for a step, that of the gin file; one of UPDATES.
      cores: Among how many of them the gin file's batch is shared; 0: the update alone.
    """

    task: str
    optimizer: str
    cores: int

    @property
    def name(self) -> str:
        """For the command line and the cache: bert_nigt-8, or bert_lamb-update."""
        return f"{self.task}_{self.optimizer.replace(', m in ', '_')}-{self.cores or 'update'}"

    @property
    def model(self) -> str:
        """As in v3.csv."""
        return MODELS[self.task]

    @property
    def bindings(self) -> list[str]:
        """Of its gin file."""
        return ["nigt.momentum_dtype='bfloat16'"] if self.optimizer.endswith("bfloat16") else []

    @property
    def gin_file(self) -> str:
        """Where its model and, if it has one there, its optimizer come from."""
        own = self.optimizer in ("nigt", "adam", "sgd")
        return f"configs/paper/{self.task}_{self.optimizer if own else 'nigt'}.gin"


def all_programs(target: Target = TARGETS["v3"]) -> list[Program]:
    """On a TPU the updates first: they are quick, and the steps' rows name their bytes."""
    updates = [Program(task, optimizer, 0) for task in MODELS for optimizer in UPDATES if target.name == "v3"]
    return updates + [Program(task, optimizer, cores) for task, optimizer in STEPS for cores in target.shares]
