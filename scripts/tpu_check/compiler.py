"""Compiles an HLO module for TPU v3 with libtpu: .venv/tpu_check/bin/python compiler.py FILE [REPLICAS].

Runs in the virtual environment of requirements/tpu_check.txt, apart from the rest of the project, and needs no TPU.
FILE is a serialized HLO module or, if it ends in .jax, a program of a bundle (scripts/exported).
Prints one line of JSON: the compiler's memory and cost analysis, or {"error": …}. REPLICAS (default 1): for so many of
the eight cores of a v3-8; with REPLICAS and a further argument OUT, the compiled module goes there as HLO text.
"""

import importlib.metadata
import json
import os
import sys
import time

# libtpu asks for its surroundings, and there is no TPU to tell.
os.environ.update(
    TPU_SKIP_MDS_QUERY="1", TPU_ACCELERATOR_TYPE="v3-8", TPU_WORKER_HOSTNAMES="localhost", JAX_PLATFORMS="cpu"
)
os.environ.setdefault("TPU_MIN_LOG_LEVEL", "3")

import jax  # noqa: E402
import jax.export  # noqa: E402
import numpy as np  # noqa: E402
from jax._src.interpreters import mlir  # noqa: E402
from jax._src.lib.mlir import ir  # noqa: E402
from jax.experimental import topologies  # noqa: E402
from jax.sharding import SingleDeviceSharding  # noqa: E402
from jaxlib import _jax, xla_client  # noqa: E402

TOPOLOGY = "v3:2x2"  # four chips of two cores: a v3-8


def to_stablehlo(hlo: bytes) -> ir.Module:
    """A serialized HLO module as StableHLO, in the present MLIR context.

    TensorFlow's bridge leaves copies of returned values, which the TPU's compiler does not take: each is replaced by
    what it copies. And it resolves the random generator's algorithm for the device that it lowers for: Philox on CPUs,
    the device's own on TPUs (DefaultRngAlgForDeviceType in tf2xla/kernels/rng_converter_utils.cc); so it is here.
    """
    module = ir.Module.parse(_jax.mlir.hlo_to_stablehlo(hlo))
    own_algorithm = ir.Attribute.parse("#stablehlo<rng_algorithm DEFAULT>")
    copies = []

    def visit(operation):
        if operation.name == "mhlo.copy":
            copies.append(operation)
        elif operation.name == "stablehlo.rng_bit_generator":
            operation.attributes["rng_algorithm"] = own_algorithm
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for copy in copies:
        copy.operation.results[0].replace_all_uses_with(copy.operation.operands[0])
        copy.operation.erase()
    return module


def compile_for_v3(hlo: bytes, replicas: int = 1) -> tuple[dict, str]:
    """The compiler's answers for one core; and the compiled module, HLO text."""
    devices = topologies.get_topology_desc(TOPOLOGY, platform="tpu").devices[:replicas]
    options = xla_client.CompileOptions()
    build = options.executable_build_options
    options.num_replicas = build.num_replicas = replicas
    options.num_partitions = build.num_partitions = 1
    assignment = xla_client.DeviceAssignment.create(np.arange(replicas).reshape(replicas, 1))
    options.device_assignment = build.device_assignment = assignment
    with mlir.make_ir_context():
        module = to_stablehlo(hlo)
        start = time.monotonic()
        executable = devices[0].client.compile(module, xla_client.DeviceList(tuple(devices)), options)
        seconds = time.monotonic() - start
    answer = _answer(executable.get_compiled_memory_stats(), executable.cost_analysis(), seconds)
    return answer, "\n".join(part.to_string() for part in executable.hlo_modules())


def compile_exported(content: bytes) -> dict:
    """The compiler's answers for a program of a bundle on one core; its state is updated in place."""
    jax.config.update("jax_enable_x64", True)  # the counters are int64
    place = SingleDeviceSharding(topologies.get_topology_desc(TOPOLOGY, platform="tpu").devices[0])
    exported = jax.export.deserialize(bytearray(content))
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place) for a in exported.in_avals]
    arguments, named = jax.tree.unflatten(exported.in_tree, shapes)
    lowered = jax.jit(exported.call, donate_argnums=0).lower(*arguments, **named)
    start = time.monotonic()
    compiled = lowered.compile()
    return _answer(compiled.memory_analysis(), compiled.cost_analysis(), time.monotonic() - start)


def _answer(memory, cost, seconds: float) -> dict:
    cost = cost[0] if isinstance(cost, list) else cost
    return {
        "device": topologies.get_topology_desc(TOPOLOGY, platform="tpu").devices[0].device_kind,
        "libtpu": importlib.metadata.version("libtpu"),
        "argument_bytes": memory.argument_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
        "alias_bytes": memory.alias_size_in_bytes,  # of the output, in the place of arguments
        "temp_bytes": memory.temp_size_in_bytes,
        "code_bytes": memory.generated_code_size_in_bytes,
        "flops": cost["flops"],
        "bytes_accessed": cost["bytes accessed"],
        "compile_s": seconds,
    }


def main() -> None:
    """Prints the answer; exit status 1 where the compiler refuses."""
    try:
        with open(sys.argv[1], "rb") as file:
            content = file.read()
        if sys.argv[1].endswith(".jax"):
            answer, text = compile_exported(content), ""
        else:
            answer, text = compile_for_v3(content, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    except Exception as error:  # whatever the compiler raises is its answer
        print(json.dumps({"error": (str(error).strip().splitlines() or [type(error).__name__])[0][:400]}))
        sys.exit(1)
    if len(sys.argv) > 3:
        with open(sys.argv[3], "w") as file:
            file.write(text)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
