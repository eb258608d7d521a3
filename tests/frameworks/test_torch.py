"""PyTorch's conventions."""

import copy
import io
import os
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nigt.torch import NIGT, parameter_groups  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:NIGT")


def _model(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.LayerNorm(8), torch.nn.Tanh(), torch.nn.Linear(8, 2))


def _loss(model, step):
    random = torch.Generator().manual_seed(step)
    x, y = torch.randn(16, 4, generator=random), torch.randn(16, 2, generator=random)
    return torch.nn.functional.mse_loss(model(x), y)


def _train(model, optimizer, steps):
    for step in steps:
        optimizer.zero_grad()
        _loss(model, step).backward()
        optimizer.step()


def _values(model):
    return [p.detach().clone() for p in model.parameters()]


def _equal(a, b):
    return all(torch.equal(u, v) for u, v in zip(a, b, strict=True))


def _saved(*states):
    file = io.BytesIO()
    torch.save(states, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("at_w", [False, True])
@pytest.mark.parametrize("options", [{}, {"adaptive": "algorithm2", "gradient_bound": 9.0}], ids=str)
def test_a_run_resumes_exactly_from_its_state_also_from_one_saved_at_w(fused, at_w, options):
    def step(model, optimizer, number):
        optimizer.zero_grad()
        second = torch.autograd.grad(_loss(model, 100 + number), list(model.parameters())) if options else None
        _loss(model, number).backward()
        optimizer.step(second_gradients=second)

    model = _model()
    optimizer = NIGT(model.named_parameters(), fused=fused, **options)
    for number in range(5):
        step(model, optimizer, number)
    if at_w:
        optimizer.eval()
    weights, state = _saved(model.state_dict(), optimizer.state_dict())
    optimizer.train()
    again = _model(seed=1)
    resumed = NIGT(again.named_parameters(), fused=fused, **options)
    again.load_state_dict(weights)
    resumed.load_state_dict(state)
    resumed.train()
    for number in range(5, 10):
        step(model, optimizer, number)
        step(again, resumed, number)
        assert _equal(_values(model), _values(again))


def test_x_and_w_change_places_bit_for_bit_and_a_step_at_w_is_refused():
    model = _model()
    optimizer = NIGT(model.parameters(), 1e-2)
    _train(model, optimizer, range(3))
    x = _values(model)
    optimizer.eval()
    w = _values(model)
    optimizer.eval()  # nothing, twice
    assert _equal(w, _values(model)) and not _equal(w, x)
    with pytest.raises(RuntimeError, match=r"optimizer.train\(\)"):
        optimizer.step()
    optimizer.train()
    assert _equal(x, _values(model))
    with pytest.raises(KeyError), optimizer.evaluating():
        assert _equal(w, _values(model))
        raise KeyError
    assert _equal(x, _values(model))
    optimizer.state.clear()  # m is forgotten: w is x
    with optimizer.evaluating():
        assert _equal(x, _values(model))


def test_section_5s_rule_decides_unless_a_group_does():
    model = _model()
    by_rule, by_groups = copy.deepcopy(model), copy.deepcopy(model)
    rule = NIGT(by_rule.parameters(), 1e-3, weight_decay=0.1)
    groups = NIGT(parameter_groups(by_groups.named_parameters()), 1e-3, weight_decay=0.1)
    assert [len(g["params"]) for g in groups.param_groups] == [2, 4]
    _train(by_rule, rule, range(5))
    _train(by_groups, groups, range(5))
    assert _equal(_values(by_rule), _values(by_groups))
    everything = NIGT([{"params": model.parameters(), "normalized": True}], 1e-3, weight_decay=0.1)
    _train(model, everything, range(5))
    assert not _equal(_values(model), _values(by_rule))
    own = parameter_groups(model.parameters(), lr=1e-5)
    assert own[1]["lr"] == 1e-5 and "lr" not in own[0]


def test_a_closure_is_evaluated_at_x_with_gradients_on():
    model, plain = _model(), _model()
    optimizer = NIGT(model.parameters())

    def closure():
        optimizer.zero_grad()
        loss = _loss(model, 0)
        loss.backward()
        return loss

    assert float(optimizer.step(closure)) == float(_loss(plain, 0))
    _train(plain, NIGT(plain.parameters()), [0])
    assert _equal(_values(model), _values(plain))


def test_grad_scaler_unscales_and_skips():
    model, plain = _model(), _model()
    optimizer, scaler = NIGT(model.parameters()), torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for step in range(4):
        optimizer.zero_grad()
        scaler.scale(_loss(model, step)).backward()
        if step == 1:
            next(model.parameters()).grad[0, 0] = float("inf")
        scaler.step(optimizer)
        scaler.update()
    _train(plain, NIGT(plain.parameters()), [0, 2, 3])
    assert scaler.get_scale() == 2.0**9 and optimizer.skipped_steps == 0  # the scaler's own affair
    for a, b in zip(_values(model), _values(plain), strict=True):
        torch.testing.assert_close(a, b)


SCHEDULERS = {
    "LambdaLR": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step)),
    "CosineAnnealingLR": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 5),
    "OneCycleLR": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.01, 9, cycle_momentum=False),
    "SequentialLR": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o, [torch.optim.lr_scheduler.LinearLR(o, 0.1, 1.0, 3), torch.optim.lr_scheduler.PolynomialLR(o, 6)], [3]
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_set_the_rate_of_both_kinds(name):
    """As the same rates set by hand, which the oracle's tests do."""
    model, plain = _model(), _model()
    optimizer, by_hand = NIGT(parameter_groups(model.parameters())), NIGT(plain.parameters())
    scheduler = SCHEDULERS[name](optimizer)
    for step in range(8):
        (rate,) = {group["lr"] for group in optimizer.param_groups}
        by_hand.param_groups[0]["lr"] = rate
        _train(model, optimizer, [step])
        _train(plain, by_hand, [step])
        scheduler.step()
    assert _equal(_values(model), _values(plain))


def test_a_rate_that_is_a_tensor_is_followed():
    model, plain, rate = _model(), _model(), torch.tensor(1e-3, dtype=torch.float64)
    optimizer, other = NIGT(model.parameters(), rate), NIGT(plain.parameters(), 1e-3)
    _train(model, optimizer, [0])
    _train(plain, other, [0])
    rate.fill_(0.0)
    _train(model, optimizer, [1])
    other.param_groups[0]["lr"] = 0.0
    _train(plain, other, [1])
    assert _equal(_values(model), _values(plain))


@pytest.mark.parametrize("fused", [False, True])
def test_frozen_channels_last_and_mixed_parameters(fused):
    """A frozen parameter stays; memory layout and float64 beside float32 do not matter."""
    torch.manual_seed(0)
    first = [torch.nn.Parameter(torch.randn(4, 3, 2, 2)), torch.nn.Parameter(torch.randn(3, 3, dtype=torch.float64))]
    last = [torch.nn.Parameter(p.detach().clone()) for p in first]
    last[0].data = last[0].data.contiguous(memory_format=torch.channels_last)
    frozen = torch.nn.Parameter(torch.ones(2, 2))
    optimizers = [NIGT(first, fused=False), NIGT([*last, frozen], fused=fused)]
    for step in range(5):
        gradients = [torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(step)) for p in first]
        for parameters, optimizer in zip((first, last), optimizers, strict=True):
            for p, g in zip(parameters, gradients, strict=True):
                p.grad = g.clone()
            optimizer.step()
    assert torch.equal(frozen, torch.ones(2, 2)) and frozen not in optimizers[1].state
    for a, b in zip(first, last, strict=True):
        torch.testing.assert_close(a, b)


def test_what_it_refuses_it_names():
    embedding = torch.nn.Embedding(5, 3, sparse=True)
    optimizer = NIGT(embedding.named_parameters())
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="gradient of weight is sparse.*sparse=False"):
        optimizer.step()
    half = torch.nn.Linear(2, 2).half()
    with pytest.raises(ValueError, match=r"parameter 0 of its group, of shape \(2, 2\) is torch.float16.*autocast"):
        NIGT(half.parameters())
    parameters = [torch.nn.Parameter(torch.ones(2, 2))]
    for arguments, message in [
        ({"beta": 1.0}, r"beta must be in \[0, 1\)"),
        ({"lr": -1.0}, "lr must not be negative"),
        ({"weight_decay": -1.0}, "weight_decay must not be negative"),
        ({"normalization": "layers"}, "normalization must be one of"),
        ({"adaptive": "released"}, "adaptive must be one of"),
        ({"adaptive": "algorithm2"}, "gradient_bound must be positive"),
        ({"gradient_bound": 1.0}, "gradient_bound is for"),
    ]:
        with pytest.raises(ValueError, match=message):
            NIGT(parameters, **arguments)
    parameters[0].grad = torch.ones(2, 2)
    with pytest.raises(ValueError, match="needs second_gradients"):
        NIGT(parameters, adaptive="algorithm2", gradient_bound=1.0).step()
    with pytest.raises(ValueError, match="second_gradients are for"):
        NIGT(parameters).step(second_gradients=[torch.ones(2, 2)])


@pytest.mark.filterwarnings("default:NIGT")
def test_growing_and_zero_weights_are_warned_of():
    linear = torch.nn.Linear(2, 2)
    with pytest.warns(UserWarning, match="makes the weights grow"):
        NIGT(linear.parameters(), 0.05)
    torch.nn.init.zeros_(linear.weight)
    with pytest.warns(UserWarning, match="NIGT: weight starts at 0.*weight_norm_floor"):
        NIGT(linear.named_parameters())


def test_without_a_compiler_fused_is_refused_in_one_line(tmp_path):
    program = (
        "import torch; from nigt.torch import NIGT\n"
        "p = torch.nn.Parameter(torch.ones(3, 3)); p.grad = torch.ones(3, 3)\n"
        "try: NIGT([p], fused=True).step()\n"
        "except RuntimeError as error: print(error)"
    )
    environment = os.environ | {"CXX": "/nonexistent", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith("NIGT: fused=True needs a C++ compiler") and "leave fused out" in line


def test_the_state_is_one_copy_of_the_parameters():
    """One tensor a parameter beside numbers."""
    model = _model()
    optimizer = NIGT(model.parameters())
    _train(model, optimizer, range(2))
    tensors = [v for state in optimizer.state.values() for v in state.values() if isinstance(v, torch.Tensor)]
    assert sum(t.numel() for t in tensors) == sum(p.numel() for p in model.parameters())
    assert all(np.isscalar(v) or isinstance(v, torch.Tensor) for s in optimizer.state.values() for v in s.values())
