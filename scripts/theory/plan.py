"""What `make theory` measures, in full and quick."""

from scripts.theory.tasks import FIXED_SIGMA, Task

SIGMA = {"cos": 2.0, "gm": 1.0, "cosill": 1.0, "robust": 0.0}  # robust's follows from its data
FIXED = f"settings of σ = {FIXED_SIGMA:g}"  # of the method that Algorithm 2's adapting is held against
NEAR = 0.01  # on w_1: Algorithm 2's own rates, without the way to the minimum


def full() -> list[Task]:
    """T from 1e2 to 1e6."""
    steps = (100, 1000, 10_000, 100_000, 1_000_000)
    return _plan(
        steps,
        {100: 64, 1000: 64, 10_000: 64, 100_000: 32, 1_000_000: 16},
        drift=(20_000, 400_000, 4096),
        transport=20_000,
        compare=(10_000, 100_000),
        order=100_000,
        dimension=(10_000, 32),
        batch=((1000, 10_000, 100_000), (1_000_000, 10_000_000)),
    )


def quick() -> list[Task]:
    """T up to 1e4 and fewer replicates: the same measurements, too short for the slopes to be final."""
    steps = (100, 1000, 10_000)
    return _plan(
        steps,
        {100: 32, 1000: 32, 10_000: 16},
        drift=(500, 5000, 1024),
        transport=4000,
        compare=(1000,),
        order=3000,
        dimension=(1000, 32),
        batch=((1000,), (10_000,)),
    )


def _plan(
    steps: tuple[int, ...],
    replicates: dict[int, int],
    drift: tuple[int, int, int],
    transport: int,
    compare: tuple[int, ...],
    order: int,
    dimension: tuple[int, int],
    batch: tuple[tuple[int, ...], tuple[int, ...]],
) -> list[Task]:
    """All tasks.

    Args:
      steps: T of the rates.
      replicates: n by T.
      drift: Steps without and with momentum, and n.
      transport: n.
      compare: T at which every method's η is tuned on the same grid, and α where it has one.
      order: T at which Algorithm 2 and NIGT are compared over σ.
      dimension: T and n of the runs over d.
      batch: T of all batch sizes, and of those alone whose floor a long run is needed for.
    """
    tasks = _rates(steps, replicates) + _algorithm2(steps, replicates, order)
    plain, momentum, count = drift
    for rare in (0.1, 0.25, 0.4):
        tasks.append(_drift(rare, 0.0, plain, count))
    for beta in (0.9, 0.99, 0.999):
        tasks.append(_drift(0.25, beta, momentum, count))
    for objective, setting in (("quadratic", ""), ("quadratic", "as printed"), ("cos", ""), ("cos", "no transport")):
        sigma = SIGMA["cos"] if objective == "cos" else 1.0
        length = 100 if objective == "quadratic" else 11
        tasks.append(Task("transport", "transport", "igt", length, transport, objective, sigma=sigma, setting=setting))
    for dim in (1, 10, 100, 1000):
        for method in ("nsgdm", "nigt"):
            tasks.append(Task("run", "dimension", method, *dimension, "cos_equal", sigma=1.0, dim=dim))
    every, longer = batch
    for size in (1, 4, 16, 20, 64, 256):
        for length in every + (longer if size > 4 else ()):
            tasks.append(Task("run", "batch", "nsgd", length, 32, noise="skewed", sigma=SIGMA["cos"], batch=size))
    for objective in ("cos", "cosill"):
        for length in compare:
            for method in ("nsgd", "nsgdm", "nigt", "sgd"):
                tasks.append(Task("tuned", "tuned", method, length, 32, objective, sigma=SIGMA[objective]))
    return tasks


def _rates(steps: tuple[int, ...], replicates: dict[int, int]) -> list[Task]:
    """rates.csv but for Algorithm 2: (objective, noise), methods by how η is set, the largest T."""
    plan = (
        ("cos", "gaussian", ("nsgd", "nsgdm", "nigt"), ("sgd", "igt"), 1_000_000),
        ("cos", "skewed", ("nsgd", "nsgdm", "nigt"), (), 1_000_000),
        ("cos", "skewed", (), ("sgd",), 100_000),
        ("cosill", "gaussian", ("nsgd", "nsgdm", "nigt"), ("sgd",), 1_000_000),
        ("gm", "gaussian", ("nsgdm", "nigt"), (), 1_000_000),
        ("gm", "gaussian", ("nsgd", "sgd"), (), 100_000),
        ("robust", "finite_sum", ("nsgdm", "nigt"), (), 1_000_000),
        ("robust", "finite_sum", ("nsgd", "sgd"), (), 100_000),
    )
    tasks = []
    for objective, noise, given, tuned, largest in plan:
        for kind, names in (("run", given), ("tuned", tuned)):
            for method in names:
                for length in (t for t in steps if t <= largest):
                    tasks.append(
                        Task(kind, "rates", method, length, replicates[length], objective, noise, SIGMA[objective])
                    )
    return tasks


def _algorithm2(steps: tuple[int, ...], replicates: dict[int, int], order: int) -> list[Task]:
    """Methods that do not depend on T: one run, reported at every T."""
    last, marks, count = steps[-1], steps[:-1], replicates[steps[-1]]
    shorter = min(last, 100_000)
    below = tuple(t for t in marks if t < shorter)
    tasks = [
        Task("run", "rates", method, last, count, sigma=SIGMA["cos"], marks=marks)
        for method in ("adaptive", "adaptive_corrected", "storm")
    ]
    for method in ("adaptive", "adaptive_corrected", "storm"):
        tasks.append(Task("run", "rates", method, shorter, count, noise="skewed", sigma=SIGMA["cos"], marks=below))
    for sigma, own in ((0.0, 1), (1.0, count)):
        for method, length, reported in (("adaptive", last, marks), ("adaptive_corrected", shorter, below)):
            given = "run", "near", method, length, own
            tasks.append(Task(*given, sigma=sigma, marks=reported, start_scale=NEAR, setting="near"))
    for sigma in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0):
        count = 1 if sigma == 0 else 16
        for method in ("adaptive", "adaptive_corrected", "nigt"):
            tasks.append(Task("run", "order", method, order, count, sigma=sigma))
        tasks.append(Task("fixed", "order", "nigt", order, count, sigma=sigma, setting=FIXED))
    return tasks


def _drift(rare: float, beta: float, steps: int, replicates: int) -> Task:
    method, sigma = "nsgdm" if beta else "nsgd", (rare * (1 - rare)) ** 0.5
    problem = {"objective": "zero", "noise": "skewed", "sigma": sigma, "dim": 1, "setting": f"p={rare:g} beta={beta:g}"}
    return Task("drift", "drift", method, steps, replicates, rare=rare, beta=beta, **problem)
