"""The devices for which steps are compiled."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Target:
    """A device.

    Attributes:
      name: As compiler.py takes it; of the files of results.
      command: The make target.
      memory_bytes: Of one core or GPU.
      shares: Among how many of them a gin file's batch is shared.
    """

    name: str
    command: str
    memory_bytes: int
    shares: tuple[int, ...]


# Half a chip's 32 GiB: a chip has two cores (cloud.google.com/tpu/docs/v3). What CUDA gives of an H100's 80 GB.
TARGETS = {
    target.name: target
    for target in (
        Target("v3", "tpu-check", 16 * 2**30, (8, 32)),
        Target("h100", "gpu-check", 84_978_434_048, (1, 8)),
    )
}
