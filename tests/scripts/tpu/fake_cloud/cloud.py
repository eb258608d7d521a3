"""The cloud on disk as a test has it, and the launcher's folders beside it."""

import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

from absl import flags

from scripts.tpu import __main__ as launch_tpu
from tests.conftest import ROOT

HERE = pathlib.Path(__file__).resolve().parent


class Cloud:
    """The cloud of one test, and the launcher's folders."""

    def __init__(self, folder: pathlib.Path, monkeypatch):
        self.folder, self.home = folder / "cloud", folder
        for name in ("queued", "nodes", "vms", "buckets", "bin"):
            (self.folder / name).mkdir(parents=True)
        gcloud = self.folder / "bin" / "gcloud"
        gcloud.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(HERE / "gcloud.py"))} "$@"\n'
        )
        gcloud.chmod(0o755)
        self.lock("tpu_vm.txt")
        self.python(f'exec {shlex.quote(sys.executable)} {shlex.quote(str(HERE / "training.py"))} "$@"')
        monkeypatch.setenv("PATH", f"{self.folder / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("FAKE_CLOUD", str(self.folder))
        monkeypatch.setenv("FAKE_STEPS", "40")
        monkeypatch.setenv("NIGT_SYNC_SECONDS", "0.2")
        monkeypatch.setenv("NIGT_TRIAL_SECONDS", "0.1")
        monkeypatch.setattr("scripts.tpu.deletion.TRIALS", 3)

    def lock(self, name: str) -> None:
        """What the VMs' environment was installed from."""
        lock = subprocess.run(["git", "show", f"HEAD:requirements/{name}"], cwd=ROOT, capture_output=True, check=True)
        (self.folder / "lock").write_text(hashlib.sha256(lock.stdout).hexdigest()[:16])

    def python(self, script: str) -> None:
        """What the VMs' environment runs as Python."""
        (self.folder / "python").write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / "python").chmod(0o755)

    def faults(self, **faults) -> None:
        """What is to go wrong."""
        (self.folder / "faults.json").write_text(json.dumps(faults))

    def arguments(self, *more: str) -> list[str]:
        """Of a launch of bert_nigt."""
        return [
            *("--experiment=bert_nigt", "--data=gs://my-bucket/text", *self.common(), *more),
        ]

    def common(self) -> list[str]:
        """Of any launch."""
        return [
            *("--tpu=v3-8", "--zone=europe-west4-a", "--project=my-project", "--bucket=my-bucket", "--name=run"),
            *("--max_hours=1", "--expected_hours=0.5", "--yes"),
            *("--price_per_core_hour=2", "--poll_seconds=0.1", f"--state_dir={self.home / 'launches'}"),
            f"--results={self.home / 'results'}",
        ]

    def call(self, *argv: str) -> int:
        """The launcher in this process; its exit status."""
        values = flags.FlagValues()
        launch_tpu.define_flags(values)
        return int(launch_tpu.main(values(["launch_tpu", *argv]), values))

    def launch(self, *more: str) -> int:
        return self.call("launch", *self.arguments(*more))

    def left(self) -> list[str]:
        """What exists."""
        return sorted(path.name for kind in ("queued", "nodes", "vms") for path in (self.folder / kind).iterdir())

    def calls(self) -> list[list[str]]:
        file = self.folder / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def state(self) -> dict:
        return json.loads((self.home / "launches" / "run.json").read_text())

    def record(self) -> dict:
        """Of the run, as it came back."""
        return json.loads((self.home / "launches" / "run" / "run.json").read_text())

    def wait_for(self, what, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end
            time.sleep(0.05)

    def is_training(self) -> bool:
        return any((self.folder / "vms").glob("*/nigt/*/ckpt"))
