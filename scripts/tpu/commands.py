"""The gcloud commands of a launch, as lists: what is run is what --dry_run prints."""

import shlex

from scripts.tpu.request import Request

HOME = "nigt"  # the folder on the VM, in the home directory
ARCHIVE, SCRIPT = "nigt.git.tar", "vm.sh"
LOGS = "logs"


class Commands:
    """The commands for one request. Values come from a Request, which has checked them."""

    def __init__(self, request: Request):
        self._request = request
        self._where = [f"--zone={request.zone}", f"--project={request.project}", "--quiet"]

    def describe(self) -> list[str]:
        """Prints the TPU's state."""
        return [*self._tpu("describe"), "--format=value(state)"]

    def describe_queued(self) -> list[str]:
        """Prints the queued resource's state."""
        return [*self._queued("describe"), "--format=value(state.state)"]

    def create(self) -> list[str]:
        """Asks for the TPU."""
        request, machine = self._request, self._request.machine
        spot = ["--spot"] if request.spot else []
        if request.queued:
            return [
                *self._queued("create"),
                f"--node-id={request.name}",
                f"--accelerator-type={machine.accelerator}",
                f"--runtime-version={machine.runtime_version}",
                *spot,
            ]
        return [
            *self._tpu("create"),
            f"--accelerator-type={machine.accelerator}",
            f"--version={machine.runtime_version}",
            *spot,
        ]

    def delete(self) -> list[list[str]]:
        """Deletes what `create` made: a queued resource goes with its TPU."""
        if self._request.queued:
            return [[*self._queued("delete"), "--force"]]
        return [self._tpu("delete")]

    def make_folder(self) -> list[str]:
        """The folder that the files are copied to."""
        return self._ssh(["mkdir", "-p", HOME])

    def copy(self, archive: str, script: str) -> list[str]:
        """Copies the clone's commit and the VM's part of the launcher."""
        return [*self._scp(), archive, script, f"{self._request.name}:{HOME}/"]

    def set_up(self) -> list[str]:
        """Installs the locked environment on the VM."""
        return self._vm("setup", self._request.commit)

    def start(self, preemptions: int) -> list[str]:
        """Starts the run, or finds that it is at work."""
        request = self._request
        environment = dict(request.machine.environment)
        environment.setdefault("TPU_NAME", request.name)  # a pod is found by its name
        environment["NIGT_PREEMPTIONS"] = str(preemptions)
        settings = [f"{name}={value}" for name, value in sorted(environment.items())]
        train = [f"--gin_file={request.gin_file}", f"--seed={request.seed}"]
        train += [f"--gin_param={binding}" for binding in request.all_bindings]
        return self._vm("start", request.name, request.folder, *settings, "--", *train)

    def poll(self, offset: int) -> list[str]:
        """Prints how the run is, and its log from a byte on."""
        return self._vm("poll", str(offset))

    def stop(self) -> list[str]:
        """Stops the run at a checkpoint and copies its files to the bucket."""
        return self._vm("stop")

    def pack(self) -> list[str]:
        """Gathers the small files of the run in one folder on the VM."""
        return self._vm("pack")

    def fetch(self, folder: str) -> list[str]:
        """Copies that folder here."""
        return [*self._scp(), "--recurse", f"{self._request.name}:{HOME}/{LOGS}/{self._request.name}", folder]

    def _vm(self, *arguments: str) -> list[str]:
        return self._ssh(["bash", f"{HOME}/{SCRIPT}", *arguments])

    def _ssh(self, command: list[str]) -> list[str]:
        # The VM's shell reads the command: every word of it is quoted.
        return [*self._tpu("ssh"), "--worker=0", f"--command={shlex.join(command)}"]

    def _scp(self) -> list[str]:
        return ["gcloud", "compute", "tpus", "tpu-vm", "scp", *self._where, "--worker=0"]

    def _tpu(self, verb: str) -> list[str]:
        return ["gcloud", "compute", "tpus", "tpu-vm", verb, self._request.name, *self._where]

    def _queued(self, verb: str) -> list[str]:
        return ["gcloud", "compute", "tpus", "queued-resources", verb, self._request.name, *self._where]


def plan(request: Request) -> list[list[str]]:
    """The commands of a run that nothing disturbs, in order; `poll` stands for as many as it takes."""
    commands = Commands(request)
    waiting = [commands.describe_queued()] if request.queued else []
    return [
        commands.describe(),
        *waiting,
        commands.create(),
        *waiting,
        commands.make_folder(),
        commands.copy(f"runs/tpu/{request.name}/{ARCHIVE}", f"scripts/tpu/{SCRIPT}"),
        commands.set_up(),
        commands.start(0),
        commands.poll(0),
        commands.pack(),
        commands.fetch(f"runs/tpu/{request.name}"),
        *commands.delete(),
        commands.describe(),
        *waiting,
    ]
