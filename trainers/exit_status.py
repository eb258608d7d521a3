"""How trainers.train ends."""

import enum


class ExitStatus(enum.IntEnum):
    """Of the process; see the README."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    DIVERGED = 3
    INTERRUPTED = 4
