"""What configs/tpu/*.gin describe: an accelerator, its software and its price."""

import dataclasses
import re
from typing import Annotated, Literal

from pydantic import Field

from trainers import gin_files
from trainers.checkout import ROOT
from trainers.configurable import configurable

CORES_OF_A_HOST = 8
_ACCELERATOR = re.compile(r"v3-(8|32|64|128|256|512|1024|2048)")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
_RUNTIME = re.compile(r"tpu-vm-tf-(?P<version>\d+\.\d+\.\d+)(?P<pod>-pod)?-(?P<api>pjrt|se)")


@dataclasses.dataclass(frozen=True)
class Machine:
    """An accelerator with its software.

    Attributes:
      accelerator: As gcloud names it, "v3-8".
      cores: Of the accelerator.
      runtime_version: The VM's image, as gcloud names it.
      tensorflow_version: What is installed on it, "2.20.0".
      api: "pjrt" or "se": how TensorFlow reaches the TPU.
      price_per_core_hour: In the currency of --currency.
      environment: Variables of the training process; TPU_NAME is among them on one host.
      worker_setup: A shell command for every worker before the run; "" for none.
    """

    accelerator: str
    cores: int
    runtime_version: str
    tensorflow_version: str
    api: str
    price_per_core_hour: float
    environment: dict[str, str]
    worker_setup: str = ""

    @property
    def is_pod(self) -> bool:
        """More than one host: worker 0 drives the others."""
        return self.cores > CORES_OF_A_HOST


@configurable
def tpu_machine(
    accelerator: str,
    runtime_version: str,
    tensorflow_version: str,
    api: Literal["pjrt", "se"],
    price_per_core_hour: Annotated[float, Field(gt=0, le=1e4)],
    libtpu_path: str = "locked",
    worker_setup: str = "",
) -> Machine:
    """A machine whose parts go together.

    Args:
      accelerator: "v3-8", "v3-32", …
      runtime_version: The image. Which images still serve v3 has to be looked up: `gcloud compute tpus tpu-vm versions
        list --zone=ZONE`.
      tensorflow_version: That of requirements/tpu_vm.txt.
      api: "pjrt" on one host; "se" (StreamExecutor) on a pod, the only one that Google's own tests use for v3-32.
      price_per_core_hour: Of this accelerator, in your zone, spot or on demand as you ask for it.
      libtpu_path: For PJRT; "locked": that of requirements/tpu_vm.txt, which belongs to its TensorFlow; the image's own
        is /lib/libtpu.so.
      worker_setup: A shell command that every worker of the TPU runs before the training is started.

    Raises:
      ValueError: They do not go together.
    """
    match = _ACCELERATOR.fullmatch(accelerator)
    if not match:
        raise ValueError(f"tpu_machine.accelerator = {accelerator!r}: not a TPU v3, like v3-8 or v3-32")
    cores = int(match[1])
    is_pod = cores > CORES_OF_A_HOST
    if not _IMAGE.fullmatch(runtime_version):
        raise ValueError(f"tpu_machine.runtime_version = {runtime_version!r}: not an image, like tpu-vm-tf-2.16.1-pjrt")
    if runtime_version.startswith("tpu-vm-tf-"):
        _check_runtime(runtime_version, accelerator, is_pod, tensorflow_version, api)
    if is_pod and api == "pjrt":
        raise ValueError(
            "tpu_machine.api = 'pjrt': TensorFlow drives a pod by StreamExecutor; take 'se' and its runtime"
        )
    locked = locked_tensorflow()
    if tensorflow_version != locked:
        raise ValueError(
            f"tpu_machine.tensorflow_version = {tensorflow_version!r}: requirements/tpu_vm.txt installs {locked}; "
            "change tpu_vm.in and `make lock`, or the version here"
        )
    if is_pod:
        environment = {"TPU_LOAD_LIBRARY": "0"}  # the workers' own servers hold the TPUs
    else:
        environment = {"TPU_NAME": "local"}
    if api == "pjrt":
        environment |= {"NEXT_PLUGGABLE_DEVICE_USE_C_API": "true", "TF_PLUGGABLE_DEVICE_LIBRARY_PATH": libtpu_path}
    return Machine(
        *(accelerator, cores, runtime_version, tensorflow_version, api, price_per_core_hour, environment, worker_setup)
    )


def _check_runtime(runtime_version: str, accelerator: str, is_pod: bool, tensorflow_version: str, api: str) -> None:
    """What the name of an image with TensorFlow tells. One without, like v2-alpha-tpuv5, tells nothing.

    Raises:
      ValueError: It does not go with the rest.
    """
    runtime = _RUNTIME.fullmatch(runtime_version)
    if not runtime:
        raise ValueError(
            f"tpu_machine.runtime_version = {runtime_version!r}: not like tpu-vm-tf-2.16.1-pjrt or …-pod-se"
        )
    if bool(runtime["pod"]) != is_pod:
        wanted = (
            "needs a runtime with -pod in its name" if is_pod else "is one host: its runtime has no -pod in its name"
        )
        raise ValueError(f"tpu_machine.runtime_version = {runtime_version!r}: {accelerator} {wanted}")
    if runtime["api"] != api:
        raise ValueError(f"tpu_machine.api = {api!r}: the runtime {runtime_version} has {runtime['api']}")
    if runtime["version"] != tensorflow_version:
        raise ValueError(
            f"tpu_machine.tensorflow_version = {tensorflow_version!r}: the runtime {runtime_version} has "
            f"{runtime['version']}; both have to be the same"
        )


def locked_tensorflow() -> str:
    """The version of TensorFlow's TPU build in requirements/tpu_vm.txt.

    Raises:
      ValueError: It has none.
    """
    lock = (ROOT / "requirements" / "tpu_vm.txt").read_text()
    found = re.search(r"^tensorflow-tpu==(\S+)", lock, re.MULTILINE)
    if found is None:
        raise ValueError("requirements/tpu_vm.txt has no tensorflow-tpu; `make lock`")
    return found[1]


def load(gin_file: str, bindings: list[str]) -> Machine:
    """The machine of a file of configs/tpu.

    Raises:
      InputError: One line with the file and the name.
    """
    known = ", ".join(sorted(path.stem.replace("_", "-") for path in (ROOT / "configs" / "tpu").glob("v*.gin")))
    return gin_files.read(gin_file, bindings, tpu_machine, f"there are {known}")
