"""The step of one of eight replicas, lowered without eight devices, and what its sums and norms depend on.

TPUStrategy itself cannot be lowered here: it initializes the TPU system when it is made, and TensorFlow has no kernels
for that without one (nor for its CrossReplicaSum). The nearest thing that can: a strategy of one device that counts as
one of several replicas and whose all-reduce is TensorFlow's collective, which XLA lowers to the same HLO instruction,
all-reduce over all replicas. Everything above it is the trainers' own: the loss's share, the optimizer's aggregation
of gradients, the update. libtpu compiles that program for the eight cores of a v3-8 (compiler.py v3 FILE 8).
"""

import dataclasses
import re
from typing import Any

import tensorflow as tf
from tensorflow.python.distribute import one_device_strategy

_NORMS = re.compile(r"(^|/)NIGT/")
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?(?P<name>[\w.-]+) = (?P<shape>\(.*?\)|\S+) (?P<kind>[\w-]+)\((?P<rest>.*)$")


class OneOfSeveral(tf.distribute.Strategy):
    """One replica of several, on one CPU: for lowering by XLA, not for running."""

    def __init__(self, replicas: int):
        super().__init__(_Extended(self, replicas))


class _Extended(one_device_strategy.OneDeviceExtended):
    def __init__(self, strategy: tf.distribute.Strategy, replicas: int):
        super().__init__(strategy, "CPU:0")
        self._replicas, self._collectives = replicas, 0

    @property
    def _num_replicas_in_sync(self) -> int:
        return self._replicas

    def _reduce_to(self, reduce_op: tf.distribute.ReduceOp, value: Any, destinations: Any, options: Any) -> tf.Tensor:
        del destinations, options
        self._collectives += 1
        value = tf.convert_to_tensor(value)  # IndexedSlices become dense, as on a TPU
        total = tf.raw_ops.CollectiveReduceV2(
            input=value,
            group_size=self._replicas,
            group_key=1,
            instance_key=self._collectives,
            ordering_token=[],
            merge_op="Add",
            final_op="Div" if reduce_op == tf.distribute.ReduceOp.MEAN else "Id",
        )
        return tf.ensure_shape(total, value.shape)


@dataclasses.dataclass(frozen=True)
class Instruction:
    """Of the entry computation of an HLO module: its kind, result's shape, operands, and TensorFlow's op name."""

    name: str
    kind: str
    shape: str
    operands: tuple[str, ...]
    op_name: str


def entry(text: str) -> dict[str, Instruction]:
    """The instructions of a module's entry computation, in order, by name."""
    body = text[text.index("\nENTRY ") + 1 :]
    instructions = {}
    for line in body.splitlines()[1:]:
        match = _INSTRUCTION.match(line)
        if match is None:
            if line.startswith("}"):
                break
            continue
        operands = match["rest"].split("), ", 1)[0]
        scope = re.search(r'op_name="([^"]*)"', line)
        instructions[match["name"]] = Instruction(
            match["name"],
            match["kind"],
            re.sub(r"\{[\d,]*\}", "", match["shape"]),
            tuple(name for name in re.findall(r"%([\w.-]+)", operands) if name in instructions),
            scope[1] if scope else "",
        )
    return instructions


@dataclasses.dataclass(frozen=True)
class Order:
    """What stands before what in a step.

    Attributes:
      sums: All-reduces of the program.
      summed_shapes: Of what they sum.
      norms: Reductions to a scalar in NIGT's update: sums of squares, maxima.
      norms_of_gradients: Those that depend on the batch.
      norms_before_a_sum: Those that depend on the batch by a path without an all-reduce: on one replica's gradient.
      sums_after_a_norm: All-reduces that depend on a norm: something was normalized before it was summed.
    """

    sums: list[str]
    summed_shapes: list[str]
    norms: list[str]
    norms_of_gradients: list[str]
    norms_before_a_sum: list[str]
    sums_after_a_norm: list[str]


def order(text: str, inputs: int) -> Order:
    """The order of sums and norms in a lowered step.

    Args:
      text: The module, as lowered, not yet optimized.
      inputs: How many of its first parameters are the batch's.
    """
    instructions = entry(text)
    parameters = [name for name, item in instructions.items() if item.kind == "parameter"]
    number = {name: int(re.findall(rf"%?{re.escape(name)} = .*? parameter\((\d+)\)", text)[0]) for name in parameters}
    of_batch = {name for name in parameters if number[name] < inputs}
    reductions = {
        name
        for name, item in instructions.items()
        if item.kind == "reduce" and _NORMS.search(item.op_name) and item.shape in ("f32[]", "f64[]")
    }
    depends, unsummed, normed = set(of_batch), set(of_batch), set()
    for name, item in instructions.items():  # operands come before their users
        if any(operand in depends for operand in item.operands):
            depends.add(name)
        if item.kind != "all-reduce" and any(operand in unsummed for operand in item.operands):
            unsummed.add(name)
        if name in reductions or any(operand in normed for operand in item.operands):
            normed.add(name)
    sums = [name for name, item in instructions.items() if item.kind == "all-reduce"]
    return Order(
        sums=sums,
        summed_shapes=[instructions[name].shape for name in sums],
        norms=sorted(reductions),
        norms_of_gradients=sorted(reductions & depends),
        norms_before_a_sum=sorted(reductions & unsummed),
        sums_after_a_norm=[name for name in sums if any(operand in normed for operand in instructions[name].operands)],
    )
