"""Two processes (gloo): DistributedDataParallel and fully_shard train as one process does; FSDP 1 is refused."""

import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

# Each process trains on its half of a batch; one process alone trains on all of it. Prints what differs.
PROGRAM = """
import sys, torch, torch.distributed as dist
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from nigt.torch import NIGT

kind = sys.argv[1]
dist.init_process_group("gloo")
rank = dist.get_rank()

def made():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3)).double()
    return model

def batches():
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        yield torch.randn(8, 5, generator=generator).double(), torch.randn(8, 3, generator=generator).double()

def loss(model, x, y):
    return torch.nn.functional.mse_loss(model(x), y)

def whole(values):
    return [v.full_tensor() if hasattr(v, "full_tensor") else v for v in values]

def apart(a, b):
    return max(float((p - q).detach().abs().max()) for p, q in zip(whole(a.parameters()), b.parameters()))

def difference(normalization):
    alone = made()
    single = NIGT(alone.parameters(), 1e-2, normalization=normalization, excluded_learning_rate_multiplier=10)
    for x, y in batches():
        single.zero_grad()
        loss(alone, x, y).backward()
        single.step()
    model = made()
    if kind == "ddp":
        model = torch.nn.parallel.DistributedDataParallel(model)
    else:
        for layer in model:
            if list(layer.parameters()):
                fully_shard(layer)
        fully_shard(model)
    optimizer = NIGT(model.parameters(), 1e-2, normalization=normalization, excluded_learning_rate_multiplier=10)
    for x, y in batches():
        optimizer.zero_grad()
        half = slice(rank * 4, rank * 4 + 4)
        loss(model, x[half], y[half]).backward()
        optimizer.step()
    sharded = [p for p in model.parameters() if hasattr(p, "to_local") and p.to_local().shape != p.shape]
    assert bool(sharded) == (kind == "fully_shard")
    at_x = apart(model, alone)
    with optimizer.evaluating(), single.evaluating():
        return max(at_x, apart(model, alone))

if kind.startswith("fsdp1"):
    original = kind == "fsdp1_original"
    wrapped = FullyShardedDataParallel(made(), use_orig_params=original, device_id=torch.device("cpu"))
    try:
        NIGT(wrapped.parameters())
    except ValueError as error:
        said = f"REFUSED {error}"
else:
    said = f"ERRORS {difference('layer')} {difference('global')}"
if rank == 0:
    print(said)
dist.destroy_process_group()
"""


def _run(kind):
    """What the first of two processes printed. PyTorch's launcher keeps their store: either may end first."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]
    command += [sys.executable, "-c", PROGRAM, kind]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("kind", ["ddp", "fully_shard"])
def test_two_processes_train_as_one(kind):
    """With fully_shard each process has a piece of every parameter; ‖x‖ and ‖m‖ are of the whole ones."""
    word, *errors = _run(kind).split()
    assert word == "ERRORS" and len(errors) == 2 and all(float(error) < 1e-12 for error in errors)


@pytest.mark.parametrize("kind", ["fsdp1_flat", "fsdp1_original"])
def test_parameters_that_fsdp_1_has_flattened_are_refused(kind):
    """A piece of the flat parameter crosses layers: there is no ‖m‖ of a layer to be had."""
    assert "use torch.distributed.fsdp.fully_shard" in _run(kind)
