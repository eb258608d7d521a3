"""What the study runs: its arms (results/laptop/PROTOCOL.md)."""

from typing import Any

from scripts.study.arm import FINAL_SEEDS, RUNS, TUNING_SEED, Arm
from scripts.sweep.grid import Point, Value

_NIGT_RESNET, _NIGT_BERT = "configs/study/resnet_nigt.gin", "configs/study/bert_nigt.gin"
_ADAM_BERT = "configs/study/bert_adam.gin"
_SGD_RESNET = "configs/study/resnet_sgd.gin"
_NO_TRANSPORT = "nigt.implicit_gradient_transport=False"
_FACTOR = "nigt.excluded_learning_rate_multiplier"
_NO_WEIGHT_NORM = "nigt.scale_by_weight_norm=False"
_NO_NORMALIZATION = ("nigt.normalization='none'", _NO_WEIGHT_NORM)
_SHIFTED = "resnet_classification.crop='shift'"
_NORMS = "experiment.norms=True"
_BETA2 = "beta2=0.9999"  # as the finer grid chose it


def _finer(name: str, gin_file: str, rates: tuple[float, ...], *axes: tuple[str, tuple[Value, ...]]) -> Arm:
    """A side of the main comparison between the decades: as many trials as the other's."""
    group = f"{gin_file.rpartition('/')[2].partition('_')[0]} finer grid"
    return Arm(
        *(f"{name}, finer grid", gin_file),
        group=group,
        axes=axes,
        rates=rates,
        trials_of=name,
        seeds=FINAL_SEEDS,
        phase="final",
    )


def _with_nigt_s_schedule(optimizer: str) -> tuple[str, str]:
    """Bindings that put an optimizer of trainers/schema/optimizers.py into NIGT's gin file."""
    configurable = optimizer.lower()
    return f"experiment.optimizer=@{configurable}()", f"{configurable}.learning_rate=@warmup_polynomial_decay()"


def _resnet_baseline(
    optimizer: str, *bindings: str, name: str | None = None, group: str = "resnet baselines", **fields: Any
) -> Arm:
    bindings = _with_nigt_s_schedule(optimizer) + bindings
    return Arm(name or optimizer, _NIGT_RESNET, bindings, group=group, **fields)


def _resnet_like(name: str, *bindings: str) -> Arm:
    return Arm(name, _NIGT_RESNET, bindings, group="resnet settings", axes=None, like="NIGT")


def _resnet_tuned(name: str, *bindings: str, group: str = "resnet ablations") -> Arm:
    return Arm(name, _NIGT_RESNET, bindings, group=group)


def _long(steps: int, interval: int) -> tuple[str, ...]:
    """A run of so many steps, evaluated at so many; the warm-up is a twentieth of it, as in configs/study."""
    warmup = f"warmup_polynomial_decay.warmup_steps={steps // 20}"
    return f"train_steps={steps}", warmup, f"validation_interval={interval}"


_AFTER = _long(3000, 500)


def _from_source(step: int) -> str:
    """The weights that the arm "Adam, source" had at a step."""
    return f"bert_pretraining.init_checkpoint='{RUNS}/bert_adam__source-s{TUNING_SEED}/ckpt-{step}'"


def _after(name: str, gin_file: str, rates: tuple[float, ...], *bindings: str) -> Arm:
    """From the source's step 3,000, where it has left the plateau, with a fresh optimizer."""
    bindings += (*_AFTER, _from_source(3000))
    return Arm(
        *(f"{name}, after the plateau", gin_file, bindings),
        group="bert after the plateau",
        rates=rates,
        full_length=True,
        seeds=FINAL_SEEDS,
        phase="final" if name in ("NIGT", "Adam") else "ablation",
    )


def _after_the_end(name: str, gin_file: str, *bindings: str) -> Arm:
    bindings += (*_AFTER, _from_source(6000))
    like = f"{name}, after the plateau"
    return Arm(f"{name}, after the end", gin_file, bindings, group="bert after the end", axes=None, like=like)


def _momentum(beta: float, *bindings: str) -> Arm:
    name = f"β {beta}" + (", no transport" if bindings else "")
    bindings = (f"beta={beta}", f"{_FACTOR}=10", *bindings)
    return Arm(name, _NIGT_BERT, bindings, group="bert momentum", rates=(1e-3, 3.16e-3, 1e-2), full_length=True)


def _batches(beta: float, size: int) -> Arm:
    """Without transport, as many images as the study's ResNet sees: 1,284 batches of 256."""
    steps = 1284 * 256 // size
    length = f"batch_size={size}", f"train_steps={steps}", f"validation_interval={steps // 6}"
    return Arm(
        *(f"β {beta:g}, batches of {size}", _NIGT_RESNET, (_NO_TRANSPORT, f"beta={beta}", *length)),
        group="resnet batches",
        rates=(3.16e-4, 1e-3, 3.16e-3, 1e-2, 3.16e-2, 1e-1),
        beside=f"β 0.9, batches of {size}",
    )


ARMS = (
    Arm("NIGT", _NIGT_RESNET, group="resnet", seeds=FINAL_SEEDS, phase="final"),
    Arm("SGD", _SGD_RESNET, group="resnet", seeds=FINAL_SEEDS, phase="final"),
    # Three values of a second number for either: of NIGT the factor of section 5.1, of Adam β2 (section 5.2: 0.99).
    Arm("NIGT", _NIGT_BERT, group="bert", axes=((_FACTOR, (10, 100, 1000)),), seeds=FINAL_SEEDS),
    Arm("Adam", _ADAM_BERT, group="bert", axes=(("beta2", (0.9, 0.99, 0.999)),), seeds=FINAL_SEEDS),
    # Half a decade beside either side's best η0; one value more of the second number, whose best was its first or last.
    _finer("NIGT", _NIGT_BERT, (3.16e-3, 1e-2, 3.16e-2), (_FACTOR, (1, 10, 100, 1000))),
    _finer("Adam", _ADAM_BERT, (3.16e-4, 1e-3, 3.16e-3), ("beta2", (0.9, 0.99, 0.999, 0.9999))),
    _finer("NIGT", _NIGT_RESNET, (3.16e-3, 1e-2, 3.16e-2)),
    _finer("SGD", _SGD_RESNET, (3.16e-2, 1e-1, 3.16e-1)),
    Arm("NIGT at the paper's rate", _NIGT_BERT, group="bert rates", point=Point((("eta0", 1e-3), (_FACTOR, 1000)))),
    Arm(
        "Adam at the paper's rate",
        _ADAM_BERT,
        group="bert rates",
        point=Point((("eta0", 1e-4), ("beta2", 0.99))),
    ),
    # What else the two sides differ in: the schedule, whose rate lies on the grid, and with whom crops were left out.
    _resnet_baseline(
        *("SGD", "sgd.momentum=%beta"), name="SGD with NIGT's schedule", group="resnet recipe", seeds=FINAL_SEEDS
    ),
    Arm(
        "SGD at the paper's rate", _SGD_RESNET, group="resnet recipe", point=Point((("eta0", 0.4),)), seeds=FINAL_SEEDS
    ),
    Arm(
        *("NIGT, shifted crops", _NIGT_RESNET, (_SHIFTED,)),
        group="resnet recipe",
        axes=None,
        like="NIGT",
        beside="NIGT, shifted crops",
    ),
    Arm(
        *("SGD, shifted crops", _SGD_RESNET, (_SHIFTED,)),
        group="resnet recipe",
        axes=None,
        like="SGD",
        beside="NIGT, shifted crops",
    ),
    # Half a decade below the tuned η0, 1, at which one seed of five is far off.
    _resnet_baseline(
        *("SGD", "sgd.momentum=%beta"),
        name="SGD with NIGT's schedule at 0.316",
        group="resnet smaller rate",
        point=Point((("eta0", 0.316),)),
        seeds=FINAL_SEEDS,
    ),
    _resnet_tuned("linear decay", "warmup_polynomial_decay.power=1.0", group="resnet recipe"),
    *(_resnet_like(f"factor {factor}", f"{_FACTOR}={factor}") for factor in (1, 10, 100)),
    _resnet_like("β 0.5", "beta=0.5"),
    _resnet_like("β 0.99", "beta=0.99"),
    _resnet_like("no weight decay", "resnet_classification.l2_weight_decay=0.0"),
    _resnet_like("batch norm at w", "resnet_classification.recalibration_batches=50"),
    _resnet_like("bfloat16 momentum", "nigt.momentum_dtype='bfloat16'"),
    # Tuned anew: what changes the size of every step, and what a claim of the paper rests on. Biases and batch norm
    # take η0 times the factor whatever the normalization: the factor 1000 may be what fails, so 1 is tried as well.
    _resnet_tuned("no transport", _NO_TRANSPORT),
    _resnet_tuned("no normalization", *_NO_NORMALIZATION),
    _resnet_tuned("no normalization, factor 1", *_NO_NORMALIZATION, f"{_FACTOR}=1"),
    _resnet_tuned("global norm", "nigt.normalization='global'"),
    _resnet_tuned("no weight norm", _NO_WEIGHT_NORM),
    _resnet_tuned("no weight norm, factor 1", _NO_WEIGHT_NORM, f"{_FACTOR}=1"),
    # What "no normalization" keeps, transport, left out as well; and the last of section 6's heuristics.
    _resnet_tuned("no normalization, no transport", *_NO_NORMALIZATION, _NO_TRANSPORT, group="resnet parts"),
    _resnet_tuned(
        "no normalization, no transport, factor 1",
        *(*_NO_NORMALIZATION, _NO_TRANSPORT, f"{_FACTOR}=1"),
        group="resnet parts",
    ),
    _resnet_tuned("no warm-up", "warmup_polynomial_decay.warmup_steps=0", group="resnet parts"),
    # The paper's title: momentum, with the large batches and with small ones.
    *(_batches(beta, size) for size in (32, 256) for beta in (0.9, 0.0)),
    # Section 4 as printed but for the schedule, as a factor on its step (nigt/tf_keras/optimizer.py).
    _resnet_tuned(
        "Algorithm 2 as printed",
        *("nigt.adaptive='algorithm2'", "nigt.gradient_bound=10.0", "nigt.normalization='global'"),
        *(_NO_WEIGHT_NORM, "nigt.exclude_from_normalization=()"),
        group="resnet adaptive",
    ),
    _resnet_tuned("released adaptive rule", "nigt.adaptive='released'", group="resnet adaptive"),
    Arm("Adam", "configs/study/resnet_adam.gin", group="resnet baselines"),
    _resnet_baseline("AdamW", "adamw.weight_decay=0.01", "resnet_classification.l2_weight_decay=0.0"),
    _resnet_baseline("LARS", "lars.trust_coefficient=1.0"),
    _resnet_baseline("LAMB"),
    _resnet_baseline("AdaGrad"),
    _resnet_baseline("Adafactor"),
    # All start from the weights of one run, which its arm keeps.
    Arm(
        *("Adam, source", _ADAM_BERT, ("experiment.keep_checkpoints=6", _NORMS)),
        group="bert source",
        point=Point((("eta0", 3.16e-3), ("beta2", 0.9999))),
        beside="Adam, source",
        seeds=(TUNING_SEED,),
    ),
    _after("NIGT", _NIGT_BERT, (1e-3, 3.16e-3, 1e-2), f"{_FACTOR}=10"),
    _after("Adam", _ADAM_BERT, (1e-3, 3.16e-3, 1e-2), _BETA2),
    _after("SGD", "configs/study/bert_sgd.gin", (3.16e-2, 1e-1, 3.16e-1)),
    _after("LAMB", _NIGT_BERT, (3.16e-3, 1e-2, 3.16e-2), *_with_nigt_s_schedule("LAMB")),
    _after_the_end("NIGT", _NIGT_BERT, f"{_FACTOR}=10"),
    _after_the_end("Adam", _ADAM_BERT, _BETA2),
    # How the weights grow from scratch, beside the source's.
    Arm(
        *("NIGT, norms", _NIGT_BERT, (_NORMS,)),
        group="bert norms",
        point=Point((("eta0", 1e-2), (_FACTOR, 1))),
        seeds=(TUNING_SEED,),
    ),
    Arm(
        *("LAMB, norms", _NIGT_BERT, (*_with_nigt_s_schedule("LAMB"), _NORMS)),
        group="bert norms",
        point=Point((("eta0", 1e-2),)),
        seeds=(TUNING_SEED,),
    ),
    # From scratch, so long that NIGT leaves the plateau; tuned at full length, since no shorter run ranks its points.
    Arm(
        *("NIGT, 24000 steps", _NIGT_BERT, (*_long(24000, 1000), f"{_FACTOR}=10", _NORMS)),
        group="bert 24000 steps",
        rates=(3e-3, 4e-3, 6e-3),
        full_length=True,
    ),
    Arm(
        *("Adam, 24000 steps", _ADAM_BERT, (*_long(24000, 1000), _BETA2)),
        group="bert 24000 steps",
        rates=(1e-3, 3.16e-3, 1e-2),
        full_length=True,
    ),
    Arm(
        *("NIGT, 48000 steps", _NIGT_BERT, (*_long(48000, 2000), f"{_FACTOR}=10", _NORMS)),
        group="bert 48000 steps",
        axes=None,
        like="NIGT, 24000 steps",
        seeds=(1,),
    ),
    Arm(
        *("Adam, 48000 steps", _ADAM_BERT, (*_long(48000, 2000), _BETA2)),
        group="bert 48000 steps",
        axes=None,
        like="Adam, 24000 steps",
        seeds=(1,),
    ),
    # Transport moves x ahead of w by β/(1 − β) steps, which may be what keeps η0 small: a rate more than NIGT has.
    Arm(
        *("no transport", _NIGT_BERT, (_NO_TRANSPORT,)),
        group="bert ablations",
        axes=((_FACTOR, (1, 10, 100)),),
        rates=(3.16e-3, 1e-2, 3.16e-2, 1e-1),
    ),
    *(_momentum(beta, *bindings) for beta in (0.97, 0.99) for bindings in ((), (_NO_TRANSPORT,))),
    Arm("SGD", "configs/study/bert_sgd.gin", group="bert baselines", axes=(("beta", (0.5, 0.9, 0.99)),)),
    Arm(
        *("LAMB", _NIGT_BERT, _with_nigt_s_schedule("LAMB")),
        group="bert lamb",
        rates=(3.16e-3, 1e-2, 3.16e-2),
        full_length=True,
    ),
)


def groups() -> list[str]:
    """The groups, in the order in which they are run."""
    return list(dict.fromkeys(arm.group for arm in ARMS))


def arms_of(group: str) -> list[Arm]:
    """The arms of a group."""
    return [arm for arm in ARMS if arm.group == group]


def model_of(arm: Arm) -> Arm:
    """The arm whose point it takes, or whose trials."""
    return find(arm.task, arm.like or arm.trials_of or arm.name)


def reference(arm: Arm) -> Arm:
    """What it stands beside: the NIGT of its group if it has one, else that of its task (on the finer grid if it is
    tuned there); itself if it is that."""
    if arm.beside:
        return find(arm.task, arm.beside)
    first = arms_of(arm.group)[0]
    if first.name.startswith("NIGT"):
        return first
    return arms_of(f"{arm.task} finer grid" if arm.rates else arm.task)[0]


def find(task: str, name: str) -> Arm:
    """The arm of a task by its name."""
    return next(arm for arm in ARMS if (arm.task, arm.name) == (task, name))


# What study.md answers first: the question, and which arm stands beside which.
HEADLINES = (
    ("BERT from scratch, 6,000 steps", find("bert", "NIGT, finer grid"), find("bert", "Adam, finer grid")),
    ("… at the paper's own rates", find("bert", "NIGT at the paper's rate"), find("bert", "Adam at the paper's rate")),
    ("BERT from scratch, 24,000 steps", find("bert", "NIGT, 24000 steps"), find("bert", "Adam, 24000 steps")),
    ("BERT after the plateau", find("bert", "NIGT, after the plateau"), find("bert", "Adam, after the plateau")),
    ("ResNet, each with the paper's schedule", find("resnet", "NIGT"), find("resnet", "SGD")),
    ("ResNet, both with NIGT's schedule", find("resnet", "NIGT"), find("resnet", "SGD with NIGT's schedule")),
)

# From scratch, by the length of the runs.
LENGTHS = {
    optimizer: tuple(find("bert", f"{optimizer}, {name}") for name in ("finer grid", "24000 steps", "48000 steps"))
    for optimizer in ("NIGT", "Adam")
}

# Groups whose comparisons are one family, and what is compared besides every arm with what it stands beside.
_FAMILIES = (("bert", "resnet"), ("bert finer grid", "resnet finer grid"))
_FURTHER = (("SGD with NIGT's schedule", "Adam"), ("SGD with NIGT's schedule", "AdaGrad"))  # on the ResNet
# Of a group: the arms whose difference is set against the difference of two others, in its family as well.
CONTRASTS = {
    "resnet batches": tuple(
        (find("resnet", f"β 0.9, batches of {size}"), find("resnet", f"β 0, batches of {size}")) for size in (32, 256)
    )
}


def family(ours: Arm, theirs: Arm) -> list[tuple[Arm, Arm]]:
    """The comparisons that are judged together with this one, itself among them (PROTOCOL.md).

    Raises:
      ValueError: No family has it: nobody planned it.
    """
    together = next((groups for groups in _FAMILIES if theirs.group in groups), (theirs.group,))
    own = [(reference(arm), arm) for group in together for arm in arms_of(group) if reference(arm) != arm]
    further = [(find("resnet", one), find("resnet", other)) for one, other in _FURTHER]
    for pairs in (own, further):
        if (ours, theirs) in pairs:
            return pairs
    raise ValueError(f"{ours.name} − {theirs.name} is in no family; name it in scripts/study/plan.py")


def is_nigt(arm: Arm) -> bool:
    """Whether its runs are NIGT's, with whatever changes."""
    others = any(binding.startswith("experiment.optimizer=") for binding in arm.bindings)
    return arm.gin_file in (_NIGT_RESNET, _NIGT_BERT) and not others


def is_continued(arm: Arm) -> bool:
    """Whether its runs start from another run's weights."""
    return any("init_checkpoint" in binding for binding in arm.bindings)


def points(arm: Arm, rates: tuple[float, ...]) -> list[Point]:
    """The grid of an arm: these η0, or its own, with every combination of its other axes."""
    found: list[tuple[tuple[str, Value], ...]] = [(("eta0", rate),) for rate in arm.rates or rates]
    for name, values in arm.axes or ():
        found = [(*point, (name, value)) for point in found for value in values]
    return [Point(values) for values in found]
