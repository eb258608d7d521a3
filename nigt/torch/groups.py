"""Which parameters are normalized, and which are refused."""

from collections.abc import Iterable
from typing import Any

import torch


def more_than_one_dimension(parameter: torch.Tensor) -> bool:
    """Section 5's rule: False for biases, batch norm and layer norm, the parameters of one dimension or less."""
    return parameter.ndim > 1


def parameter_groups(parameters: Iterable[Any], **excluded: Any) -> list[dict[str, Any]]:
    """Section 5's rule as two groups: what is normalized, and what is not and does not decay.

    NIGT follows the rule without groups too; they are for an excluded group with a learning rate of its own.

    Args:
      parameters: model.parameters() or model.named_parameters().
      **excluded: Options of the excluded group, such as lr or excluded_learning_rate_multiplier.
    """
    every = list(parameters)
    sides: tuple[list[Any], list[Any]] = [], []
    for entry in every:
        sides[more_than_one_dimension(entry[1] if isinstance(entry, tuple) else entry)].append(entry)
    groups = [
        {"params": sides[True], "normalized": True},
        {"params": sides[False], "normalized": False, "weight_decay": 0.0} | excluded,
    ]
    return [group for group in groups if group["params"]]


def name_of(group: dict[str, Any], place: int) -> str:
    """What a parameter is called in messages: its name, if the optimizer was given names, else its place and shape."""
    if "param_names" in group:
        return str(group["param_names"][place])
    return f"parameter {place} of its group, of shape {tuple(group['params'][place].shape)}"


def check_parameters(group: dict[str, Any]) -> None:
    """Refuses what NIGT cannot step.

    Raises:
      ValueError: For a parameter that is neither float32 nor float64; or that FSDP 1 has flattened, so that a piece of
        it holds pieces of several layers, and no norm of a layer can be had.
    """
    for place, parameter in enumerate(group["params"]):
        if getattr(parameter, "_fsdp_flattened", False) or getattr(parameter, "_is_flat_param", False):
            raise ValueError(
                f"NIGT: {name_of(group, place)} is flattened by FullyShardedDataParallel, which hides the layers' "
                "norms: use torch.distributed.fsdp.fully_shard, whose parameters keep their shapes"
            )
        if parameter.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"NIGT: {name_of(group, place)} is {parameter.dtype}: keep float32 (or float64) parameters, and "
                "compute in bfloat16 by torch.autocast"
            )
