"""An arm, one side of a comparison: what a sweep tries at every point, a study tunes and repeats, a figure draws."""

import dataclasses
import pathlib
import shlex

from trainers import gin_files

_FLAGS = ("--gin_file=", "--gin_param=")
_ELSEWHERE = ("eta0", "seed", "data_dir")  # has a column of its own in tables, or says nothing


@dataclasses.dataclass(frozen=True)
class Arm:
    """An experiment with what all its runs bind; a run adds a point (η0, and what else is tuned) and a seed.

    Attributes:
      name: In the names of its runs.
      gin_file, bindings: The experiment, as trainers.train takes it.
    """

    name: str
    gin_file: str
    bindings: tuple[str, ...] = ()

    @classmethod
    def of_run(cls, row: dict) -> "Arm":
        """The one that a row of runs.csv is a run of, its point with it: as its command has them."""
        parts = [(part, flag) for part in shlex.split(row["command"]) for flag in _FLAGS if part.startswith(flag)]
        files, bindings = ([part.removeprefix(own) for part, flag in parts if flag == own] for own in _FLAGS)
        return cls(pathlib.Path(*files[:1]).stem, "".join(files[:1]), tuple(gin_files.split(bindings)))

    @property
    def settings(self) -> str:
        """What is bound besides the seed, η0 and the data's place: "nigt.beta=0.5, train_steps=40"."""
        names = ((one, one.partition("=")[0].strip().rpartition(".")[2]) for one in self.bindings)
        return ", ".join(one for one, name in names if name not in _ELSEWHERE)
