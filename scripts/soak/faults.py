"""What can befall a run, done to real runs: each ends with one clear line and the right exit status, and loses nothing.

Each fault is a function of a Case that raises AssertionError where something is lost or badly said. The soak and the
tests use them.
"""

import dataclasses
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np

from scripts.soak import kills
from scripts.soak.forked import Run, arguments
from trainers.checkout import ROOT

STEPS, INTERVAL = 60, 20
SETTINGS: dict[str, Any] = dict(
    train_steps=STEPS,
    validation_interval=INTERVAL,
    experiment__steps_per_loop=5,
    experiment__checkpoint_interval=10,
    experiment__norms=True,
)


@dataclasses.dataclass
class Case:
    """Where and with what a fault is tried.

    Attributes:
      folder: Empty.
      data: The laptop data.
      reference: The directory of the unbroken run of `arguments("bert_nigt", …, **SETTINGS)`.
      generator: Draws what is random.
    """

    folder: pathlib.Path
    data: pathlib.Path
    reference: pathlib.Path
    generator: random.Random

    def start(
        self,
        directory: str = "run",
        name: str = "bert_nigt",
        user: tuple[int, int] | None = None,
        data: pathlib.Path | None = None,
        **bindings: Any,
    ) -> Run:
        """Starts a run in a directory of the folder."""
        argv = arguments(name, self.folder / directory, data or self.data, **(SETTINGS | bindings))
        number = len(list(self.folder.glob("*.out")))
        return Run(argv, self.folder / f"{number}.out", user)

    def linked(self, kind: str = "manuals", name: str = "data") -> pathlib.Path:
        """A folder of links to the text or the images, of which one can be replaced."""
        folder = self.folder / name / kind
        folder.mkdir(parents=True)
        for file in (self.data / kind).iterdir():
            (folder / file.name).symlink_to(file.resolve())
        return folder

    def finish_as_the_reference(self, directory: str = "run") -> None:
        """Runs the same command to its end, which has to be the reference's."""
        assert self.start(directory).wait() == 0
        found = kills.differences(self.reference, self.folder / directory)
        assert not found, found[:3]


def _ends(run: Run, status: int, *said: str, seconds: float = 300) -> None:
    """Asserts the exit status and that the last line that the command printed says this."""
    found = run.wait(seconds)
    assert found == status, f"exit status {found}, not {status}: {run.text()[-500:]}"
    assert "Traceback" not in run.text(), run.text()[-1500:]
    lines = run.message() if status in (1, 2) else run.text().splitlines()
    assert lines and (status not in (1, 2) or len(lines) == 1), run.text()[-500:]
    assert all(word in "\n".join(lines) for word in said), lines


def _record(directory: pathlib.Path) -> dict:
    return json.loads((directory / "run.json").read_text())


def _content(directory: pathlib.Path) -> dict[str, bytes]:
    """What a refused process must not have changed. It may add to train.log."""
    files = (
        file for file in directory.rglob("*") if file.is_file() and file.name not in ("train.log", ".lock", ".reserve")
    )
    return {str(file.relative_to(directory)): file.read_bytes() for file in files}


def sigterm(case: Case) -> None:
    """A preemption notice at a random moment: a checkpoint, status interrupted, exit 4 within 20 s."""
    run = case.start()
    begun = case.generator.choice((0, 1, INTERVAL, INTERVAL + 5))
    run.wait_for(lambda: (run.directory / "run.json").exists() and run.step() >= begun)
    time.sleep(case.generator.uniform(0, 1.5))
    asked = time.monotonic()
    run.send(signal.SIGTERM)
    _ends(run, 4, "SIGTERM", "goes on from there", seconds=20)
    assert time.monotonic() - asked < 20
    record = _record(run.directory)
    assert record["status"] == "interrupted" and begun <= record["steps"] + 10 and record["steps"] <= STEPS, record
    case.finish_as_the_reference()
    assert _record(run.directory)["preemptions"] == 1


def disk_full(case: Case) -> None:
    """The disk fills up while a checkpoint is written, or before: exit 1; checkpoint and record are whole."""
    disk = case.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", disk], check=True)
    try:
        run = case.start("disk/run")
        assert run.wait_for(lambda: (run.directory / "ckpt-10.index").exists())
        room = case.generator.choice((0, 40_000, 300_000))  # for nothing, for metrics.csv, for a part of a checkpoint
        with open(disk / "filler", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - room)
        _ends(run, 1, "disk/run", "the disk is full", "goes on from step")
        record = _record(run.directory)
        assert record["status"] == "failed" and record["finished"] and 10 <= record["steps"] < STEPS, record
        (disk / "filler").unlink()
        case.finish_as_the_reference("disk/run")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def damaged_record(case: Case) -> None:
    """A training file is cut off, or a bit flipped: exit 2, with its name; mended, the run ends as the unbroken."""
    data = case.linked()
    victim = case.generator.choice(sorted(data.glob("train-*")))
    whole = victim.resolve()
    content = bytearray(whole.read_bytes())
    # Of the first record with its frame; the others are about as long.
    size = 16 + int.from_bytes(content[:8], "little")
    # Among the first ones, which the shuffle buffer takes in before the first step.
    place = case.generator.randrange(size, 100 * size)
    if case.generator.random() < 0.5:
        content = content[:place]
    else:
        content[place] ^= 1 << case.generator.randrange(8)
    victim.unlink()
    victim.write_bytes(content)
    run = case.start(data=data.parent)
    _ends(run, 2, victim.name, "damaged or cut off", "build the data again")
    assert _record(run.directory)["status"] == "failed"
    victim.unlink()
    victim.symlink_to(whole)
    assert case.start(data=data.parent).wait() == 0
    found = kills.differences(case.reference, run.directory)
    assert not found, found[:3]


def unfit_record(case: Case) -> None:
    """A whole record whose image is cut off: exit 2, with file, record and reason; not TensorFlow's boilerplate."""
    import tensorflow as tf

    data = case.linked("images")
    victim = case.generator.choice(sorted(data.glob("train-*")))
    records = list(tf.data.TFRecordDataset(str(victim)).as_numpy_iterator())
    number = case.generator.randrange(200)  # of four files: among the first that the steps read
    example = tf.train.Example.FromString(records[number])
    image = example.features.feature["image/encoded"].bytes_list
    image.value[0] = image.value[0][: len(image.value[0]) // 3]
    records[number] = example.SerializeToString()
    victim.unlink()
    with tf.io.TFRecordWriter(str(victim)) as writer:
        for record in records:
            writer.write(record)
    run = case.start(name="resnet_nigt", data=data.parent, resnet_classification__shuffle_buffer=100)
    _ends(run, 2, victim.name, f"record {number} ", "Invalid PNG data", "build the data again")


def odd_names(case: Case) -> None:
    """Brackets, stars, quotes and blanks in both paths: nothing differs, and two checkpoints are kept."""
    name = "a [1] *? 'b' $c"
    data = case.linked(name=name).parent
    run = case.start(f"{name}/run", data=data)
    assert run.wait_for(lambda: (run.directory / "ckpt-30.index").exists())
    run.send(signal.SIGKILL)
    run.wait()
    assert case.start(f"{name}/run", data=data).wait() == 0
    kept = {int(file.stem.partition("-")[2]) for file in run.directory.glob("ckpt-*.index")}
    assert kept == {STEPS - 10, STEPS} and len(list(run.directory.glob("best_ckpt/*.index"))) == 1, kept
    found = kills.differences(case.reference, run.directory.rename(case.folder / "run"))
    assert not found, found[:3]


def empty_shard(case: Case) -> None:
    """A file of no bytes: exit 2 before anything is written."""
    data = case.linked()
    victim = case.generator.choice(sorted(data.glob("*.tfrecord")))
    victim.unlink()
    victim.touch()
    run = case.start(data=data.parent)
    _ends(run, 2, victim.name, "an empty shard")
    assert not run.directory.exists()


def half_a_checkpoint(case: Case) -> None:
    """The newest checkpoint is cut off: the one before it is used, and said so."""
    run = case.start()
    run.wait_for(lambda: run.step() >= INTERVAL + 10)
    assert run.alive, run.text()[-500:]
    run.send(signal.SIGKILL)
    run.wait()
    found = sorted(run.directory.glob("ckpt-*.index"), key=lambda file: int(file.stem.split("-")[1]))
    newest, before = found[-1].with_suffix(""), found[-2].with_suffix("")
    victim = case.generator.choice([file for file in run.directory.glob(f"{newest.name}.*")])
    size = victim.stat().st_size
    os.truncate(victim, case.generator.choice((0, size // 2, size - 1)))
    case.finish_as_the_reference()
    log = (run.directory / "train.log").read_text()
    assert f"{newest} is damaged" in log and f"trying {before.name}" in log, log


def another_run(case: Case) -> None:
    """The directory of another configuration or optimizer: exit 2, naming the difference; nothing is changed."""
    directory = case.folder / "run"
    shutil.copytree(case.reference, directory)
    before = _content(directory)
    beta = round(case.generator.uniform(0.1, 0.8), 3)
    _ends(case.start(beta=beta), 2, "another configuration", "beta", str(beta), "0.9", "MODEL_DIR")
    _ends(case.start(name="bert_adam"), 2, "another configuration", "experiment.optimizer", "@nigt()", "@adam()")
    assert _content(directory) == before
    (directory / "config.gin").unlink()
    _ends(case.start(), 2, "without its config.gin")


def two_runs(case: Case) -> None:
    """Two processes in one directory: one is refused, and the other does not notice."""
    argv = arguments("bert_nigt", case.folder / "run", case.data, **SETTINGS)
    runs = [Run(argv, case.folder / f"{name}.out") for name in ("first", "second")]
    statuses = [run.wait() for run in runs]
    assert sorted(statuses) == [0, 2], statuses
    _ends(runs[statuses.index(2)], 2, "another run is at work", "process")
    found = kills.differences(case.reference, case.folder / "run")
    assert not found, found[:3]


def no_permission(case: Case) -> None:
    """A directory that may not be written: exit 2, nothing in it. Root, not bound by permissions, runs as nobody."""
    nobody = pwd.getpwnam("nobody")
    user = (nobody.pw_uid, nobody.pw_gid) if os.getuid() == 0 else None
    for folder in (case.folder, *case.folder.parents[:-1]):
        if folder.stat().st_mode & 0o011 != 0o011:
            folder.chmod(folder.stat().st_mode | 0o011)
    directory = case.folder / "run"
    directory.mkdir(mode=0o755 if user else 0o555)
    _ends(case.start(user=user), 2, str(directory), "no permission to write", "MODEL_DIR")
    assert not list(directory.iterdir())


# The kernel does not know of the jump: a deadline by the jumped clock has to be put back, or a wait of a second would
# last as long as the jump.
_CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static time_t offset(void) { return access(getenv("CLOCK_FILE"), F_OK) ? 0 : atol(getenv("CLOCK_JUMP")); }
static int real_gettime(clockid_t id, struct timespec *t) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  return real(id, t);
}
int clock_gettime(clockid_t id, struct timespec *t) {
  int result = real_gettime(id, t);
  if (id == CLOCK_REALTIME) t->tv_sec += offset();
  return result;
}
int gettimeofday(struct timeval *t, void *zone) {
  struct timespec now; clock_gettime(CLOCK_REALTIME, &now);
  t->tv_sec = now.tv_sec; t->tv_usec = now.tv_nsec / 1000; return 0;
}
time_t time(time_t *t) {
  struct timespec now; clock_gettime(CLOCK_REALTIME, &now);
  if (t) *t = now.tv_sec;
  return now.tv_sec;
}
static struct timespec by_real_clock(const struct timespec *deadline) {
  struct timespec now, put_back = *deadline; real_gettime(CLOCK_REALTIME, &now);
  long ahead = deadline->tv_sec - now.tv_sec, jump = offset();
  if (labs(ahead - jump) < labs(ahead)) put_back.tv_sec -= jump;
  return put_back;
}
int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *deadline) {
  static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
  if (!real) real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  struct timespec put_back = by_real_clock(deadline);
  return real(c, m, &put_back);
}
long syscall(long number, ...) {
  static long (*real)(long, ...);
  if (!real) real = dlsym(RTLD_NEXT, "syscall");
  va_list list; long a[6]; struct timespec put_back;
  va_start(list, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_futex && a[3] && (a[1] & FUTEX_CLOCK_REALTIME)) {
    put_back = by_real_clock((const struct timespec *)a[3]);
    a[3] = (long)&put_back;
  }
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
"""


def clock_jumps(case: Case) -> None:
    """The clock is set forward or back by up to a year in the middle: nothing differs but the times in run.json."""
    (case.folder / "clock.c").write_text(_CLOCK)
    library, jumped = case.folder / "clock.so", case.folder / "jumped"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, case.folder / "clock.c", "-ldl"], check=True)
    jump = case.generator.choice((-1, 1)) * case.generator.randrange(3600, 365 * 86400)
    environment = os.environ | {"LD_PRELOAD": str(library), "CLOCK_FILE": str(jumped), "CLOCK_JUMP": str(jump)}
    environment["PYTHONFAULTHANDLER"] = "1"
    directory = case.folder / "run"
    command = [sys.executable, "-m", "trainers.train", *arguments("bert_nigt", directory, case.data, **SETTINGS)[1:]]
    with open(case.folder / "run.out", "w") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        while process.poll() is None and not (directory / "ckpt-10.index").exists():
            time.sleep(0.02)
        jumped.touch()
        try:
            status = process.wait(300)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # faulthandler says where every thread stands
            status = process.wait()
    assert status == 0, (case.folder / "run.out").read_text()[-5000:]
    assert not kills.differences(case.reference, directory)
    with open(directory / "metrics.csv") as file:
        walls = [float(line.split(",")[2]) for line in file.readlines()[1:]]
    assert walls == sorted(walls) and 0 <= walls[-1] < 600, walls


def divergence(case: Case) -> None:
    """The loss becomes NaN: exit 3, the metrics and a checkpoint from before are kept; the next run is not affected."""
    run = case.start(
        name="resnet_sgd",
        eta0=100.0,
        beta=0.99,
        train_steps=200,
        validation_interval=100,
        resnet_classification__l2_weight_decay=10.0,
    )
    _ends(run, 3, "diverged", "last checkpoint")
    record = _record(run.directory)
    assert record["status"] == "diverged" and record["finished"] and kills.metrics(run.directory), record
    for name, value in kills.variables(run.directory).items():
        assert not name.startswith("model/") or np.all(np.isfinite(value)), name
    assert case.start("next", name="resnet_sgd", train_steps=20, eta0=0.01).wait() == 0


FAULTS = (
    sigterm,
    disk_full,
    damaged_record,
    unfit_record,
    odd_names,
    empty_shard,
    half_a_checkpoint,
    another_run,
    two_runs,
    no_permission,
    clock_jumps,
    divergence,
)
