"""The points of a sweep as trials of an Optuna study: enqueued once, claimed by one worker, tried again once."""

import contextlib
import dataclasses
import fcntl
import json
import pathlib
import threading
import warnings

import optuna
import sqlalchemy
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from data.errors import InputError
from scripts.sweep.grid import Point, Value
from scripts.sweep.training import Ended
from trainers import gin_files
from trainers.exit_status import ExitStatus

HEARTBEAT_SECONDS = 15
GRACE_SECONDS = 60  # without a heartbeat: then a worker counts as killed
POLL_SECONDS = 5
RETRIES = 1
_POINT, _STATUS, _SETTINGS = "point", "status", "settings"
_AT_WORK_OR_DONE = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)


class Queue:
    """The trials of one study.

    Args:
      url: Of the database, as SQLAlchemy takes it; several machines may share one.
      name: Of the study in it.
      settings: What the runs have in common: gin_file, gin_param, seed, and config, their operative_config. A study
        holds one sweep: with other settings it is refused.
      folder: Where processes of this machine lock each other out while they claim.

    Raises:
      InputError: The database cannot be opened, or holds a sweep with other settings under this name.
    """

    def __init__(self, url: str, name: str, settings: dict, folder: pathlib.Path):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # heartbeats
        shown = without_password(url)
        self._retry = RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)
        self._lock, self._file = threading.Lock(), folder / ".claim.lock"
        try:
            with self._alone():
                self._storage = RDBStorage(
                    url,
                    heartbeat_interval=HEARTBEAT_SECONDS,
                    grace_period=GRACE_SECONDS,
                    heartbeat_stale_trial_callback=self._retry,
                )
                self._study = optuna.create_study(
                    storage=self._storage, study_name=name, direction="maximize", load_if_exists=True
                )
                if different := _differences(self._study.user_attrs.get(_SETTINGS, settings), settings):
                    raise InputError(
                        f"--storage={shown}: study {name!r} is of another sweep: {different[0]}; name another"
                    )
                self._study.set_user_attr(_SETTINGS, settings)
        except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError) as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise InputError(f"--storage={shown}: {reason}; correct the URL") from error

    def enqueue(self, points: list[Point]) -> None:
        """Adds the points that the study does not have; a wider grid adds to what is there."""
        with self._alone():
            known = {_key(trial) for trial in self._study.get_trials(deepcopy=False)}
            for point in points:
                if _text(point) not in known:
                    self._study.enqueue_trial(dict(point.values), user_attrs={_POINT: _text(point)})

    def claim(self, points) -> "Claim | None":
        """A trial of one of these points that waits, now this worker's; None where none waits."""
        by_text = {_text(point): point for point in points}
        with self._alone():
            optuna.storages.fail_stale_trials(self._study)
            trials = self._study.get_trials(deepcopy=False)
            taken = {_key(trial) for trial in trials if trial.state in _AT_WORK_OR_DONE}
            for trial in trials:
                if trial.state != TrialState.WAITING or _key(trial) not in by_text:
                    continue
                if not self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
                    continue  # another machine's, since the list was made
                if _key(trial) in taken:  # two machines enqueued it at the same time
                    self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
                    continue
                return Claim(self._study, self._storage, self._retry, trial._trial_id, by_text[_key(trial)])
        return None

    def is_finished(self, points) -> bool:
        """Whether no trial of these points waits or is at work, here or elsewhere."""
        wanted = set(map(_text, points))
        open_states = (TrialState.WAITING, TrialState.RUNNING)
        trials = self._study.get_trials(deepcopy=False, states=open_states)
        return not any(_key(trial) in wanted for trial in trials)

    def outcomes(self) -> dict[Point, "Outcome"]:
        """How each point ended, as enqueued; of several trials, the one that did not fail."""
        found: dict[str, Outcome] = {}
        for trial in self._study.get_trials(deepcopy=False):
            key = _key(trial)
            if key and (key not in found or found[key].has_failed):
                found[key] = Outcome(trial.state, trial.value)
        return {_point(key): outcome for key, outcome in found.items()}

    def has_failed(self, points) -> bool:
        """Whether one of the points has no result."""
        outcomes = self.outcomes()
        return any(point not in outcomes or outcomes[point].has_failed for point in points)

    @contextlib.contextmanager
    def _alone(self):
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
        raise InputError("--storage: not a database's URL; write sqlite:///FILE or postgresql://…") from error


class Claim:
    """A trial at work. As a context, it tells the database so every few seconds.

    Attributes:
      point: What is to be run.
    """

    def __init__(
        self, study, storage: RDBStorage, retry: RetryHeartbeatStaleTrialCallback, trial_id: int, point: Point
    ):
        self.point = point
        self._study, self._storage, self._retry, self._trial_id = study, storage, retry, trial_id
        self._trial = optuna.trial.Trial(study, trial_id)
        for name, value in point.values:  # so that Optuna's own tools know the parameters
            _suggest(self._trial, name, value)
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        storage.record_heartbeat(trial_id)

    def __enter__(self) -> "Claim":
        self._heart.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._heart.join()

    def tell(self, ended: Ended) -> None:
        """Records how the run ended: a value, diverged (pruned), failed (once more), or interrupted (waits again)."""
        state = {
            ExitStatus.DONE: TrialState.COMPLETE,
            ExitStatus.DIVERGED: TrialState.PRUNED,
            ExitStatus.INTERRUPTED: TrialState.WAITING,
            ExitStatus.BAD_INPUT: TrialState.WAITING,  # nothing was run: the user mends it and repeats the sweep
        }.get(ended.status, TrialState.FAIL)
        self._trial.set_user_attr(_STATUS, ended.status.name.lower())
        values = None if ended.selection is None else [ended.selection]
        self._storage.set_trial_state_values(self._trial_id, state, values)
        if state == TrialState.FAIL:
            self._retry(self._study, self._storage.get_trial(self._trial_id))

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            self._storage.record_heartbeat(self._trial_id)


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
