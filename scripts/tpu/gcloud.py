"""Runs gcloud, and reads what it says of a TPU."""

import contextlib
import enum
import io
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable

from scripts.tpu.commands import Commands
from scripts.tpu.request import Request

# A describe or an ssh that takes longer has lost its connection.
_SECONDS = 120
_SLOW_SECONDS = 3600  # creating, copying, installing
_SECONDS_FOR_THE_REST = 5
_GONE = (
    "PREEMPTED",
    "TERMINATED",
    "STOPPED",
    "STOPPING",
    "SUSPENDED",
    "SUSPENDING",
    "FAILED",
    "DELETING",
    "HIDDEN",
    "UNKNOWN",
)


class Presence(enum.Enum):
    """What Google says of a TPU or a queued resource."""

    ABSENT = "absent"
    WAITING = "waiting"
    READY = "ready"
    GONE = "taken back"  # it is there in name, cannot be used any more, and has to be deleted
    UNKNOWN = "unknown"  # gcloud gave no answer


class GcloudError(Exception):
    """A command that failed; the message is gcloud's own last line."""


def run(
    command: list[str], seconds: float = _SLOW_SECONDS, stopped: Callable[[], bool] = lambda: False
) -> subprocess.CompletedProcess:
    """Runs a command to its end.

    Args:
      command: As a list.
      seconds: After so long it is killed, which counts as a failure with status 255.
      stopped: Asked four times a second; where it says so, as after `seconds`.

    Raises:
      GcloudError: There is no gcloud.
    """
    try:
        # In a session of its own: Ctrl-C is for the launcher, which ends in order what it began.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise GcloudError("gcloud is not installed, or not on the PATH: cloud.google.com/sdk") from error
    parts: tuple[list[bytes], list[bytes]] = ([], [])
    readers = [
        threading.Thread(target=_read, args=(stream, part), daemon=True)
        for stream, part in zip((process.stdout, process.stderr), parts, strict=True)
    ]
    for reader in readers:
        reader.start()
    end, status = time.monotonic() + seconds, None
    while status is None:
        try:
            status = process.wait(0.25)
        except subprocess.TimeoutExpired:
            if time.monotonic() < end and not stopped():
                continue
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return subprocess.CompletedProcess(command, 255, "", f"no answer within {seconds:g} s")
    for reader in readers:
        # A process that ssh leaves behind may hold the pipe for ever; what the command itself has said is there.
        reader.join(_SECONDS_FOR_THE_REST)
    output, errors = (b"".join(part).decode(errors="replace") for part in parts)
    return subprocess.CompletedProcess(command, status, output, errors)


def _read(stream: io.BufferedReader, parts: list[bytes]) -> None:
    with stream:
        while part := stream.read1(65536):
            parts.append(part)


def short(command: list[str], seconds: float = _SECONDS) -> subprocess.CompletedProcess:
    """As run, for what should be answered soon."""
    return run(command, seconds)


def last_line(done: subprocess.CompletedProcess) -> str:
    """What gcloud said went wrong: the last line that begins with ERROR, else its last; no e-mail address."""
    lines = [line for line in (done.stderr or done.stdout).strip().splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return without_account((errors or lines or [f"status {done.returncode}, no message"])[-1])[:300]


def without_account(text: str) -> str:
    """The text without e-mail addresses: it is shown, and kept in a file."""
    return re.sub(r"[^\s\[\]()<>'\"]+@[\w.-]+", "…", text)


def presence(request: Request) -> tuple[Presence, str]:
    """Of the TPU, or of the queued resource that it has or will come from; and gcloud's word for it."""
    commands = Commands(request)
    node, word = _presence_of(commands.describe())
    if not request.queued:
        return node, word
    queued, queued_word = _presence_of(commands.describe_queued())
    if Presence.UNKNOWN in (node, queued):
        return Presence.UNKNOWN, word if node is Presence.UNKNOWN else queued_word
    if Presence.GONE in (node, queued):
        return Presence.GONE, word if node is Presence.GONE else queued_word
    if node is Presence.ABSENT:
        # A queued resource that has been served and has no TPU any more is of no use.
        return (Presence.GONE, "its TPU is not there") if queued is Presence.READY else (queued, queued_word)
    return node, word


def _presence_of(command: list[str]) -> tuple[Presence, str]:
    done = short(command)
    if done.returncode:
        message = last_line(done)
        absent = "NOT_FOUND" in done.stderr or "was not found" in done.stderr
        return (Presence.ABSENT, "NOT_FOUND") if absent else (Presence.UNKNOWN, message)
    word = done.stdout.strip().upper() or "no state"
    if word in ("READY", "ACTIVE"):
        return Presence.READY, word
    return (Presence.GONE if word in _GONE else Presence.WAITING), word


def show(command: list[str]) -> str:
    """A command as a shell would take it."""
    return shlex.join(command)
