"""NIGT as a PyTorch optimizer: Algorithm 1 of the paper in the per-layer form of its section 5, and its relatives."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from nigt import arguments, betas, update
from nigt.adaptive import PRINTED_CONSTANT, Algorithm2
from nigt.torch.groups import check_parameters, more_than_one_dimension, name_of
from nigt.torch.moves import Move, compiled, in_place, sizes


class NIGT(torch.optim.Optimizer):
    """Normalized SGD with implicit gradient transport (Cutkosky & Mehta 2020, Algorithm 1 and section 5).

    The parameters hold the gradient points x, where training takes its gradients. What the theory bounds is the iterate
    w: between `eval()` and `train()`, or inside `evaluating()`, they hold w.

    ```python
    optimizer = NIGT(model.parameters(), lr=1e-3)
    loss.backward()
    optimizer.step()
    with optimizer.evaluating():  # the parameters are w; on leaving x again, bit for bit
        torch.save(model.state_dict(), "w.pt")
    ```

    State: one tensor (m) and one number a parameter (nigt/update.py). A gradient with a NaN or Inf anywhere leaves
    parameters and state as they were, and counts in `skipped_steps`. Sharded parameters (fully_shard, DTensor) are
    normalized by the norms of the whole parameters. `optimizer.state.clear()` forgets m, so that w = x: call it after
    other weights were loaded into a model in training.

    Args:
      params: Parameters, named or not, or groups of them. Section 5's rule decides what is normalized: parameters of
        more than one dimension; the others do not decay either. A group's own "normalized", True or False, overrules
        both; see parameter_groups.
      lr: The paper's η0. None: 1e-3; with Algorithm 2 it is a factor on the paper's η_t, and None is 1, as printed.
      beta: The paper's β in [0, 1), of each group; or a function of the step, from 0 (nigt.betas), for all groups.
      normalization: "layer" (section 5), "global" (Algorithm 1, over all groups), or "none".
      scale_by_weight_norm: True: the step is η‖x‖·m/‖m‖ (section 5.1); False: η·m/‖m‖ (Algorithm 1).
      implicit_gradient_transport: False takes the gradient at w (equations 2 and 3).
      excluded_learning_rate_multiplier: What is not normalized learns at this factor times η (section 5.1: 1000).
      weight_decay: λ of a coupled decay, λ·x added to the gradient before the momentum, as released.
      weight_norm_floor: ‖x‖ counts as at least this much, so that weights that start at 0 can leave it.
      skip_zero_gradient: True leaves a parameter whose whole gradient is zero as it is.
      adaptive: None, or "algorithm2": η_t and β_t of two gradients; `step(second_gradients=…)` takes the second.
      gradient_bound: With Algorithm 2 the paper's g.
      adaptive_constant: 26 as printed in Algorithm 2; 52 as its proof needs.
      fused: True compiles the step by torch.compile, at its first call; False: in-place `foreach` kernels.

    Raises:
      ValueError: If an argument is out of its range, or a parameter is of 16 bits or flattened by FSDP 1.
    """

    def __init__(
        self,
        params: Any,
        lr: float | torch.Tensor | None = None,
        beta: betas.Beta = 0.9,
        *,
        normalization: str = "layer",
        scale_by_weight_norm: bool = True,
        implicit_gradient_transport: bool = True,
        excluded_learning_rate_multiplier: float = 1000.0,
        weight_decay: float = 0.0,
        weight_norm_floor: float = 0.0,
        skip_zero_gradient: bool = False,
        adaptive: str | None = None,
        gradient_bound: float | None = None,
        adaptive_constant: float = PRINTED_CONSTANT,
        fused: bool = False,
    ):
        arguments.check({"normalization": normalization, "adaptive": adaptive}, gradient_bound, adaptive_constant)
        self.rule = None if gradient_bound is None else Algorithm2(gradient_bound, adaptive_constant)
        self.beta_of_step = beta if callable(beta) else None
        self.normalization = normalization
        self.scale_by_weight_norm = scale_by_weight_norm
        self.implicit_gradient_transport = implicit_gradient_transport
        self.skip_zero_gradient = skip_zero_gradient
        self.fused = fused
        sums = (self.rule.d, self.rule.first_sum) if self.rule else ()
        defaults = {
            "lr": lr if lr is not None else 1.0 if self.rule else 1e-3,
            "beta": 0.0 if callable(beta) else beta,
            "normalized": None,
            "excluded_learning_rate_multiplier": excluded_learning_rate_multiplier,
            "weight_decay": weight_decay,
            "weight_norm_floor": weight_norm_floor,
        }
        # What all groups share, in each of them, so that state_dict carries it.
        defaults |= {"steps": 0, "skipped_steps": 0, "gradient_sums": sums, "training": True}
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in every optimizer. Raises ValueError as the constructor."""
        super().add_param_group(param_group)
        group, first = self.param_groups[-1], self.param_groups[0]
        try:
            betas.check(group["beta"])
            not_negative = ("lr", "excluded_learning_rate_multiplier", "weight_decay", "weight_norm_floor")
            arguments.check_not_negative({name: group[name] for name in not_negative})
            check_parameters(group)
        except ValueError:
            self.param_groups.pop()
            raise
        for name in ("steps", "skipped_steps", "gradient_sums", "training"):
            group[name] = first[name]
        scaled = self.normalization != "none" and self.scale_by_weight_norm
        if scaled and self.implicit_gradient_transport and not self.rule and group["normalized"] is not False:
            arguments.warn_of_growing_weights(group["lr"], group["beta"], stacklevel=5)
        if scaled and not group["weight_norm_floor"]:
            for place, parameter in enumerate(group["params"]):
                if _is_normalized(group, parameter) and not parameter.detach().any():
                    warnings.warn(arguments.zero_weights(name_of(group, place)), stacklevel=4)

    @property
    def skipped_steps(self) -> int:
        """The steps that a NaN or Inf in a gradient stopped."""
        return int(self.param_groups[0]["skipped_steps"])

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], Any] | None = None, second_gradients: Sequence[torch.Tensor | None] | None = None
    ) -> Any:
        """One step, from the gradients at the parameters' present values, x.

        Args:
          closure: Computes them anew and returns the loss.
          second_gradients: For Algorithm 2, those of an independent sample at the same x, in the order of the
            parameters over all groups.

        Returns:
          What the closure returned.

        Raises:
          RuntimeError: Between `eval()` and `train()`, where the parameters hold w; for a sparse gradient; with
            fused=True where there is no C++ compiler.
          ValueError: If second_gradients are missing, or not expected.
        """
        arguments.check_second_gradients("algorithm2" if self.rule else None, second_gradients)
        if not self.param_groups[0]["training"]:
            raise RuntimeError("NIGT: a step at w, where optimizer.eval() put the parameters: call optimizer.train()")
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        places = [(g, i) for g in self.param_groups for i, p in enumerate(g["params"]) if p.grad is not None]
        for group, i in places:
            if group["params"][i].grad.is_sparse:
                raise RuntimeError(
                    f"NIGT: the gradient of {name_of(group, i)} is sparse: ‖m‖ is of the whole parameter; "
                    "make its layer with sparse=False"
                )
        if places:
            self._take(places, self._squared_distance(second_gradients))
        return loss

    def _take(self, places: list[tuple[dict[str, Any], int]], squared_distance: float) -> None:
        gradients = [group["params"][i].grad for group, i in places]
        # Compiled, ‖m‖ tells whether all is finite, without this pass.
        found = sizes(gradients) if self.skip_zero_gradient or not self.fused else [1.0] * len(places)
        taken = bool(np.isfinite([*found, squared_distance]).all())
        moves = [
            self._move(*place) for place, size in zip(places, found, strict=True) if size or not self.skip_zero_gradient
        ]
        if taken and moves:
            taken = (compiled if self.fused else in_place)(moves, self._scales)
        for group in self.param_groups:
            group["skipped_steps" if not taken else "steps"] += 1
            if taken and self.rule:
                t, (_, now) = group["steps"], group["gradient_sums"]
                group["gradient_sums"] = (now, self.rule.next_sum(t, now, squared_distance))
        for move in moves if taken else []:
            self.state[move.x]["offset"] = move.offset

    def _move(self, group: dict[str, Any], i: int) -> Move:
        x = group["params"][i]
        gradient, state = x.grad, self.state[x]
        if not state:
            state.update(momentum=torch.zeros_like(x, memory_format=torch.preserve_format), offset=0.0)
        if group["weight_decay"] and (group["normalized"] is not None or more_than_one_dimension(x)):
            gradient = gradient.add(x, alpha=group["weight_decay"])
        normalized = _is_normalized(group, x)
        rate, beta, following = self._rate_and_betas(group)
        return Move(
            x,
            state["momentum"],
            gradient,
            offset=state["offset"],
            rate=rate if normalized else rate * group["excluded_learning_rate_multiplier"],
            beta=beta,
            transport=following / (1 - following) if self.implicit_gradient_transport else 0.0,
            normalized=normalized and self.normalization != "none",
            floor=group["weight_norm_floor"],
        )

    def _rate_and_betas(self, group: dict[str, Any]) -> tuple[float, float, float]:
        """η of this step, β of this step and of the next."""
        rate, step = float(group["lr"]), group["steps"]
        if self.rule:
            before, now = group["gradient_sums"]
            beta, following = self.rule.beta(np, step + 1, before), self.rule.beta(np, step + 2, now)
            return rate * self.rule.rate(step + 1, now), float(beta), float(following)
        if self.beta_of_step:
            return rate, float(self.beta_of_step(step)), float(self.beta_of_step(step + 1))
        return rate, group["beta"], group["beta"]

    def _scales(self, moves: Sequence[Move], x_sizes: Sequence[float], m_sizes: Sequence[float]) -> list[float]:
        """s of each parameter: η, times the ratio of norms where it is normalized."""
        kind = np.float32 if all(move.x.dtype == torch.float32 for move in moves) else np.float64
        normalized = np.array([move.normalized for move in moves])
        weights, momenta = np.array(x_sizes), np.array(m_sizes)
        if self.normalization == "global":
            for norms in (weights, momenta):
                norms[normalized] = np.linalg.norm(norms[normalized])
        weights = np.maximum(weights, [move.floor for move in moves]).astype(kind)
        with np.errstate(over="ignore"):  # which norm_ratio looks for
            ratios = update.norm_ratio(np, weights if self.scale_by_weight_norm else None, momenta.astype(kind))
        rates = [move.rate for move in moves]
        return list((np.where(normalized, ratios.astype(np.float64), 1.0) * rates).tolist())

    def _squared_distance(self, second: Sequence[torch.Tensor | None] | None) -> float:
        if second is None:
            return 0.0
        parameters = [p for group in self.param_groups for p in group["params"]]
        pairs = zip(parameters, second, strict=True)
        return sum(size**2 for size in sizes([p.grad - g for p, g in pairs if p.grad is not None and g is not None]))

    @torch.no_grad()
    def eval(self) -> None:
        """Puts the iterates w into the parameters: to evaluate and to save for use. Nothing if they hold w."""
        for group in self.param_groups:
            for x in group["params"] if group["training"] else []:
                if state := self.state.get(x):
                    state["x"] = x.clone()
                    x.add_(state["momentum"], alpha=state["offset"])
            group["training"] = False

    @torch.no_grad()
    def train(self) -> None:
        """Puts the gradient points x back, bit for bit, whatever the parameters were given. Nothing if they hold x."""
        for group in self.param_groups:
            for x in group["params"] if not group["training"] else []:
                if (state := self.state.get(x)) and "x" in state:
                    x.copy_(state.pop("x"))
            group["training"] = True

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside, the parameters hold w; on leaving, x as before."""
        self.eval()
        try:
            yield
        finally:
            self.train()


def _is_normalized(group: dict[str, Any], parameter: torch.Tensor) -> bool:
    own = group["normalized"]
    return more_than_one_dimension(parameter) if own is None else bool(own)
