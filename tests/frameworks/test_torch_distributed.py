"""Two processes (gloo): DistributedDataParallel and fully_shard train as one process does; FSDP 1 is refused."""

import os
import socket
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

# Each process trains on its half of a batch; one process alone trains on all of it. Prints what differs.
PROGRAM = """
import sys, torch, torch.distributed as dist
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from nigt.torch import NIGT

kind, normalization = sys.argv[1:]
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()

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

alone = made()
single = NIGT(alone.parameters(), 1e-2, normalization=normalization, excluded_learning_rate_multiplier=10)
for x, y in batches():
    single.zero_grad()
    loss(alone, x, y).backward()
    single.step()

model = made()
if kind == "ddp":
    model = torch.nn.parallel.DistributedDataParallel(model)
elif kind == "fully_shard":
    for layer in model:
        if list(layer.parameters()):
            fully_shard(layer)
    fully_shard(model)
else:
    try:
        original = kind == "fsdp1_original"
        wrapped = FullyShardedDataParallel(model, use_orig_params=original, device_id=torch.device("cpu"))
        NIGT(wrapped.parameters())
    except ValueError as error:
        print("REFUSED", error)
    dist.destroy_process_group()
    sys.exit()
optimizer = NIGT(model.parameters(), 1e-2, normalization=normalization, excluded_learning_rate_multiplier=10)
for x, y in batches():
    optimizer.zero_grad()
    half = slice(rank * 4, rank * 4 + 4)
    loss(model, x[half], y[half]).backward()
    optimizer.step()
sharded = [p for p in model.parameters() if hasattr(p, "to_local") and p.to_local().shape != p.shape]
assert bool(sharded) == (kind == "fully_shard")
error = max(float((a - b).abs().max()) for a, b in zip(whole(model.parameters()), alone.parameters()))
with optimizer.evaluating(), single.evaluating():
    error = max(error, *(float((a - b).abs().max()) for a, b in zip(whole(model.parameters()), alone.parameters())))
print("ERROR", error)
dist.destroy_process_group()
"""


def _run(*arguments):
    """What the first of two processes printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = os.environ | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], env=shared | {"RANK": str(rank)}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=300) for process in processes]
    assert all(process.returncode == 0 for process in processes), outputs
    return outputs[0][0].splitlines()[-1]


@pytest.mark.parametrize("normalization", ["layer", "global"])
@pytest.mark.parametrize("kind", ["ddp", "fully_shard"])
def test_two_processes_train_as_one(kind, normalization):
    """With fully_shard each process has a piece of every parameter; ‖x‖ and ‖m‖ are of the whole ones."""
    word, error = _run(kind, normalization).split()
    assert word == "ERROR" and float(error) < 1e-12


@pytest.mark.parametrize("kind", ["fsdp1_flat", "fsdp1_original"])
def test_parameters_that_fsdp_1_has_flattened_are_refused(kind):
    """A piece of the flat parameter crosses layers: there is no ‖m‖ of a layer to be had."""
    assert "use torch.distributed.fsdp.fully_shard" in _run(kind, "layer")
