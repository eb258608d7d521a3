"""The README and the docs: their commands run as they stand there, their links lead somewhere."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
import urllib.request

import pytest

from scripts import demo, markdown
from tests.conftest import ROOT

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "nigt/README.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
README = PAGES[0].read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S)
COMMANDS = [line.split("#")[0].strip() for kind, text in BLOCKS if not kind for line in text.splitlines() if line]
SHORT = "train_steps=20"
# Not that of a make, which these tests may be run by: its flags would be theirs.
SHELL = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in (link for link in links if not link.startswith("https://")):
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
            assert heading in map(markdown.anchor, headings), f"{page.name}: {link}"


def test_ci_runs_the_test_commands_of_the_readme():
    tests = [command for command in COMMANDS if command.split()[1].startswith(("lint", "test"))]
    assert len(tests) == 3 and all(command in (ROOT / ".ci" / "run").read_text().splitlines() for command in tests)


@pytest.fixture(scope="module")
def clone(tmp_path_factory, laptop_data):
    """What git tracks here, as it is now, with this environment and the built data."""
    folder = tmp_path_factory.mktemp("clone")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    (folder / ".data").symlink_to(laptop_data.parent)
    return folder


def _run(clone, command, *more, gin=""):
    """Types the command in the clone. Its training is cut short; `gin` joins what it binds itself."""
    words = shlex.split(command)
    if gin:
        bound = next((word for word in words if word.startswith("GIN=")), "GIN=")
        words = [word for word in words if word != bound] + [f"{bound} {gin}"]
    made = subprocess.run(
        [*words, f"VENV={ROOT / '.venv'}", *more], cwd=clone, env=SHELL, capture_output=True, text=True, timeout=1800
    )
    assert made.returncode == 0, f"{command}\n{made.stdout}\n{made.stderr}"
    return made.stdout


def _training():
    return [command for command in COMMANDS if re.match(r"make \w+-\w+(-sweep)? SCALE=laptop", command)]


def _fetch(clone, command, address):
    """Starts a server, waits for the address that it prints, and returns its page."""
    settings = clone / "jupyter"
    settings.mkdir(exist_ok=True)
    (settings / "jupyter_server_config.py").write_text(
        "c.ServerApp.allow_root = True\nc.ServerApp.open_browser = False"
    )
    log = clone / "server.log"
    with open(log, "w") as output:
        server = subprocess.Popen(
            [*shlex.split(command), f"VENV={ROOT / '.venv'}"],
            cwd=clone,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"JUPYTER_CONFIG_DIR": str(settings)},
        )
    try:
        for _ in range(600):
            if found := re.search(address, log.read_text()):
                return urllib.request.urlopen(found[0], timeout=30).read().decode()  # noqa: S310
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
        raise AssertionError(log.read_text())
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.mark.heavy
def test_the_commands_run_one_after_another(clone):
    """Training, changing η0, sweeping, using the trained model, drawing."""
    first, changed, sweep = _training()
    assert changed.startswith(first) and "-sweep" in sweep
    run = "runs/laptop/resnet_nigt-s0"
    _run(clone, first, f"MODEL_DIR={run}", gin=SHORT)
    assert "export" in {path.name for path in (clone / run).iterdir()}
    _run(clone, changed, gin=SHORT)
    assert len(list((clone / "runs" / "laptop").glob("resnet_nigt-eta0=0.003*-s0"))) == 1
    _run(clone, sweep, gin=SHORT)
    assert (clone / "results" / "laptop" / "sweep" / "runs.csv").exists()
    load = next(text for kind, text in BLOCKS if kind == "python" and "export" in text)
    made = subprocess.run([ROOT / ".venv/bin/python", "-c", load], cwd=clone, capture_output=True, text=True)
    assert made.returncode == 0 and "shape=(1, 10)" in made.stdout and "kernel" in made.stdout, made.stderr
    before = (clone / "results/laptop/demo/figure1.png").read_bytes()
    _run(clone, next(command for command in COMMANDS if command.startswith("make figure1")))
    assert (clone / "results/laptop/demo/figure1.png").read_bytes() == before


@pytest.mark.heavy
def test_the_demo_says_how_its_numbers_compare_and_leaves_tracked_files_alone(clone):
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout.split("\0")
    before = {name: (clone / name).read_bytes() for name in names if name}
    assert "make demo" in COMMANDS
    said = _run(clone, "make demo", "SHORTER=40")
    assert said.startswith("demo: needs ") and "6 of 6 numbers differ from the committed ones" in said
    assert (clone / "runs/laptop/demo/results/figure1.png").exists()
    assert {name: (clone / name).read_bytes() for name in before} == before
    assert len(re.findall(r"^(?:BERT|ResNet).*  differs$", said, re.M)) == 6


def test_the_demo_says_which_numbers_differ():
    same = {run.name: "0.5" for run in demo.RUNS}
    assert "All 6 numbers equal the committed ones" in demo.comparison(same, same)
    other = demo.comparison(same | {"resnet_sgd": "0.25"}, same)
    assert "1 of 6 numbers differ" in other and re.findall("^.*differs$", other, re.M) == [
        "ResNet, SGD                        25.00  50.00      differs"
    ]


@pytest.mark.heavy
def test_the_pages_open(clone):
    assert "<title>TensorBoard" in _fetch(clone, "make tensorboard", r"http://localhost:\d+/")
    assert "<title>Jupyter" in _fetch(clone, "make notebooks", r"http://(?:localhost|127\.0\.0\.1):\d+/\S+")


def test_help_and_the_dry_launch(clone, cloud):
    help_text = _run(clone, "make help")
    targets = {command.split()[1].removesuffix("-sweep") for command in COMMANDS}
    assert all(re.search(rf"^{target} ", help_text, re.M) for target in targets)
    (launch,) = [command for command in COMMANDS if "TPU=" in command]
    assert "DRY_RUN=1" in launch and "gcloud" in _run(ROOT, launch)  # a launch needs a commit
    assert cloud.left() == []
