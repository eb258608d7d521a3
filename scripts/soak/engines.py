"""Beam's other engines as processes of this machine, and what can befall them: the text has the same bytes."""

import contextlib
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil

from scripts.soak.faults import Case
from trainers.checkout import ROOT

_OPTIONS = ("--vocab_size=2000", "--dupe_factor=2", "--held_out=0.1", "--shards=3", "--held_out_shards=1")


@contextlib.contextmanager
def portable(folder: pathlib.Path) -> Iterator[list[str]]:
    """Beam's own job service and its pool of external workers, one worker a pipeline; the pipeline options for them.

    Args:
      folder: For their files and logs.
    """
    with contextlib.closing(socket.socket()) as one:
        one.bind(("localhost", 0))
        pool = one.getsockname()[1]
    port = folder / "port"
    # The pool starts the `python` of the PATH.
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with contextlib.ExitStack() as stack:
        service = ["apache_beam.runners.portability.local_job_service_main", f"--port_file={port}"]
        stack.enter_context(_process(folder, *service))
        stack.enter_context(
            _process(folder, "apache_beam.runners.worker.worker_pool_main", f"--service_port={pool}", PATH=path)
        )
        _wait_for(port)
        yield [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{port.read_text()}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{pool}",
        ]


@contextlib.contextmanager
def dask(folder: pathlib.Path, workers: int = 2) -> Iterator[tuple[list[str], list[subprocess.Popen]]]:
    """A scheduler of Dask's and so many workers; the pipeline options for them, and the workers' processes."""
    file = folder / "scheduler.json"
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            _process(folder, "dask", "scheduler", "--host=127.0.0.1", "--port=0", f"--scheduler-file={file}")
        )
        _wait_for(file)
        worker = ["dask", "worker", f"--scheduler-file={file}", "--nthreads=1", "--no-nanny"]
        started = [
            stack.enter_context(_process(folder, *worker, f"--local-directory={folder / str(number)}"))
            for number in range(workers)
        ]
        yield ["--runner=DaskRunner", f"--dask_scheduler_file={file}"], started


def kill_while_it_writes(
    workers: list[subprocess.Popen], work: pathlib.Path, generator: random.Random
) -> tuple[int, str]:
    """SIGKILLs the first worker that is found with an unfinished shard open; its process id and the shard's name."""
    while True:
        for worker in generator.sample(workers, len(workers)):
            if _open_shard(worker.pid, work):
                worker.send_signal(signal.SIGSTOP)
                shard = _open_shard(worker.pid, work)  # what it has open now, it will not finish
                worker.send_signal(signal.SIGKILL if shard else signal.SIGCONT)
                if shard:
                    return worker.pid, shard
        time.sleep(0.002)


def killed_worker(case: Case) -> None:
    """One of Dask's two workers is killed while it writes."""
    with dask(case.folder) as (arguments, workers):
        build = _start(case, arguments)
        kill_while_it_writes(workers, case.folder / "built" / "text" / ".building", case.generator)
        _compare(case, build)


def foreign_workers(case: Case) -> None:
    """Workers that Beam's job service has started, and the build killed at a random moment and repeated."""
    with portable(case.folder) as arguments:
        build = _start(case, arguments)
        with contextlib.suppress(subprocess.TimeoutExpired):
            build.wait(case.generator.uniform(5, 40))
        build.kill()
        build.wait()
        _compare(case, _start(case, arguments))


FAULTS = (killed_worker, foreign_workers)


def _start(case: Case, arguments: list[str], folder: str = "built") -> subprocess.Popen:
    """Starts a build of a part of the speeches."""
    from data.laptop import sample

    books = case.folder / "sample" / "books"
    if not books.exists():
        sample.write(books.parent, case.data.parent / "downloads")
        for book in sorted(books.iterdir())[60:]:
            book.unlink()
    command = [sys.executable, "-m", "data.bert", f"--data_dir={case.folder / folder}", f"--books={books}", *_OPTIONS]
    command += ["--workers=1", f"--beam={' '.join(arguments)}"]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def _compare(case: Case, build: subprocess.Popen) -> None:
    for process in (build, _start(case, [], "reference")):
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0 and not said, said
    built, reference = (
        {path.name: path.read_bytes() for path in (case.folder / name / "text").iterdir()}
        for name in ("built", "reference")
    )
    assert built == reference, sorted(name for name in reference if built.get(name) != reference[name])


@contextlib.contextmanager
def _process(folder: pathlib.Path, module: str, *arguments: str, **environment: str) -> Iterator[subprocess.Popen]:
    """`python -m module` in the checkout, so that it finds our code; at the end it and its children are gone."""
    with open(folder / f"{module}-{len(list(folder.iterdir()))}.log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env=os.environ | environment,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.wait()


def _wait_for(file: pathlib.Path) -> None:
    deadline = time.monotonic() + 300
    while not (file.exists() and file.stat().st_size):
        assert time.monotonic() < deadline, f"{file}: did not come"
        time.sleep(0.05)


def _open_shard(process: int, work: pathlib.Path) -> str | None:
    with contextlib.suppress(psutil.Error):
        for file in psutil.Process(process).open_files():
            match = re.fullmatch(r"(train-.*\.tfrecord)\.\w+\.partial", pathlib.Path(file.path).name)
            if match and pathlib.Path(file.path).parent == work:
                return match[1]
    return None
