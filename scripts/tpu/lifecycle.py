"""One launch, from creating its TPU to deleting it, whatever happens between."""

import contextlib
import datetime
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import types
from collections.abc import Callable, Iterator

from data.errors import RunError
from scripts.tpu import clone, deletion, gcloud
from scripts.tpu.commands import ARCHIVE, BUNDLE, SCRIPT, Commands
from scripts.tpu.gcloud import Presence
from scripts.tpu.state import State, StateFile, process_start
from trainers.checkout import ROOT
from trainers.exit_status import ExitStatus

SET_UP_TRIALS = 5


class Preempted(Exception):
    """The TPU has been taken back."""


class Stopped(Exception):
    """A signal, or the end of max_hours."""


class NotSurelyOurs(Exception):
    """Something of the name is there that this launch may or may not have created."""


class Launch:
    """Creates, sets up, starts, follows, fetches, deletes."""

    def __init__(self, state: State, states: StateFile, poll_seconds: float, show: Callable[[str], None] = print):
        """
        Args:
          state: New, or of a launch whose launcher has died.
          states: Where it is kept.
          poll_seconds: Between two looks at the run.
          show: Takes the lines for the user and the run's log.
        """
        self.state, self._states, self._show = state, states, show
        self._request, self._commands = state.request, Commands(state.request)
        self._poll_seconds = poll_seconds
        self._signal: str | None = None
        self._ending = False
        self._was_created = False
        self._is_saved = True  # in the bucket
        self.has_fetched = False  # the run's record and metrics
        self._wake = threading.Event()

    @property
    def folder(self) -> pathlib.Path:
        """Where the run's metrics come to."""
        return self._states.folder / self._request.name

    def run(self, attach: bool = False) -> ExitStatus:
        """The training's exit status; FAILED where it did not come to one, or where something is left at Google.

        Args:
          attach: The run is at work already: follow it.

        Raises:
          RunError: One line for the user. What was created is deleted first, or named.
        """
        with self._states.lock(self._request.name), self._taking_signals():
            if not attach:
                self._require_free_name()
                self.state.started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            self.state.process, self.state.process_start = os.getpid(), process_start(os.getpid())
            self._states.forget_to_stop(self._request.name)
            status, error, left = ExitStatus.FAILED, None, None
            try:
                status = self._until_the_end(attach)
                self.state.outcome = f"exit status {int(status)}"
            except Stopped as stopped:
                status, error = ExitStatus.INTERRUPTED, str(stopped)
                self._save_what_there_is()
            except NotSurelyOurs as doubt:
                left = deletion.left(self._request, str(doubt))
                self._keep_if_possible("left")
            except (RunError, gcloud.GcloudError) as failure:
                error = str(failure)
            except Exception as failure:  # whatever it is: what was created has to go
                error = f"unexpected: {failure!r}"
            finally:
                left = left or self._delete()
            self.state.process = 0
            if error:
                self.state.outcome = error
            self._keep_if_possible(self.state.phase)
            self._states.forget_to_stop(self._request.name)
        if left:
            raise RunError(f"{error + '; and ' if error else ''}{left}")
        if error and status is not ExitStatus.INTERRUPTED:
            raise RunError(f"{error}; nothing is left at Google")
        said = "and the same command goes on from the bucket" if error else f"the run ended with status {int(status)}"
        self._say(f"{error + '; ' if error else ''}nothing is left at Google, {said}")
        return status

    def stop(self, reason: str) -> None:
        """Makes `run`, in whatever thread it is, end the run in order and delete."""
        self._signal = reason
        self._wake.set()

    def delete(self) -> None:
        """Deletes the TPU. Raises RunError where it cannot, with what is left and how to delete it."""
        left = self._delete()
        if left:
            raise RunError(left)

    def _until_the_end(self, attach: bool) -> ExitStatus:
        while True:
            try:
                if not attach:
                    self._create()
                    self._set_up()
                status = self._follow()
                self._fetch()
                return status
            except Preempted as preempted:
                attach = False
                self._say(f"{self._request.name}: {preempted}")
                left = self._delete()
                if left:
                    raise RunError(left) from preempted
                self._count_restart(str(preempted))

    def _count_restart(self, reason: str) -> None:
        """Raises RunError where --max_restarts are used up."""
        if self.state.restarts >= self._request.max_restarts:
            raise RunError(
                f"{reason}, and --max_restarts={self._request.max_restarts} are used up; the same command goes on from "
                f"{self._request.folder}"
            )
        self.state.restarts += 1
        self._keep(self.state.phase)
        self._say(f"restart {self.state.restarts} of at most {self._request.max_restarts}")

    def _require_free_name(self) -> None:
        """Nothing of this name may be there: it would be somebody else's, and is not ours to delete."""
        found, word = gcloud.presence(self._request)
        if found is Presence.UNKNOWN:
            raise RunError(f"gcloud does not answer ({word}); nothing was created")
        if found is not Presence.ABSENT:
            raise RunError(
                f"{self._request.name} exists already in {self._request.zone} ({word}); nothing was created; choose "
                "another --name, or `python -m scripts.tpu status`"
            )

    def _create(self) -> None:
        self._prepare()
        self._keep("creating")
        self._was_created = False
        self._say(f"creating {self._request.name} ({self._request.machine.accelerator}, {self._request.zone})")
        done = self._call(self._commands.create())
        if done.returncode:
            if "ALREADY_EXISTS" in done.stderr:
                raise NotSurelyOurs(
                    "exists already, says Google, though it was not there before: somebody else's, or this launch's, "
                    "if an answer was lost"
                )
            raise RunError(f"{self._request.name} was not created: {gcloud.last_line(done)}")
        self._was_created = True
        shown = ""
        while True:
            self._look_at_the_time()
            found, word = gcloud.presence(self._request)
            if found is Presence.READY:
                return
            if word == "FAILED":
                raise RunError(f"Google could not create {self._request.name}: {word}")
            if found is Presence.GONE:
                raise Preempted(f"taken back before it was ready ({word})")
            if word != shown:
                self._say(f"waiting for it: {word}")
                shown = word
            self._rest()

    def _prepare(self) -> None:
        """What goes to the VM, before anything costs money."""
        self.folder.mkdir(parents=True, exist_ok=True)
        clone.pack(ROOT, self._request.commit, self.folder / ARCHIVE, self.folder / SCRIPT)
        if self._request.bundle:
            clone.pack_bundle(pathlib.Path(self._request.bundle), self.folder / BUNDLE)

    def _set_up(self) -> None:
        self._keep("setting up")
        self._say(f"installing requirements/{self._request.lock} at commit {self._request.commit[:7]}")
        self._insist(self._commands.make_folder(), marked=False)
        self._insist(self._commands.copy(str(self.folder)), marked=False)
        for name in self._commands.files():
            (self.folder / name).unlink()
        self._insist(self._commands.set_up())
        if self._request.machine.worker_setup:
            self._insist(self._commands.set_up_workers(), marked=False)
        self._start()
        self._keep("running")
        self._say("the run has started")

    def _start(self) -> None:
        self._insist(self._commands.start(self.state.restarts, self._seconds_left()))

    def _follow(self) -> ExitStatus:
        """Shows the log until the run ends; goes on after lost connections."""
        offset, losses = 0, 0
        while True:
            self._look_at_the_time()
            done = gcloud.short(self._commands.poll(offset))
            head, _, log = done.stdout.partition("\n")
            words = head.split()
            if done.returncode or words[:1] != ["nigt-vm:"] or not words[-1].isdigit():
                self._require_presence()
                losses += 1
                self._say(f"the connection is lost ({gcloud.last_line(done)}); trial {losses}; the run goes on")
                self._rest()
                continue
            losses, offset = 0, int(words[-1])
            for line in log.splitlines():
                if line.strip() and line.strip() != "nigt-vm: done":
                    self._say(line, name="")
            if words[1] == "gone":
                self._count_restart("the machine was started anew")
                self._start()
            if words[1] == "ended":
                number = int(words[2])
                if number == ExitStatus.INTERRUPTED:
                    # The machine is being taken back, or mended: it told the training, and says so itself in a moment.
                    self._require_presence(patience=5)
                    self._count_restart("the training was told to stop")
                    self._insist(self._commands.again())
                    self._start()
                    continue
                self._is_saved = words[3] == "saved"
                return ExitStatus(number) if number in ExitStatus.__members__.values() else ExitStatus.FAILED
            self._rest()

    def _fetch(self) -> None:
        """The small files of the run, to runs/tpu/NAME; from the bucket, where the VM does not give them."""
        new = self._states.folder / f".{self._request.name}.partial"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        try:
            self._insist(self._commands.pack())
            self._insist(self._commands.fetch(str(new)), marked=False)
        except RunError as error:
            self._say(f"{error}; trying the bucket")
            (new / self._request.name).mkdir(exist_ok=True)
            done = self._call(self._commands.fetch_from_bucket(str(new / self._request.name)))
            if done.returncode:
                raise RunError(f"{error}; nor from the bucket: {gcloud.last_line(done)}") from error
        for file in (new / self._request.name).iterdir():
            file.rename(self.folder / file.name)
        shutil.rmtree(new)
        self.has_fetched = True
        if not self._is_saved:
            raise RunError(
                f"the run's record and metrics are in {self.folder}, but its checkpoints and its export could not be "
                f"copied to {self._request.folder} ({self.folder}/out.log says why) and go with the TPU"
            )
        self._say(f"the run's record and metrics are in {self.folder}; the rest is in {self._request.folder}")

    def _save_what_there_is(self) -> None:
        """After a signal: the run stops at a checkpoint and copies itself to the bucket, if there is one."""
        if self.state.phase != "running":
            return
        self._say("stopping the run at a checkpoint")
        self._signal, self._ending = None, True
        try:
            done = self._call(self._commands.stop(), seconds=240)
            if done.returncode == 0:
                self._fetch()
            else:
                self._say(f"the run could not be stopped in order ({gcloud.last_line(done)})")
        except (Preempted, Stopped, RunError, OSError) as error:
            self._say(f"the last files could not be fetched ({error})")

    def _delete(self) -> str | None:
        """Deletes, and looks whether it is gone; what is left and how to delete it, or None."""
        if not self.state.may_exist:
            return None
        # A creation that was cut off may be seen late.
        looks = 3 if self.state.phase == "creating" and not self._was_created else 1
        self._keep_if_possible("deleting")
        left = deletion.delete(self._request, self._poll_seconds, looks, self._say)
        self._keep_if_possible("left" if left else "deleted")
        return left

    def _insist(self, command: list[str], marked: bool = True) -> None:
        """Runs a command on the VM until it has done its work, over lost connections; all of them may be repeated.

        Args:
          marked: Whether it ends with vm.sh's own word; a plain copy or mkdir is judged by its status.

        Raises:
          RunError: The VM's part failed.
          Preempted: The TPU was taken back.
        """
        for trial in range(SET_UP_TRIALS):
            done = self._call(command)
            if done.returncode == 0 and (not marked or "nigt-vm: done" in done.stdout):
                return
            failures = [line for line in done.stdout.splitlines() if line.startswith("nigt-vm: failed: ")]
            if failures:
                raise RunError(f"on the VM: {gcloud.without_account(failures[-1].removeprefix('nigt-vm: failed: '))}")
            self._require_presence()
            self._say(f"the connection is lost ({gcloud.last_line(done)}); trial {trial + 1} of {SET_UP_TRIALS}")
            self._rest()
        raise RunError(f"{SET_UP_TRIALS} trials of `{gcloud.show(command)[:200]}` failed: {gcloud.last_line(done)}")

    def _require_presence(self, patience: int = 1) -> None:
        """Raises Preempted where the TPU was taken back, RunError where somebody has deleted it."""
        for _ in range(patience):
            found, word = gcloud.presence(self._request)
            if found is Presence.GONE:
                raise Preempted(f"the TPU was taken back ({word})")
            if found is Presence.ABSENT:  # what Google takes back stays in its lists
                raise RunError(f"somebody has deleted the TPU; the same command goes on from {self._request.folder}")
            if patience > 1:
                self._rest()

    def _call(self, command: list[str], seconds: float = 3600) -> subprocess.CompletedProcess:
        self._look_at_the_time()
        seconds = seconds if self._ending else max(1.0, min(seconds, self._seconds_left()))
        done = gcloud.run(command, seconds, self._is_asked_to_stop)
        self._look_at_the_time()
        return done

    def _look_at_the_time(self) -> None:
        if self._is_asked_to_stop():
            raise Stopped(self._signal or "asked to stop by `delete`")
        if not self._ending and self._seconds_left() < 0:
            raise Stopped(f"--max_hours={self._request.max_hours:g} are over")

    def _is_asked_to_stop(self) -> bool:
        return self._signal is not None or (not self._ending and self._states.is_asked_to_stop(self._request.name))

    def _seconds_left(self) -> float:
        return (self.state.deadline() - datetime.datetime.now(datetime.UTC)).total_seconds()

    def _rest(self) -> None:
        self._wake.wait(self._poll_seconds)

    def _keep(self, phase: str) -> None:
        self.state.phase = phase
        self._states.write(self.state)

    def _keep_if_possible(self, phase: str) -> None:
        """A full disk must not keep anything from being deleted."""
        try:
            self._keep(phase)
        except OSError as error:
            self._say(f"{self._states.path(self._request.name)}: {error.strerror}; it should say: {phase}")

    def _say(self, text: str, name: str = "launch: ") -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody listens any more
            self._show(name + text)

    @contextlib.contextmanager
    def _taking_signals(self) -> Iterator[None]:
        """A first SIGINT or SIGTERM ends the run in order; what is created is deleted in any case."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, frame: types.FrameType | None) -> None:
            del frame
            self.stop(signal.Signals(number).name)
            with contextlib.suppress(OSError):  # not print, which the signal may have interrupted
                os.write(2, f"launch: {self._signal}: ending what was begun\n".encode())

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        previous = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
