"""An HLO module from TensorFlow as a JAX function. Only exporting needs this, and JAX's private calls in it.

As jax2tf.call_tf lowers a TensorFlow function, but for functions that write variables, and without TensorFlow at hand.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax._src import core
from jax._src.interpreters import mlir
from jax._src.lib import _jax
from jax._src.lib.mlir import ir
from jax._src.lib.mlir.dialects import func
from jax.extend.core import Primitive

_PRODUCTS = ("stablehlo.dot", "stablehlo.dot_general", "stablehlo.convolution")
_call_p = Primitive("hlo_call")
_call_p.multiple_results = True


def as_function(module: bytes, signature: dict, precision: str) -> Callable[[dict, dict], tuple[dict, dict]]:
    """f(inputs by name, variables by path) → (what it returns by name, what it writes by path).

    Args:
      module, signature: As scripts/exported/lowering.py describes them.
      precision: Of products: "HIGHEST" is float32 on every device; TensorFlow names none, which is TF32 on an H100 and
        bfloat16 on a TPU.
    """
    results = [(tuple(shape), dtype) for _, dtype, shape in signature["returns"]]
    of_written = signature["shapes"]
    results += [(tuple(of_written[path][1]), of_written[path][0]) for path in signature["writes"]]
    names = [name for name, *_ in signature["returns"]]

    def function(inputs: dict, variables: dict) -> tuple[dict, dict]:
        given = [inputs[name].astype(dtype) for name, dtype, _ in signature["inputs"]]
        given += [variables[path] for path in signature["variables"]]
        found = _call_p.bind(*given, module=module, results=tuple(results), precision=precision)
        returned, written = found[: len(names)], found[len(names) :]
        return dict(zip(names, returned, strict=True)), dict(zip(signature["writes"], written, strict=True))

    return function


@_call_p.def_abstract_eval
def _results(*given: Any, module: Any, results: Any, precision: Any) -> Any:
    del given, module, precision
    return [core.ShapedArray(shape, np.dtype(dtype)) for shape, dtype in results]


def _converted(module: bytes, precision: str, own_generator: bool) -> ir.Module:
    """The module as StableHLO, in the present MLIR context.

    TensorFlow's copies of returned values are no StableHLO, and each gives way to what it copies; its marks on the
    arguments of `main` would be wrong on a function that is called. own_generator: random numbers by the device's
    algorithm, as on a TPU, not by Philox.
    """
    converted = ir.Module.parse(_jax.mlir.hlo_to_stablehlo(module))
    asked = ir.Attribute.parse(f"#stablehlo<precision {precision}>")
    copies = []

    def visit(operation: Any) -> Any:
        if operation.name == "mhlo.copy":
            copies.append(operation)
        elif operation.name in _PRODUCTS:
            operation.attributes["precision_config"] = ir.ArrayAttr.get([asked, asked])
        elif operation.name == "stablehlo.rng_bit_generator" and own_generator:
            operation.attributes["rng_algorithm"] = ir.Attribute.parse("#stablehlo<rng_algorithm DEFAULT>")
        return ir.WalkResult.ADVANCE

    converted.operation.walk(visit)
    for copy in copies:
        copy.operation.results[0].replace_all_uses_with(copy.operation.operands[0])
        copy.operation.erase()
    for function in converted.body.operations:
        if "arg_attrs" in function.attributes:
            count = len(function.attributes["arg_attrs"])
            function.attributes["arg_attrs"] = ir.ArrayAttr.get([ir.DictAttr.get({})] * count)
    for attribute in list(converted.operation.attributes):
        name = getattr(attribute, "name", attribute)
        if name.startswith("mhlo."):
            del converted.operation.attributes[name]
    return converted


def _lower(context: Any, *given: Any, module: Any, results: Any, precision: Any, own_generator: Any) -> Any:
    del results
    converted = _converted(module, precision, own_generator)
    types = ir.SymbolTable(converted.operation)["main"].type.results
    whole = context.module_context
    name = mlir.merge_mlir_modules(whole.module, "lowered", converted, dst_symtab=whole.symbol_table)
    return func.CallOp(types, ir.FlatSymbolRefAttr.get(name), given).results


for _platform in ("cpu", "cuda", "tpu"):
    mlir.register_lowering(
        _call_p,
        lambda context, *given, _tpu=_platform == "tpu", **rest: _lower(context, *given, own_generator=_tpu, **rest),
        platform=_platform,
    )
jax.config.update("jax_enable_x64", True)  # the counters are int64
