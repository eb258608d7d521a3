"""Deletes what a launch has created, whatever else goes wrong."""

import threading
from collections.abc import Callable

from scripts.tpu import gcloud
from scripts.tpu.commands import Commands
from scripts.tpu.gcloud import Presence
from scripts.tpu.request import Request

TRIALS = 34  # with 30 seconds between two polls about half an hour: what is being provisioned takes its time to go


def delete(request: Request, poll_seconds: float, looks: int, say: Callable[[str], None]) -> str | None:
    """Deletes until Google says that it is gone; what is left and how to delete it, or None.

    Args:
      request: Whose TPU.
      poll_seconds: Two trials are up to twice as far apart.
      looks: How often in a row it has to be absent: more than once where a creation may still be at work.
      say: Takes a line for the user.
    """
    commands, word, absent = Commands(request).delete(), "no answer", 0
    say(f"deleting {request.name}")
    for trial in range(TRIALS):
        try:
            if not absent:
                for command in commands:
                    done = gcloud.run(command)
                    if done.returncode and "NOT_FOUND" not in done.stderr and "was not found" not in done.stderr:
                        word = gcloud.last_line(done)
            found, state = gcloud.presence(request)
        except (gcloud.GcloudError, OSError) as error:  # the user has to be told what is left all the same
            found, state, word = Presence.UNKNOWN, "", str(error)
        absent = absent + 1 if found is Presence.ABSENT else 0
        if absent >= looks:
            return None
        if found is not Presence.ABSENT:
            word = word if found is Presence.UNKNOWN else f"{word}, it is {state}"
        # Not interruptible: what stays costs money.
        threading.Event().wait(poll_seconds * min(2**trial, 2))
    return left(request, f"could not be deleted ({word})")


def left(request: Request, why: str) -> str:
    """The line that names what is, or may be, left, and the commands that delete it."""
    commands = "; ".join(gcloud.show(command) for command in Commands(request).delete())
    return (
        f"LEFT AT GOOGLE, AND COSTS MONEY: {request.name} in {request.zone} of project {request.project} {why}. "
        f"Delete it: {commands}"
    )
