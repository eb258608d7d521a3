"""Optuna's storages with patience: an access that fails for the moment is tried again, for minutes."""

import contextlib
import functools
import math
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, _CachedStorage
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.storages._rdb.models import TrialHeartbeatModel, TrialModel
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from sqlalchemy import exc

from data.errors import InputError, RunError

PATIENCE_SECONDS = 600
LONG_SECONDS = 10  # so long a wait is told of
_LONGEST_PAUSE = 3  # between two tries
ERRORS = (exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)
_BEAT = "heartbeat"
T = TypeVar("T")


class Patience:
    """Calls what uses the database, again and again while it is locked or cannot be reached.

    Args:
      name: Of the database, as it may be shown.
    """

    def __init__(self, name: str):
        self._name, self._is_told, self._last_trouble = name, False, -math.inf

    def __call__(self, access: Callable[[], T], other_failures: int = 0) -> T:
        """What the access returns; it is one transaction, which a failure undoes.

        Where the server dies while it commits, the next try may find the work done: a trial that is taken then counts
        as another's, and is soon taken for dead; a result is there.

        Args:
          access: What to call.
          other_failures: How many that do not look as if they would pass are tried again, too.

        Raises:
          RunError: The database has not answered for PATIENCE_SECONDS.
        """
        begun, pause = time.monotonic(), 0.1
        while True:
            try:
                result = access()
            except (*ERRORS, OSError) as error:
                if not _may_pass(error):
                    if not other_failures:
                        raise
                    other_failures -= 1
                waited = time.monotonic() - begun
                if waited > PATIENCE_SECONDS:
                    raise RunError(
                        f"{self._name}: {reason(error)}, for {waited / 60:.0f} minutes; mend that, then repeat the "
                        "command: it goes on"
                    ) from error
                if waited > LONG_SECONDS and not self._is_told:  # once, whoever of the threads is the first
                    self._is_told = True
                    minutes = f"{PATIENCE_SECONDS / 60:.0f} minutes"
                    print(f"sweep: {self._name}: {reason(error)}; trying again for {minutes}", flush=True)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self._is_told = False
                if time.monotonic() - begun > LONG_SECONDS:
                    self.note_trouble()
                return result

    def note_trouble(self) -> None:
        """Something kept workers from the database, or moved its clock, until now."""
        self._last_trouble = time.monotonic()

    @property
    def calm_seconds(self) -> float:
        """For how long the database has answered promptly, by a steady clock; as far as this process knows."""
        return time.monotonic() - self._last_trouble


def connect(url: str, patience: Patience) -> "PatientStorage | PatientJournal":
    """Opens the storage: a database, or with journal:///FILE Optuna's journal.

    Raises:
      ImportError, sqlalchemy.exc.SQLAlchemyError, OSError: It cannot be opened, which is said at once.
      InputError: The file is no journal.
    """
    parsed = sqlalchemy.engine.make_url(url)
    if parsed.drivername == "journal":
        try:
            return PatientJournal(JournalFileBackend(parsed.database or ""), patience)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{parsed.database}: not a journal of Optuna's; name another file") from error
    sqlalchemy.create_engine(url).connect().close()
    # Of machines that begin at once, one makes the tables, and the others fail because they are there.
    return PatientStorage(patience(lambda: RDBStorage(url), other_failures=5), patience)


class PatientStorage(_CachedStorage):
    """Optuna's storage in a database; every access has patience."""

    def __init__(self, backend: RDBStorage, patience: Patience):
        super().__init__(backend)
        self.patience = patience
        self._clock_ahead: float | None = None

    def heartbeat_ages(self, study_id: int) -> dict[int, float]:
        """Seconds since the last heartbeat, by the database's clock, of the trials at work, by id."""
        with self._backend.engine.connect() as connection:
            now = connection.execute(sqlalchemy.select(sqlalchemy.func.now())).scalar_one().replace(tzinfo=None)
            beats = connection.execute(
                sqlalchemy.select(TrialHeartbeatModel.trial_id, TrialHeartbeatModel.heartbeat)
                .join(TrialModel, TrialModel.trial_id == TrialHeartbeatModel.trial_id)
                .where(TrialModel.study_id == study_id, TrialModel.state == TrialState.RUNNING)
            ).all()
        ahead = (now - now.min).total_seconds() - time.monotonic()
        if self._clock_ahead is not None and abs(ahead - self._clock_ahead) > LONG_SECONDS:  # it was set, or we slept
            self.patience.note_trouble()
        self._clock_ahead = ahead
        return {trial_id: (now - beat).total_seconds() for trial_id, beat in beats}


class PatientJournal(JournalStorage):
    """Optuna's storage in a file that only grows; every access has patience."""

    def __init__(self, backend: JournalFileBackend, patience: Patience):
        super().__init__(backend)
        self.patience = patience
        self._seen: dict[int, tuple[float | None, float]] = {}

    def record_heartbeat(self, trial_id: int) -> None:
        """Adds a beat that differs from the last one."""
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # it was taken for dead
            self.set_trial_user_attr(trial_id, _BEAT, time.time())

    def heartbeat_ages(self, study_id: int) -> dict[int, float]:
        """Seconds, by this process's steady clock, that it has seen no new beat of the trials at work, by id.

        A file has no clock, and those of two machines may differ.
        """
        now, ages = time.monotonic(), {}
        for trial in self.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,)):
            beat = trial.user_attrs.get(_BEAT)
            seen, since = self._seen.get(trial._trial_id, (beat, now))
            if seen != beat:
                since = now
            self._seen[trial._trial_id] = beat, since
            ages[trial._trial_id] = now - since
        return ages


def _patient(method: Callable) -> Callable:
    @functools.wraps(method)
    def called(self: PatientStorage | PatientJournal, *args: Any, **kwargs: Any) -> Any:
        return self.patience(lambda: method(self, *args, **kwargs))

    return called


for _class in (PatientStorage, PatientJournal):
    for _name in (*BaseStorage.__abstractmethods__, *BaseHeartbeat.__abstractmethods__, "heartbeat_ages"):
        if hasattr(_class, _name):
            setattr(_class, _name, _patient(getattr(_class, _name)))


def reason(error: BaseException) -> str:
    """What the database said, in one line."""
    return str(error.__cause__ or error).strip().splitlines()[0]


def _may_pass(error: BaseException) -> bool:
    """Whether the next try may succeed: after a lock, a deadlock, a lost connection; not where a table is missing."""
    cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    if not isinstance(cause, exc.DBAPIError):
        return isinstance(cause, (exc.TimeoutError, exc.PendingRollbackError, OSError))
    for_good = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY)
    if getattr(cause.orig, "sqlite_errorcode", sqlite3.SQLITE_BUSY) & 0xFF in for_good:
        return False
    return cause.connection_invalidated or isinstance(cause, (exc.OperationalError, exc.InterfaceError))
