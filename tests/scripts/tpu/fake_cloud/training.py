"""Stands in for trainers.train where the launcher is tested, not the training: takes the same arguments, leaves the
same files by the same RunDirectory. FAKE_STEPS steps of 20 ms; ends with status FAKE_STATUS."""

import argparse
import os
import signal
import sys
import time

from trainers import gin_files
from trainers.running.atomic import write_atomically
from trainers.running.directory import RunDirectory
from trainers.running.metrics_log import MetricsLog

parser = argparse.ArgumentParser()
parser.add_argument("--model_dir")
parser.add_argument("--gin_file")
parser.add_argument("--gin_param", action="append", default=[])
parser.add_argument("--seed", type=int)
arguments = parser.parse_args(sys.argv[3:])  # after -m trainers.train

stopped = []
signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
experiment = gin_files.load(arguments.gin_file, arguments.gin_param, arguments.seed)  # only a clone has the file
directory = RunDirectory(
    arguments.model_dir,
    experiment,
    gin_files.operative_config(),
    "data",
    device=f"TPU {os.environ['TPU_NAME']}",
    metric="accuracy",
    command="none",
)
steps, checkpoint = int(os.environ["FAKE_STEPS"]), directory.path / "ckpt"
start = int(checkpoint.read_text()) if checkpoint.exists() else 0
if start >= steps and directory.record["status"] == "ok":
    sys.exit(0)
log = MetricsLog(directory.path / "metrics.csv", start, 8)
directory.begin(start)
print(f"starts at step {start}", flush=True)
for step in range(start + 1, steps + 1):
    time.sleep(0.02)
    log.write(step, {"validation": {"accuracy": step / steps}, "selection": {"accuracy": step / steps}})
    write_atomically(checkpoint, str(step))
    directory.update("running", step)
    print(f"step {step}", flush=True)
    if stopped:
        directory.update("interrupted", step)
        sys.exit(4)
status = int(os.environ.get("FAKE_STATUS", "0"))
directory.update({0: "ok", 3: "diverged"}.get(status, "failed"), steps)
print(f"ends with status {status}", flush=True)
sys.exit(status)
