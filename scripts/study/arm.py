"""An arm of the study: one side of a comparison, and the trainings that tune and repeat it."""

import dataclasses

from scripts import arm as arms
from scripts.sweep.grid import Point, Value
from scripts.sweep.training import Training

GRID = tuple(10.0**exponent for exponent in range(-5, 1))  # η0 (section 5.1)
TUNING_SEED = 0
FINAL_SEEDS = (1, 2, 3, 4, 5)
ABLATION_SEEDS = (1, 2, 3)
RUNS = "runs/laptop/study"  # where the runs' directories go; some start from another's checkpoint there
CHECKED = 2  # points of an arm that are run again at full length, where tuning is shorter
# Of a task whose tuning runs are shorter than its final ones: their length.
TUNING_LENGTH = {"bert": ("train_steps=2400", "warmup_polynomial_decay.warmup_steps=120", "validation_interval=800")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm(arms.Arm):
    """One side of a comparison, with what the study does to it. Its name stands in tables, too.

    Attributes:
      group: Arms whose grids are widened together: "resnet", "resnet ablations", "bert", …; the first word is the task.
      axes: What is tuned besides η0, by binding. With η0 alone: (). None: nothing is; the point is `like`'s.
      like: The arm whose tuned point it takes.
      point: A point that is given, not tuned.
      rates: η0 to try; None: the study's grid, as wide as the optima of its group ask for.
      trials_of: The arm whose trials are its own as well, and whose final runs if it ends at the same point.
      full_length: Whether its tuning runs are as long as its final ones.
      beside: The arm that it stands beside, of its task; None: the NIGT of its group, or of its task.
      seeds: Of its final runs.
      phase: Of those: "final", which Figure 1 shows, or "ablation".
    """

    group: str
    axes: tuple[tuple[str, tuple[Value, ...]], ...] | None = ()
    like: str | None = None
    point: Point | None = None
    rates: tuple[float, ...] | None = None
    trials_of: str | None = None
    full_length: bool = False
    beside: str | None = None
    seeds: tuple[int, ...] = ABLATION_SEEDS
    phase: str = "ablation"

    @property
    def task(self) -> str:
        """ "bert" or "resnet"."""
        return self.group.split()[0]

    @property
    def is_tuned(self) -> bool:
        """Whether it has a grid of its own."""
        return self.like is None and self.point is None

    @property
    def checks(self) -> bool:
        """Whether its tuning runs are shorter than its final ones."""
        return self.is_tuned and self.task in TUNING_LENGTH and not self.full_length

    def tuning(self, point: Point) -> Training:
        """The run that tries a point."""
        bindings = (*(TUNING_LENGTH[self.task] if self.checks else ()), *point.bindings)
        return Training.of(self, f"{self._trials}-{point.name}-tune", bindings, TUNING_SEED, "tune")

    def check(self, point: Point) -> Training:
        """The run that tries a point at full length."""
        return Training.of(self, f"{self._trials}-{point.name}-check", point.bindings, TUNING_SEED, "tune")

    def final(self, point: Point) -> list[Training]:
        """The runs with fresh seeds at the chosen point."""
        return [Training.of(self, f"{self.slug}-s{seed}", point.bindings, seed, self.phase) for seed in self.seeds]

    @property
    def slug(self) -> str:
        """In the names of its final runs."""
        return self._slug(self.name)

    @property
    def _trials(self) -> str:
        return self._slug(self.trials_of or self.name)

    def _slug(self, name: str) -> str:
        name = f"{self.task} {name}".lower().replace("'s", "").replace("β", "beta")
        return "".join(c if c.isalnum() or c == "." else "_" for c in name)
