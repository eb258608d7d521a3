"""Compiles an HLO module for a device that is not there: .venv/tpu_check/bin/python compiler.py TARGET FILE [REPLICAS].

TARGET is v3, for which libtpu compiles, or h100, for which the CUDA plugin of JAX does. Runs in the virtual environment
of requirements/tpu_check.txt, apart from the rest of the project, and needs neither TPU nor GPU.
FILE is a serialized HLO module or, if it ends in .jax, a program of a bundle (scripts/exported).
Prints one line of JSON: the compiler's memory and cost analysis, or {"error": …}. REPLICAS (default 1): for so many of
the eight cores of a v3-8; with REPLICAS and a further argument OUT, the compiled module goes there as HLO text.
"""

import importlib.metadata
import json
import os
import sys
import time
from typing import Any

# libtpu asks for its surroundings, and there is no TPU to tell.
os.environ.update(
    TPU_SKIP_MDS_QUERY="1", TPU_ACCELERATOR_TYPE="v3-8", TPU_WORKER_HOSTNAMES="localhost", JAX_PLATFORMS="cpu"
)
os.environ.setdefault("TPU_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Autotuning would time kernels on the device.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_autotune_level=0".strip()

import jax  # noqa: E402
import jax.export  # noqa: E402
import numpy as np  # noqa: E402
from jax._src.interpreters import mlir  # noqa: E402
from jax._src.lib.mlir import ir  # noqa: E402
from jax.experimental import topologies  # noqa: E402
from jax.sharding import SingleDeviceSharding  # noqa: E402
from jaxlib import _jax, xla_client  # noqa: E402

# An H100 as XLA's own tests describe it (kGpuSpec in xla/backends/gpu/autotuner/cublas_test.cc).
_H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128 block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: 3352320000000 l2_cache_size: 52428800
  clock_rate_ghz: 1.98 device_memory_size: 84978434048 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 } registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
runtime_version { major: 12 minor: 9 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
_TOPOLOGIES = {
    "v3": {"platform": "tpu", "topology_name": "v3:2x2"},  # four chips of two cores: a v3-8
    "h100": {"platform": "cuda", "topology": "1x1x1", "target_config": _H100},
}
_COMPILERS = {"v3": "libtpu", "h100": "jax-cuda12-plugin"}


def devices_of(target: str) -> list:
    """The target's devices."""
    return topologies.get_topology_desc(**_TOPOLOGIES[target]).devices


def to_stablehlo(hlo: bytes, target: str) -> ir.Module:
    """A serialized HLO module as StableHLO, in the present MLIR context.

    TensorFlow's bridge leaves copies of returned values, which the TPU's compiler does not take: each is replaced by
    what it copies. And it resolves the random generator's algorithm for the device that it lowers for: Philox on CPUs
    and GPUs, the device's own on TPUs (DefaultRngAlgForDeviceType in tf2xla/kernels/rng_converter_utils.cc); so it is
    here.
    """
    module = ir.Module.parse(_jax.mlir.hlo_to_stablehlo(hlo))
    own_algorithm = ir.Attribute.parse("#stablehlo<rng_algorithm DEFAULT>")
    copies = []

    def visit(operation: ir.Operation) -> ir.WalkResult:
        if operation.name == "mhlo.copy":
            copies.append(operation)
        elif operation.name == "stablehlo.rng_bit_generator" and target == "v3":
            operation.attributes["rng_algorithm"] = own_algorithm
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for copy in copies:
        copy.operation.results[0].replace_all_uses_with(copy.operation.operands[0])
        copy.operation.erase()
    return module


def compile_lowered(target: str, hlo: bytes, replicas: int = 1) -> tuple[dict, str]:
    """The compiler's answers for one device; and the compiled module, HLO text."""
    devices = devices_of(target)[:replicas]
    options = xla_client.CompileOptions()
    build = options.executable_build_options
    options.num_replicas = build.num_replicas = replicas
    options.num_partitions = build.num_partitions = 1
    assignment = xla_client.DeviceAssignment.create(np.arange(replicas).reshape(replicas, 1))
    options.device_assignment = build.device_assignment = assignment
    with mlir.make_ir_context():
        module = to_stablehlo(hlo, target)
        start = time.monotonic()
        executable = devices[0].client.compile(module, xla_client.DeviceList(tuple(devices)), options)
        seconds = time.monotonic() - start
    answer = _answer(target, executable.get_compiled_memory_stats(), seconds)
    if target == "v3":  # the other compiler has none
        answer |= _cost(executable.cost_analysis())
    return answer, "\n".join(part.to_string() for part in executable.hlo_modules())


def compile_exported(target: str, content: bytes) -> dict:
    """The compiler's answers for a program of a bundle on one device; its state is updated in place."""
    jax.config.update("jax_enable_x64", True)  # the counters are int64
    place = SingleDeviceSharding(devices_of(target)[0])
    exported = jax.export.deserialize(bytearray(content))
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place) for a in exported.in_avals]
    arguments, named = jax.tree.unflatten(exported.in_tree, shapes)
    lowered = jax.jit(exported.call, donate_argnums=0).lower(*arguments, **named)
    start = time.monotonic()
    compiled = lowered.compile()
    return _answer(target, compiled.memory_analysis(), time.monotonic() - start)


def _cost(cost: dict | list[dict]) -> dict:
    cost = cost[0] if isinstance(cost, list) else cost
    return {"flops": cost["flops"], "bytes_accessed": cost["bytes accessed"]}


def _answer(target: str, memory: Any, seconds: float) -> dict:
    return {
        "device": devices_of(target)[0].device_kind,
        "compiler": f"{_COMPILERS[target]} {importlib.metadata.version(_COMPILERS[target])}",
        "argument_bytes": memory.argument_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
        "alias_bytes": memory.alias_size_in_bytes,  # of the output, in the place of arguments
        "temp_bytes": memory.temp_size_in_bytes,
        "code_bytes": memory.generated_code_size_in_bytes,
        "compile_s": seconds,
    }


def main() -> None:
    """Prints the answer; exit status 1 where the compiler refuses."""
    target, file_name, *further = sys.argv[1:]
    try:
        with open(file_name, "rb") as file:
            content = file.read()
        if file_name.endswith(".jax"):
            answer, text = compile_exported(target, content), ""
        else:
            answer, text = compile_lowered(target, content, *map(int, further[:1]))
    except Exception as error:  # whatever the compiler raises is its answer
        print(json.dumps({"error": (str(error).strip().splitlines() or [type(error).__name__])[0][:400]}))
        sys.exit(1)
    if further[1:]:
        with open(further[1], "w") as file:
            file.write(text)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
