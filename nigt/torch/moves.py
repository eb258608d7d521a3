"""What a step computes on tensors: norms, and the moves of x and m; by in-place kernels, or compiled.

Both read norms back to the host, where the step's scalars are: compiled once, in place twice.
"""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from nigt import norms, update

Tensors = Sequence[torch.Tensor]


@dataclasses.dataclass
class Move:
    """One parameter in one step.

    Attributes:
      x, momentum, gradient: Tensors of one shape; the first two are changed in place.
      offset: Of the step before, then of this one (nigt/update.py).
      rate: η, times the multiplier of an excluded parameter.
      beta: β.
      transport: β/(1−β) of the step to come, 0 without implicit gradient transport.
      normalized: Whether s is η times a ratio of norms.
      floor: What ‖x‖ counts as at least.
    """

    x: torch.Tensor
    momentum: torch.Tensor
    gradient: torch.Tensor
    offset: float
    rate: float
    beta: float
    transport: float
    normalized: bool
    floor: float


# From the moves, and ‖x‖ and ‖m‖ of each, to its s; norms of what is not normalized are not looked at.
Scales = Callable[[Sequence[Move], Sequence[float], Sequence[float]], Sequence[float]]


def in_place(moves: Sequence[Move], scales_of: Scales) -> bool:
    """Takes the step x ← x + offset·m;  m ← β·m + (1−β)·g;  x ← x − (s + next offset)·m, which is update.step. True."""
    xs, momenta = [move.x for move in moves], [move.momentum for move in moves]
    x_sizes = _normalized_sizes(moves, xs)
    _add(xs, momenta, [move.offset for move in moves])
    torch._foreach_lerp_(momenta, [move.gradient for move in moves], [1 - move.beta for move in moves])
    scales = scales_of(moves, x_sizes, _normalized_sizes(moves, momenta))
    _keep_offsets(moves, scales)
    _add(xs, momenta, [-(scale + move.offset) for move, scale in zip(moves, scales, strict=True)])
    return True


def compiled(moves: Sequence[Move], scales_of: Scales) -> bool:
    """The same by two compiled kernels; False, and nothing is changed, if a gradient has a NaN or Inf.

    Raises:
      RuntimeError: Without a C++ compiler.
    """
    norms_of, step = _kernels()
    flat = [_flat(move) for move in moves]
    betas = _scalars(moves, [move.beta for move in moves])
    with _explaining():
        found = [norms_of(*tensors, beta) for tensors, beta in zip(flat, betas, strict=True)]
    m_sizes, x_sizes = torch.stack(found).unbind(1)
    x_sizes, m_sizes = x_sizes.tolist(), m_sizes.tolist()
    for i, move in enumerate(moves):
        if not _is_safe(m_sizes[i], move.x.dtype):
            m_sizes[i] = _safe_size(update.averaged(move.momentum, move.gradient, move.beta))
        if move.normalized and not _is_safe(x_sizes[i], move.x.dtype):
            x_sizes[i] = _safe_size(move.x)
    if not all(map(math.isfinite, m_sizes)):
        return False
    scales = scales_of(moves, x_sizes, m_sizes)
    rows = [(move.offset, scale, move.beta, move.transport) for move, scale in zip(moves, scales, strict=True)]
    for tensors, row in zip(flat, _scalars(moves, rows), strict=True):
        step(*tensors, row)
    _keep_offsets(moves, scales)
    return True


def sizes(tensors: Tensors) -> list[float]:
    """‖·‖ of each tensor; of a sharded one (a DTensor) that of the whole. NaN or Inf in it gives NaN or Inf."""
    result = [0.0] * len(tensors)
    for kind in {(t.device, t.dtype) for t in tensors}:
        places = [i for i, t in enumerate(tensors) if (t.device, t.dtype) == kind]
        found = _whole(torch.stack(torch._foreach_norm([tensors[i] for i in places]))).tolist()
        for i, size in zip(places, found, strict=True):
            result[i] = size if _is_safe(size, kind[1]) else _safe_size(tensors[i])
    return result


def _normalized_sizes(moves: Sequence[Move], tensors: Tensors) -> list[float]:
    found = iter(sizes([t for t, move in zip(tensors, moves, strict=True) if move.normalized]))
    return [next(found) if move.normalized else 0.0 for move in moves]


def _keep_offsets(moves: Sequence[Move], scales: Sequence[float]) -> None:
    for move, scale in zip(moves, scales, strict=True):
        move.offset = move.transport * scale


def _add(targets: Tensors, sources: Tensors, factors: Sequence[float]) -> None:
    """targets += factors · sources."""
    if all(t.is_cpu for t in targets):  # without temporary copies, whose pages cost more than the sum
        ones = [torch.ones((), dtype=t.dtype) for t in targets]
        torch._foreach_addcmul_(targets, sources, ones, factors)
    else:  # in few launches
        torch._foreach_add_(targets, torch._foreach_mul(sources, factors))


def _is_safe(size: float, dtype: torch.dtype) -> bool:
    low, high = norms.SAFE["float64" if dtype == torch.float64 else "float32"]
    return low < size * size < high


def _safe_size(values: torch.Tensor) -> float:
    return float(_whole(norms.norm(torch, values)))


def _whole(value: torch.Tensor) -> torch.Tensor:
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def _scalars(moves: Sequence[Move], rows: Sequence[Any]) -> torch.Tensor:
    x = moves[0].x
    return torch.tensor(rows, dtype=torch.float64).to(x.dtype).to(x.device, non_blocking=True)


def _flat(move: Move) -> list[torch.Tensor]:
    """x, m and g as vectors, for which one compilation serves parameters of every shape."""
    tensors = move.x, move.momentum, move.gradient
    return [t.view(-1) for t in tensors] if all(t.is_contiguous() for t in tensors) else list(tensors)


@functools.cache
def _kernels() -> tuple[Any, Any]:
    # Else the size of the first parameter decides whether all run on one thread.
    threads: dict[str, Any] = {"cpp.dynamic_threads": True}
    return torch.compile(_norms, dynamic=True), torch.compile(_step, dynamic=True, options=threads)


@contextlib.contextmanager
def _explaining() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if "compiler" not in str(error).lower():
            raise
        raise RuntimeError(
            "NIGT: fused=True needs a C++ compiler (g++ or clang++), and there is none: install one, or leave fused out"
        ) from None


def _norms(x: torch.Tensor, momentum: torch.Tensor, gradient: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    """‖m‖ of the m to come and ‖x‖, [2]."""
    return torch.stack([torch.linalg.vector_norm(v) for v in (update.averaged(momentum, gradient, beta), x)])


def _step(x: torch.Tensor, momentum: torch.Tensor, gradient: torch.Tensor, row: torch.Tensor) -> None:
    """update.step, in place. row: the offset, s, β and next β/(1−β)."""
    offset, scale, beta, transport = row.unbind()
    coefficients = update.Coefficients(scale, beta, transport)
    next_x, next_momentum, _ = update.step(x, momentum, offset, gradient, coefficients, lambda _: None)
    x.copy_(next_x)
    momentum.copy_(next_momentum)
