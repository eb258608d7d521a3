"""The points of a sweep as trials of an Optuna study: enqueued once, claimed by one worker, tried again once."""

import contextlib
import dataclasses
import fcntl
import json
import pathlib
import threading
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping

import optuna
import sqlalchemy
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from data.errors import InputError, RunError
from scripts.sweep.database import ERRORS, Patience, connect, reason
from scripts.sweep.grid import Point, Value
from scripts.sweep.training import Ended
from trainers import gin_files
from trainers.exit_status import ExitStatus
from trainers.running.held import LOCK, is_locked

HEARTBEAT_SECONDS = 15
GRACE_SECONDS = 60  # without a heartbeat: then a worker counts as killed
POLL_SECONDS = 5
RETRIES = 1
_CLAIMED = ".claim"  # locked in a run's directory by the worker that has claimed it
_POINT, _STATUS, _SETTINGS = "point", "status", "settings"
_RESULTS = (TrialState.COMPLETE, TrialState.PRUNED)
_AT_WORK_OR_DONE = (TrialState.RUNNING, *_RESULTS)


class Queue:
    """The trials of one study.

    Args:
      url: Of the database, as SQLAlchemy takes it, or journal:///FILE; several machines may share one.
      name: Of the study in it.
      settings: What the runs have in common: gin_file, gin_param, seed, and config, their operative_config. A study
        holds one sweep: with other settings it is refused.
      folder: Where processes of this machine lock each other out while they claim.

    Raises:
      InputError: The database cannot be opened, or holds a sweep with other settings under this name.
    """

    def __init__(self, url: str, name: str, settings: dict, folder: pathlib.Path):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # retries
        shown = f"--storage={without_password(url)}"
        patience = Patience(shown)
        self._retry = RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)
        self._lock, self._folder, self._file = threading.Lock(), folder, folder / ".claim.lock"
        self._told: set[str] = set()
        try:
            with self._alone():
                self._storage = connect(url, patience)
                self._study = optuna.create_study(
                    storage=self._storage, study_name=name, direction="maximize", load_if_exists=True
                )
                if different := _differences(self._study.user_attrs.get(_SETTINGS, settings), settings):
                    raise InputError(f"{shown}: study {name!r} is of another sweep: {different[0]}; name another")
                self._study.set_user_attr(_SETTINGS, settings)
        except (*ERRORS, ImportError) as error:
            mend = "`make postgresql` installs it" if getattr(error, "name", "") == "psycopg" else "correct the URL"
            raise InputError(f"{shown}: {reason(error)}; {mend}") from error

    def enqueue(self, points: list[Point]) -> None:
        """Adds the points that the study does not have; a wider grid adds to what is there."""
        with self._alone():
            known = {_key(trial) for trial in self._study.get_trials(deepcopy=False)}
            for point in points:
                if _text(point) not in known:
                    self._study.enqueue_trial(dict(point.values), user_attrs={_POINT: _text(point)})

    def claim(self, points: Collection[Point]) -> "Claim | None":
        """A trial of one of these points that waits, now this worker's; None where none waits.

        A trial counts as killed, and its point is tried once more, when its heart has not beaten for GRACE_SECONDS and
        no process of this machine holds it. Of another machine's trial the heart alone tells; it is given time after
        the database has stalled or its clock has been set.

        Args:
          points: With a Training each, in a mapping, or else a point's name is its run's directory, too.
        """
        by_text = {_text(point): point for point in points}
        directories = {
            text: self._folder / (points[point] if isinstance(points, Mapping) else point).name
            for text, point in by_text.items()
        }
        with self._alone():
            ages = self._storage.heartbeat_ages(self._study._study_id)
            is_calm = self._storage.patience.calm_seconds > 2 * HEARTBEAT_SECONDS  # every heart had time to beat
            for trial in self._trials(by_text):
                # A beat from the future, of a clock that was set back, tells no more than one long past.
                is_silent = is_calm and abs(ages.get(trial._trial_id, 0)) > GRACE_SECONDS
                if trial.state == TrialState.RUNNING and is_silent and not _is_held(directories[_key(trial)]):
                    self._set(trial._trial_id, TrialState.FAIL)
            for trial in self._owed(self._trials(by_text)):
                self._retry(self._study, trial)
            trials = self._trials(by_text)
            taken = {_key(trial) for trial in trials if trial.state in _AT_WORK_OR_DONE}
            for trial in (trial for trial in trials if trial.state == TrialState.WAITING):
                key, trial_id = _key(trial), trial._trial_id
                if key in taken:  # two machines enqueued it at the same time: the first trial counts
                    self._set(trial_id, TrialState.FAIL)
                    continue
                taken.add(key)
                if _is_held(directories[key]):  # started by hand, or another machine took it for dead
                    if key not in self._told and is_locked(directories[key] / LOCK):
                        self._told.add(key)
                        print(f"sweep: {directories[key]}: a run is at work there already; waiting", flush=True)
                else:
                    directories[key].mkdir(parents=True, exist_ok=True)
                    self._storage.record_heartbeat(trial_id)  # first: its last one may be a day old
                    if self._set(trial_id, TrialState.RUNNING):  # else another machine's, since the list was made
                        return Claim(self, trial_id, by_text[key], directories[key])
        return None

    def left(self, points: Collection[Point]) -> int:
        """How many of these points wait or are at work, here or elsewhere."""
        trials = self._trials(set(map(_text, points)))
        is_open = [trial for trial in trials if trial.state in (TrialState.WAITING, TrialState.RUNNING)]
        return len({_key(trial) for trial in is_open + self._owed(trials)})

    def is_finished(self, points: Collection[Point]) -> bool:
        """Whether no trial of these points waits or is at work, here or elsewhere."""
        return self.left(points) == 0

    def outcomes(self) -> dict[Point, "Outcome"]:
        """How each point ended, as enqueued; of several trials, the one that did not fail."""
        found: dict[str, Outcome] = {}
        for trial in self._study.get_trials(deepcopy=False):
            key = _key(trial)
            if key and (key not in found or found[key].has_failed):
                found[key] = Outcome(trial.state, trial.value)
        return {_point(key): outcome for key, outcome in found.items()}

    def has_failed(self, points: Iterable[Point]) -> bool:
        """Whether one of the points has no result."""
        outcomes = self.outcomes()
        return any(point not in outcomes or outcomes[point].has_failed for point in points)

    def _trials(self, keys: Collection[str]) -> list[FrozenTrial]:
        return [trial for trial in self._study.get_trials(deepcopy=False) if _key(trial) in keys]

    def _owed(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Of the points that have only failed, the last trials, where they are to be tried once more."""
        last = {_key(trial): trial for trial in trials if trial.state == TrialState.FAIL}
        others = {_key(trial) for trial in trials if trial.state != TrialState.FAIL}
        return [t for key, t in last.items() if key not in others and len(self._retry.retry_history(t)) < RETRIES]

    def _set(self, trial_id: int, state: TrialState, values: list[float] | None = None) -> bool:
        """Whether the trial has this state now; not if it has ended, or is no longer there to be claimed."""
        try:
            return self._storage.set_trial_state_values(trial_id, state, values)
        except optuna.exceptions.UpdateFinishedTrialError:
            return False

    def _keep_result(self, trial: FrozenTrial, state: TrialState, values: list[float] | None) -> None:
        """Records the result of a trial that counts as killed, if its point has none: in an open trial or a new one."""
        with self._alone():
            while True:
                trials = self._trials({_key(trial)})
                if any(other.state in _RESULTS for other in trials):
                    return
                still_open = [other for other in trials if not other.state.is_finished()]
                if not still_open:
                    fields = {name: getattr(trial, name) for name in ("params", "distributions", "user_attrs")}
                    self._study.add_trial(optuna.create_trial(state=state, values=values, **fields))
                elif self._set(still_open[0]._trial_id, state, values):
                    return

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Optuna's claim is atomic where the database locks rows; SQLite does not."""
        with self._lock, open(self._file, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a point ended.

    Attributes:
      state: Of its trial; PRUNED: it diverged.
      selection: The metric on the selection data; None where it did not get to the end.
    """

    state: TrialState
    selection: float | None = None

    @property
    def has_result(self) -> bool:
        """Whether it ended, or diverged: it is in the results."""
        return self.state in _RESULTS

    @property
    def has_failed(self) -> bool:
        """Whether it ended without a result."""
        return self.state == TrialState.FAIL

    def __str__(self) -> str:
        if self.state == TrialState.COMPLETE:
            return f"{self.selection:.4f} on selection"
        words = {TrialState.PRUNED: "diverged", TrialState.FAIL: "failed", TrialState.WAITING: "waits"}
        return words.get(self.state, "at work")


def _differences(there: dict, here: dict) -> list[str]:
    """What two sweeps' settings differ in. Older versions kept, in place of config, what no later one can compare."""
    names = [name for name in here if name != "config" and there.get(name, here[name]) != here[name]]
    if names or "config" not in there:
        return [f"{name} is {there[name]!r} there and {here[name]!r} here" for name in names]
    return gin_files.differences(gin_files.loads(there["config"]), gin_files.loads(here["config"]))


def without_password(url: str) -> str:
    """The URL as it may be shown.

    Raises:
      InputError: It is none.
    """
    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError as error:
        raise InputError(
            "--storage: not a database's URL; write sqlite:///FILE, journal:///FILE or postgresql://…"
        ) from error


class Claim:
    """A trial at work. As a context, it locks the run's directory and tells the database every few seconds.

    Attributes:
      point: What is to be run.
    """

    def __init__(self, queue: Queue, trial_id: int, point: Point, directory: pathlib.Path):
        self.point = point
        self._queue, self._trial_id, self._directory = queue, trial_id, directory
        trial = optuna.trial.Trial(queue._study, trial_id)
        for name, value in point.values:  # so that Optuna's own tools know the parameters
            _suggest(trial, name, value)
        self._ended = threading.Event()

    def __enter__(self) -> "Claim":
        self._file = open(self._directory / _CLAIMED, "w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._file.close()

    def tell(self, ended: Ended) -> bool:
        """Records how the run ended: a value, diverged (pruned), failed (once more), or interrupted (waits again).

        Returns:
          Whether the trial was still this worker's. If not, it counted as killed, and was tried again; a value, or that
          it diverged, is recorded all the same, if no other worker's is there.
        """
        state = {
            ExitStatus.DONE: TrialState.COMPLETE,
            ExitStatus.DIVERGED: TrialState.PRUNED,
            ExitStatus.INTERRUPTED: TrialState.WAITING,
            ExitStatus.BAD_INPUT: TrialState.WAITING,  # nothing was run: the user mends it and repeats the sweep
        }.get(ended.status, TrialState.FAIL)
        values = None if ended.selection is None else [ended.selection]
        storage = self._queue._storage
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            storage.set_trial_user_attr(self._trial_id, _STATUS, ended.status.name.lower())
            storage.set_trial_state_values(self._trial_id, state, values)
            return True
        if state in _RESULTS:
            self._queue._keep_result(storage.get_trial(self._trial_id), state, values)
        return False

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(RunError):  # the database was away for long; the run is not
                self._queue._storage.record_heartbeat(self._trial_id)


def _is_held(directory: pathlib.Path) -> bool:
    """Whether a run is at work in it, or a worker of this machine is about to start one, or to record its result."""
    return any(is_locked(directory / name) for name in (_CLAIMED, LOCK))


def _suggest(trial: optuna.trial.Trial, name: str, value: Value) -> None:
    """Gives the trial its parameter. Of numbers the range may grow from trial to trial, of words it may not."""
    if isinstance(value, (bool, str)):
        trial.set_user_attr(name, value)
    else:
        trial.suggest_float(name, float(value), float(value))


def _text(point: Point) -> str:
    return json.dumps(point.values)


def _key(trial: FrozenTrial) -> str:
    return trial.user_attrs.get(_POINT, "")


def _point(text: str) -> Point:
    return Point(tuple((name, value) for name, value in json.loads(text)))
