"""What `make gpu-study` runs, in which order; the rules are in results/gpu/PROTOCOL.md."""

import dataclasses
from collections.abc import Iterator

STEPS = 500_000  # the paper's (section 5.2)
LARGER_STEPS, LARGER_SECONDS = 2_000, 45.0


@dataclasses.dataclass(frozen=True)
class Arm:
    """One run.

    Attributes:
      name: Of its bundle and its directory.
      optimizer: "nigt" or "adam".
      eta0, seed: Its η0 and seed.
      larger: Whether it is the model of part (b), of 4 layers; else the laptop's.
    """

    name: str
    optimizer: str
    eta0: float
    seed: int = 0
    larger: bool = False

    def bindings(self, data: str, shorter: int) -> list[str]:
        """For scripts.exported.export, with the text under a folder and the steps divided by `shorter`."""
        optimizer = {
            "nigt": f"nigt.excluded_learning_rate_multiplier={10 if self.larger else 1000}",
            "adam": f"beta2={0.9999 if self.larger else 0.99}",
        }[self.optimizer]
        steps = max((LARGER_STEPS if self.larger else STEPS) // shorter, 2)
        every = max(steps // 20, 1)
        found = [f"eta0={self.eta0:g}", optimizer, f"train_steps={steps}", f"validation_interval={every}"]
        found += [f"experiment.steps_per_loop={max(every // 10, 1)}", "warmup/share_of_steps.share=(1, 50)"]
        if not self.larger:
            return [*found, f"bert_pretraining.data_dir='{data}/laptop/manuals'"]
        found += [f"bert_pretraining.data_dir='{data}/gpu/manuals'", "batch_size=256"]
        sizes = {"sequence_length": 128, "max_predictions": 20, "layers": 4, "hidden_size": 256}
        sizes |= {"intermediate_size": 1024}
        return found + [f"bert_pretraining.{name}={value}" for name, value in sizes.items()]

    @property
    def gin_file(self) -> str:
        """The experiment."""
        return f"configs/laptop/bert_{self.optimizer}.gin"

    @property
    def seconds(self) -> float | None:
        """The run's length, in part (b) alone, where every run has as many."""
        return LARGER_SECONDS if self.larger else None


@dataclasses.dataclass(frozen=True)
class Piece:
    """Runs that belong together.

    Attributes:
      title: For who reads the report.
      arms: Its runs.
      together: Whether they go side by side and on in the next call; else one after the other, whole or not at all.
    """

    title: str
    arms: tuple[Arm, ...]
    together: bool = True


def _pair(nigt: float, adam: float, seed: int = 0) -> tuple[Arm, ...]:
    etas = (("nigt", nigt), ("adam", adam))
    return tuple(Arm(f"{optimizer}-{eta0:g}-s{seed}", optimizer, eta0, seed) for optimizer, eta0 in etas)


def _larger() -> Iterator[Arm]:
    for optimizer, etas in (("nigt", (0.001, 0.00316, 0.01)), ("adam", (0.000316, 0.001, 0.00316))):
        for eta0 in etas:
            yield Arm(f"larger-{optimizer}-{eta0:g}-s0", optimizer, eta0, larger=True)


PIECES = (
    Piece("(a) 500,000 steps at the paper's own rates", _pair(0.001, 0.0001)),
    Piece("(a) 500,000 steps at larger rates", _pair(0.00316, 0.001)),
    Piece("(b) 4 layers of 256, equal seconds", tuple(_larger()), together=False),
    Piece("(c) the paper's own rates, seed 1", _pair(0.001, 0.0001, seed=1)),
    Piece("(c) the paper's own rates, seed 2", _pair(0.001, 0.0001, seed=2)),
)
# The one comparison with more than one seed a side: the runs of NIGT, and those of Adam.
NIGT, ADAM = zip(*(PIECES[number].arms for number in (0, 3, 4)), strict=True)
