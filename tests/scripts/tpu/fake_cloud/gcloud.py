"""Stands in for gcloud on the PATH. Its cloud is the folder FAKE_CLOUD: queued/, nodes/, vms/ (their home directories,
in which `ssh` really runs its command), buckets/, calls.jsonl, and faults.json, which says what is to go wrong:

  quota         `create` is refused
  waiting       so many `describe`s see the TPU not ready yet
  slow          every command takes so many seconds
  preempt       a list: each number is the `poll`, counted from 1 over all TPUs, at which the TPU is taken back,
                once the bucket has a checkpoint
  reboot        the same, at which it is started anew: its disk stays, its processes do not
  lose          a list: numbers of the ssh and scp commands, from 1, whose connection is lost before the command runs
  lose_answer   the same, after it has run
  delete        so many deletions fail; -1: all
  describe      every `describe` fails: nobody is logged in
  create        "lost": the creation's answer is lost, and gcloud asks again; "failed": Google fails to create it
  vanish        a list of polls at which somebody deletes the TPU
  ls            so many `storage ls` give no answer
  storage       nothing can be written to the bucket; a number: from so many `storage` commands on
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

CLOUD = pathlib.Path(os.environ["FAKE_CLOUD"])


def main(arguments):
    with open(CLOUD / "calls.jsonl", "a") as log:
        log.write(json.dumps(["gcloud", *arguments]) + "\n")
    time.sleep(faults().get("slow", 0))
    if arguments[0] == "storage":
        return storage(arguments[1], [a for a in arguments[2:] if not a.startswith("--")], arguments[2:])
    _, _, kind, verb, *rest = arguments
    positional = [a for a in rest if not a.startswith("--")]
    flags = dict(a[2:].partition("=")[::2] for a in rest if a.startswith("--"))
    return VERBS[verb](kind, positional, flags)


def faults():
    file = CLOUD / "faults.json"
    return json.loads(file.read_text()) if file.exists() else {}


def count(what):
    """How often this has been asked, from 1."""
    file = CLOUD / f"count-{what}"
    number = int(file.read_text()) + 1 if file.exists() else 1
    file.write_text(str(number))
    return number


def fail(message, status=1):
    print(f"ERROR: (gcloud) {message}", file=sys.stderr)
    return status


def record(kind, name):
    return CLOUD / {"tpu-vm": "nodes", "queued-resources": "queued"}[kind] / name


def create(kind, positional, flags):
    (name,) = positional
    if record(kind, name).exists():
        return fail(f"ALREADY_EXISTS: {name}")
    if faults().get("quota"):
        if kind == "queued-resources":  # it stays in the list, failed
            record(kind, name).write_text("FAILED")
        return fail("RESOURCE_EXHAUSTED: Quota limit 'TPUV3sPerProjectPerZone' has been exceeded. Limit: 0 in zone")
    if faults().get("create") == "failed":
        record(kind, name).write_text("FAILED")
        return 0
    waiting = faults().get("waiting", 0)
    record(kind, name).write_text(f"WAITING_FOR_RESOURCES {waiting}" if waiting else "READY")
    node = flags.get("node-id", name)
    record("tpu-vm", node).write_text(f"CREATING {waiting}" if waiting else "READY")
    venv = CLOUD / "vms" / node / "nigt" / "venv"
    (venv / "bin").mkdir(parents=True)
    # The image of this cloud has the locked environment: installing 3 GB is not what is tested.
    shutil.copy(CLOUD / "python", venv / "bin" / "python")
    (venv / f".ready-{(CLOUD / 'lock').read_text()}").touch()
    return fail(f"ALREADY_EXISTS: {name}") if faults().get("create") == "lost" else 0


def describe(kind, positional, flags):
    if faults().get("describe"):
        return fail("You do not currently have an active account selected.")
    file = record(kind, positional[0])
    if not file.exists():
        return fail(f"NOT_FOUND: Resource 'projects/p/locations/z/{kind}/{positional[0]}' was not found")
    word, _, left = file.read_text().partition(" ")
    if left:
        file.write_text(f"{word} {int(left) - 1}" if int(left) > 1 else "READY")
    print(word)
    return 0


def delete(kind, positional, flags):
    (name,) = positional
    failing = faults().get("delete", 0)
    if failing < 0 or count("delete") <= failing:
        return fail("INTERNAL: an internal error has occurred")
    if not record(kind, name).exists():
        return fail(f"NOT_FOUND: {name}")
    if kind == "queued-resources":
        assert "force" in flags
    end_vm(name)
    shutil.rmtree(CLOUD / "vms" / name, ignore_errors=True)
    record("tpu-vm", name).unlink(missing_ok=True)
    record(kind, name).unlink(missing_ok=True)
    return 0


def end_vm(name):
    """As when the power goes: no signal that anybody could act on."""
    for pid in (CLOUD / "vms" / name / "nigt").glob("*pid"):
        if int(pid.read_text()) == os.getpgrp():  # it deletes itself, and the command has still to answer
            continue
        for kill in (os.killpg, os.kill):  # it may not be the leader of its group yet
            with contextlib.suppress(ProcessLookupError):
                kill(int(pid.read_text()), signal.SIGKILL)


def connection(name):
    """None, or the status of a connection that fails; and whether it fails only after the command."""
    number = count("connections")
    if number in faults().get("lose", []):
        return 255, False
    if not record("tpu-vm", name).exists() or record("tpu-vm", name).read_text() != "READY":
        return 255, False
    return (255, True) if number in faults().get("lose_answer", []) else (None, False)


def ssh(kind, positional, flags):
    (name,) = positional
    assert flags["worker"] == "0"
    polls = count("polls") if " poll " in flags["command"] else 0
    if polls in faults().get("reboot", []):
        end_vm(name)
    if polls in faults().get("vanish", []):
        end_vm(name)
        for each in ("tpu-vm", "queued-resources"):
            record(each, name).unlink(missing_ok=True)
    if polls in faults().get("preempt", []):
        limit = time.monotonic() + 30  # on a busy machine the run may not have got to its first copy
        while not list(CLOUD.glob("buckets/**/ckpt*")) and time.monotonic() < limit:
            time.sleep(0.05)
        end_vm(name)
        record("tpu-vm", name).write_text("PREEMPTED")
        if record("queued-resources", name).exists():
            record("queued-resources", name).write_text("SUSPENDED")
    lost, after = connection(name)
    if lost and not after:
        return fail("ssh: connect to host 10.0.0.1 port 22: Connection timed out", lost)
    home = CLOUD / "vms" / name
    done = subprocess.run(
        ["bash", "-c", flags["command"]], cwd=home, env=os.environ | {"HOME": str(home)}, capture_output=True
    )
    if lost:
        return fail("Connection reset by peer", lost)
    sys.stdout.buffer.write(done.stdout)
    sys.stderr.buffer.write(done.stderr)
    return done.returncode


def scp(kind, positional, flags):
    *sources, target = positional
    name = next(place.split(":")[0] for place in positional if ":" in place)
    lost, _ = connection(name)
    if lost:
        return fail("lost connection", lost)
    home = CLOUD / "vms" / name
    sources, target = (
        [home / p.split(":")[1] if ":" in p else pathlib.Path(p) for p in ps] for ps in (sources, [target])
    )
    for source in sources:
        if source.is_dir():
            assert "recurse" in flags
            shutil.copytree(source, target[0] / source.name)
        else:
            shutil.copy(source, target[0])
    return 0


def local(place):
    return CLOUD / "buckets" / place.removeprefix("gs://") if place.startswith("gs://") else pathlib.Path(place)


def storage(verb, places, arguments):
    limit = faults().get("storage")
    if verb != "ls" and limit is not None and count("storage") > int(limit):
        return fail("HTTPError 403: me@example.com does not have storage.objects.create access.")
    if verb == "ls" and count("ls") <= faults().get("ls", 0):
        return fail("HTTPError 503: Service Unavailable")
    if verb == "rm":
        local(places[0]).unlink()
        return 0
    if verb == "ls":
        return (
            0 if any(p.is_file() for p in local(places[0]).rglob("*")) else fail("One or more URLs matched no objects.")
        )
    *sources, target = map(local, places)
    if verb == "cp":
        target.parent.mkdir(parents=True, exist_ok=True)
        for source in sources:
            shutil.copy(source, target)
        return 0
    (source,) = sources
    assert verb == "rsync"
    excluded = [a.partition("=")[2] for a in arguments if a.startswith("--exclude=")]

    def files(folder):
        names = {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()}
        return {n for n in names if not any(re.match(pattern, str(n)) for pattern in excluded)}

    for name in files(source):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        upload = CLOUD / f"upload-{os.getpid()}"  # an object of a bucket appears whole, also where this is killed
        try:
            shutil.copy2(source / name, upload)
            os.replace(upload, target / name)
        except FileNotFoundError:  # gone since it was listed
            pass
    if "--delete-unmatched-destination-objects" in arguments:
        for name in files(target) - files(source):
            (target / name).unlink()
    return 0


VERBS = {"create": create, "describe": describe, "delete": delete, "ssh": ssh, "scp": scp}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
