"""SIGTERM and SIGINT: a run stops at its next safe point, and in any case within GRACE seconds.

A cloud machine that is taken back gives 30 seconds. Python's own handlers run between two bytecodes of the main thread,
which may be inside a compilation or a long call into TensorFlow for minutes; so a thread of its own sees the signal
too, and ends the process when the time is over. The steps since its last checkpoint, lost then, are taken again.
"""

import os
import signal
import sys
import threading
import types
from collections.abc import Callable

from trainers.exit_status import ExitStatus

GRACE = 14.0  # seconds from the signal to the end of the process at the latest
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(Exception):
    """A signal asked the run to stop."""


class Interruption:
    """Whether a signal has asked the run to stop. A second signal ends the process at once."""

    def __init__(self, program: str = "trainers.train"):
        """program: What its line begins with."""
        self._program = program
        self._signal: int | None = None
        self._last_words: Callable[[str], None] | None = None
        self._reader = self._writer = -1
        self._previous: dict = {}

    def install(self) -> None:
        """Takes the signals; in the main thread only. Until `guard`, a signal ends the process at once."""
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        threading.Thread(target=self._wait, name="interruption", daemon=True).start()

    def close(self) -> None:
        """Gives the signals back."""
        if self._previous:
            for number, handler in self._previous.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(-1)
            self._previous = {}
            os.close(self._writer)  # the thread reads the end of the pipe

    def guard(self, last_words: Callable[[str], None]) -> None:
        """From now on there is a run to end: a signal gives it GRACE seconds.

        Args:
          last_words: Called from another thread, with the signal's name, before the process is ended.
        """
        self._last_words = last_words

    def check(self) -> None:
        """A safe point: raises Interrupted if a signal has come."""
        if self._signal is not None:
            raise Interrupted(signal.Signals(self._signal).name)

    def _note(self, number: int, frame: types.FrameType | None) -> None:
        del frame
        self._signal = number

    def _wait(self) -> None:
        received = self._read()
        if received is None:
            return
        if self._last_words is not None:
            again = threading.Event()

            def wait_for_another() -> None:
                if self._read() is not None:
                    again.set()

            threading.Thread(target=wait_for_another, daemon=True).start()
            again.wait(GRACE)
            if not self._previous:  # closed: the run has stopped by itself
                return
        name = signal.Signals(received).name
        try:
            if self._last_words is not None:
                self._last_words(name)
            else:
                print(f"{self._program}: {name}; nothing was trained, repeat the command", file=sys.stderr, flush=True)
        finally:
            os._exit(ExitStatus.INTERRUPTED)

    def _read(self) -> int | None:
        """The next of our signals; None when the pipe is closed."""
        while True:
            received = os.read(self._reader, 1)
            if not received:
                return None
            if received[0] in _SIGNALS:
                return received[0]
