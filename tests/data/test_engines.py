"""The builds of text and images on Beam's other engines, as processes of this machine: the bytes are the same."""

import os
import random
import shutil
import subprocess
import sys
import threading

import pytest

from data import pieces
from data.bert import build as bert_build
from data.bert import sources as bert_sources
from data.errors import InputError
from data.imagenet import build as imagenet_build
from data.imagenet import photographs
from scripts.soak import engines
from tests.conftest import ROOT
from tests.data.bert.text import hashes

OPTIONS = bert_build.Options(vocab_size=2000, dupe_factor=2, held_out=0.1, shards=4, held_out_shards=1, seed=7)
COUNTS = {"train": 60, "validation": 21}
CLOUD = [
    "--runner=DataflowRunner",
    "--project=my-project",
    "--region=europe-west4",
    "--temp_location=gs://my-bucket/temp",
]
THREADS = ["--direct_num_workers=3", "--direct_running_mode=multi_threading"]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Photographs as the usual TFRecords of ImageNet."""
    folder = tmp_path_factory.mktemp("records")
    for split, shards, images in (
        ("train", 4, photographs.train_images(COUNTS["train"], 5)),
        ("validation", 2, photographs.validation_images(COUNTS["validation"])),
    ):
        photographs.write_records(folder, split, shards, images, first_label=1)
    return folder


@pytest.fixture(scope="module")
def books(inputs, tmp_path_factory):
    """Sixty long texts."""
    folder = tmp_path_factory.mktemp("books")
    for book in sorted(inputs[1].iterdir())[:60]:
        shutil.copy(book, folder)
    return folder


class Builds:
    """Both builds from the same sources, with other pipeline options.

    Attributes:
      by: Of the last build: the process that did it, by file.
    """

    def __init__(self, books, records, monkeypatch):
        self._books, self._records = books, records
        monkeypatch.setattr(bert_sources, "_BOOKS_OF_A_UNIT", 500_000)  # several pieces
        run = pieces.run

        def run_and_note(*arguments, **more):
            found = run(*arguments, **more)
            self.by |= {file: record["by"][1] for record in found for file in record["files"]}
            return found

        monkeypatch.setattr(pieces, "run", run_and_note)

    def text(self, folder, arguments=()):
        self.by = {}
        units = bert_sources.list_units(None, None, str(self._books))
        assert len(units) > 2
        bert_build.build(units, str(folder), OPTIONS, beam_arguments=arguments)
        return hashes(folder)

    def images(self, folder, arguments=()):
        self.by = {}
        imagenet_build.build(str(self._records), str(folder), beam_arguments=arguments, counts=COUNTS, held_out=0.2)
        return hashes(folder)


@pytest.fixture(scope="module")
def reference(books, records, tmp_path_factory):
    """What this process writes."""
    folder = tmp_path_factory.mktemp("reference")
    with pytest.MonkeyPatch.context() as patch:
        builds = Builds(books, records, patch)
        found = {"text": builds.text(folder / "text"), "images": builds.images(folder / "images")}
        assert set(builds.by.values()) == {os.getpid()}
    return found


@pytest.fixture
def builds(books, records, monkeypatch):
    return Builds(books, records, monkeypatch)


def _refuses_bad_input(arguments, books, records, folder):
    """Of both commands: one line on stderr that names the file, and status 2."""
    shutil.copytree(books, folder / "books")
    (folder / "books" / "latin-1.txt").write_bytes(b"caf\xe9")
    shutil.copytree(records, folder / "records")
    shard = folder / "records" / "train-00002-of-00004"
    shard.write_bytes(shard.read_bytes()[:-10])
    expected = {"bert": f"{folder}/books/latin-1.txt: not UTF-8", "imagenet": f"{shard}: damaged or cut off after"}
    common = [f"--data_dir={folder}/data", "--workers=1", f"--beam={' '.join(arguments)}"]
    sources = {"bert": [f"--books={folder}/books", "--held_out=0.1"], "imagenet": [f"--records={folder}/records"]}
    started = {
        name: subprocess.Popen(
            [sys.executable, "-m", f"data.{name}", *common, *more], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        for name, more in sources.items()
    }
    for name, process in started.items():
        _, said = process.communicate()
        assert process.returncode == 2 and said.startswith(f"{name}-data: {expected[name]}"), said
        assert said.count("\n") == 1 and said.endswith("\n"), said


@pytest.mark.heavy
def test_threads_of_one_process_share_nothing(builds, reference, tmp_path):
    """Dataflow's workers have threads, and so have Dask's unless they are told otherwise."""
    assert builds.text(tmp_path / "text", THREADS) == reference["text"]
    assert builds.images(tmp_path / "images", THREADS) == reference["images"]
    assert set(builds.by.values()) == {os.getpid()}


@pytest.mark.heavy
def test_foreign_workers_of_beam_s_job_service(builds, reference, books, records, tmp_path):
    """The job service has one worker for each pipeline: two for the text, one for the images."""
    with engines.portable(tmp_path) as arguments:
        assert builds.text(tmp_path / "text", arguments) == reference["text"]
        writers = set(builds.by.values())
        assert len(writers) == 2
        assert builds.images(tmp_path / "images", arguments) == reference["images"]
        writers |= set(builds.by.values())
        assert len(writers) == 3 and os.getpid() not in writers
        _refuses_bad_input(arguments, books, records, tmp_path)


@pytest.mark.heavy
def test_two_workers_of_dask_of_which_one_is_killed(builds, reference, books, records, tmp_path):
    with engines.dask(tmp_path) as (arguments, workers):
        assert builds.images(tmp_path / "images", arguments) == reference["images"]
        assert set(builds.by.values()) == {worker.pid for worker in workers}
        killed = []
        killer = threading.Thread(
            target=lambda: killed.extend(
                engines.kill_while_it_writes(workers, tmp_path / "text" / ".building", random.Random(0))
            ),
            daemon=True,
        )
        killer.start()
        assert builds.text(tmp_path / "text", arguments) == reference["text"]
        killer.join(60)
        process, shard = killed
        (left,) = {worker.pid for worker in workers} - {process}
        assert builds.by[shard] == left
        assert not (tmp_path / "text" / ".building").exists()
        _refuses_bad_input(arguments, books, records, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runner=NoSuchRunner"], "Unexpected pipeline runner: NoSuchRunner"),
        (["--runner=DataflowRunner"], "Missing required option: project"),
        (CLOUD, r"please install apache_beam\[gcp\]"),
        (
            ["--runner=DaskRunner", "--dask_client_address=tcp://127.0.0.1:1", "--dask_connection_timeout=1"],
            "Timed out",
        ),
        (["--runner=PortableRunner", "--job_endpoint=localhost:1", "--job_server_timeout=1"], "no answer"),
    ],
)
def test_an_engine_that_is_not_there_is_named(records, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message) as error:
        imagenet_build.build(str(records), str(tmp_path / "images"), beam_arguments=arguments, counts=COUNTS)
    assert str(error.value).startswith("BEAM='--runner=") and "\n" not in str(error.value)


def test_where_dask_is_missing_its_extra_is_named(records, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("apache_beam.runners.dask")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("dask", "dask.bag", "dask.distributed"):
        monkeypatch.setitem(sys.modules, name, None)  # as Python does it for a module that is not to be found
    with pytest.raises(InputError, match=r"BEAM='--runner=DaskRunner': .*; install apache-beam\[dask\];"):
        imagenet_build.build(
            str(records), str(tmp_path / "images"), beam_arguments=["--runner=DaskRunner"], counts=COUNTS
        )
