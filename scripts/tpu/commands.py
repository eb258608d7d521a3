"""The gcloud commands of a launch, as lists: what is run is what --dry_run prints."""

import math
import shlex

from scripts.tpu.request import Request

HOME = "nigt"  # the folder on the VM, in the home directory
ARCHIVE, SCRIPT, BUNDLE = "nigt.git.tar", "vm.sh", "bundle.tar"
LOGS = "logs"
GRACE = 1800.0  # seconds


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
                f"--valid-until-duration={math.ceil(3600 * request.max_hours)}s",  # nobody may be there later
                *spot,
            ]
        return [
            *self._tpu("create"),
            f"--accelerator-type={machine.accelerator}",
            f"--version={machine.runtime_version}",
            *spot,
        ]

    def delete(self) -> list[list[str]]:
        """Deletes what `create` made. A queued resource takes its TPU along, unless it went without it before."""
        queued = [[*self._queued("delete"), "--force"]] if self._request.queued else []
        return [*queued, self._tpu("delete")]

    def make_folder(self) -> list[str]:
        """The folder that the files are copied to."""
        return self._ssh(["mkdir", "-p", HOME])

    def copy(self, folder: str) -> list[str]:
        """Copies the clone's commit, the VM's part of the launcher, and the bundle if there is one."""
        return [*self._scp(), *(f"{folder}/{name}" for name in self.files()), f"{self._request.name}:{HOME}/"]

    def files(self) -> list[str]:
        """What `copy` copies."""
        return [ARCHIVE, SCRIPT, *([BUNDLE] if self._request.bundle else [])]

    def set_up(self) -> list[str]:
        """Installs the locked environment on the VM."""
        return self._vm("setup", self._request.commit, self._request.lock)

    def set_up_workers(self) -> list[str]:
        """What the machine's file asks for on every worker of a pod."""
        return [*self._tpu("ssh"), "--worker=all", f"--command={self._request.machine.worker_setup}"]

    def start(self, preemptions: int, seconds_left: float) -> list[str]:
        """Starts the run, or finds that it is at work.

        Args:
          preemptions: For run.json.
          seconds_left: Until max_hours are over; GRACE later the VM deletes itself.
        """
        request = self._request
        if request.bundle:
            environment = {"JAX_PLATFORMS": "tpu"}  # else JAX would go on without one, on the CPU
        else:
            environment = dict(request.machine.environment)
            environment.setdefault("TPU_NAME", request.name)  # a pod is found by its name
        environment["NIGT_PREEMPTIONS"] = str(preemptions)
        environment |= {"NIGT_ZONE": request.zone, "NIGT_PROJECT": request.project}
        environment["NIGT_DELETE_AFTER"] = str(math.ceil(max(0.0, seconds_left) + GRACE))
        settings = [f"{name}={value}" for name, value in sorted(environment.items())]
        return self._vm("start", request.name, request.folder, *settings, "--", *request.program)

    def poll(self, offset: int) -> list[str]:
        """Prints how the run is, and its log from a byte on."""
        return self._vm("poll", str(offset))

    def again(self) -> list[str]:
        """Makes `start` go on with a run that was stopped."""
        return self._vm("again")

    def stop(self) -> list[str]:
        """Stops the run at a checkpoint and copies its files to the bucket."""
        return self._vm("stop")

    def pack(self) -> list[str]:
        """Gathers the small files of the run in one folder on the VM."""
        return self._vm("pack")

    def fetch(self, folder: str) -> list[str]:
        """Copies that folder here."""
        return [*self._scp(), "--recurse", f"{self._request.name}:{HOME}/{LOGS}/{self._request.name}", folder]

    def fetch_from_bucket(self, folder: str) -> list[str]:
        """The same from the bucket, where the VM cannot be reached."""
        files = [f"{self._request.folder}/{name}" for name in ("config.gin", "run.json", "metrics.csv")]
        return ["gcloud", "storage", "cp", "--quiet", *files, folder]

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


def plan(request: Request, states: str = "runs/tpu") -> list[list[str]]:
    """The commands of a run that nothing disturbs, in order; `poll` stands for as many as it takes."""
    commands, folder = Commands(request), f"{states}/{request.name}"
    waiting = [commands.describe_queued()] if request.queued else []
    workers = [commands.set_up_workers()] if request.machine.worker_setup else []
    return [
        commands.describe(),
        *waiting,
        commands.create(),
        *waiting,
        commands.make_folder(),
        commands.copy(folder),
        commands.set_up(),
        *workers,
        commands.start(0, 3600 * request.max_hours),
        commands.poll(0),
        commands.pack(),
        commands.fetch(f"{states}/.{request.name}.partial"),
        *commands.delete(),
        commands.describe(),
        *waiting,
    ]
