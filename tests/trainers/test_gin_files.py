"""Every shipped gin file loads, and its bindings reach what is built; bad ones end in one line."""

import json
import pathlib
import subprocess
import sys

import gin
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st
from official.core import task_factory

from data.errors import InputError
from nigt import NIGT
from scripts.arm import Arm
from tests.conftest import ROOT
from trainers import gin_files
from trainers.model_garden.optimizers import AdamWeightDecay

RUN_FILES = sorted(
    str(path.relative_to(ROOT)) for task in ("bert", "resnet") for path in ROOT.glob(f"configs/*/{task}_*.gin")
)
NAMES = {f"{task}_{optimizer}" for task in ("bert", "resnet") for optimizer in ("nigt", "adam", "sgd")}
NAMES.add("bert_adamw")
CLASSES = {"nigt": NIGT, "adam": tf_keras.optimizers.legacy.Adam, "sgd": tf_keras.optimizers.legacy.SGD}
CLASSES["adamw"] = AdamWeightDecay


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def _macro(name):
    """A macro's value; what it refers to, called."""
    value = gin.query_parameter(f"{name}/macro.value")
    return value.scoped_configurable_fn() if isinstance(value, gin.config.ConfigurableReference) else value


def _optimizer(experiment):
    config = experiment.config
    task = task_factory.get_task(config.task)
    return task.create_optimizer(config.trainer.optimizer_config, config.runtime)


def test_both_scales_ship_them_all():
    for scale in ("paper", "laptop"):
        assert {pathlib.Path(file).stem for file in RUN_FILES if f"/{scale}/" in file} == NAMES


@pytest.mark.parametrize("file", RUN_FILES)
def test_the_bindings_reach_the_experiment(file):
    experiment = gin_files.load(file, [], seed=7)
    task, optimizer = pathlib.Path(file).stem.split("_")
    config = experiment.config
    assert (experiment.task.name, experiment.optimizer.name) == (task, optimizer)
    assert experiment.scale == pathlib.Path(file).parent.name.replace("study", "laptop")
    assert config.trainer.train_steps == _macro("train_steps")
    assert config.trainer.validation_interval == _macro("validation_interval")
    assert config.task.train_data.global_batch_size == _macro("batch_size")
    assert config.task.train_data.seed == experiment.seed == 7
    assert experiment.eta0 == _macro("eta0")
    built = _optimizer(experiment)
    assert type(built) is CLASSES[optimizer]
    assert getattr(built, {"nigt": "beta", "sgd": "momentum"}.get(optimizer, "beta_1")) == _macro("beta")
    if optimizer.startswith("adam"):
        assert built.beta_2 == _macro("beta2")


@pytest.mark.parametrize("file", RUN_FILES)
def test_a_binding_on_the_command_line_overrides_each_macro(file):
    bindings = ["eta0 = 0.0123", "beta = 0.8", "train_steps = 20000", "batch_size = 64", "validation_interval = 10"]
    experiment = gin_files.load(file, bindings)
    built = _optimizer(experiment)
    assert experiment.eta0 == 0.0123
    assert getattr(built, {"nigt": "beta", "sgd": "momentum"}.get(experiment.optimizer.name, "beta_1")) == 0.8
    trainer = experiment.config.trainer
    assert (trainer.train_steps, trainer.validation_interval) == (20000, 10)
    assert experiment.config.task.train_data.global_batch_size == 64
    warmup_steps = experiment.optimizer.learning_rate.warmup_steps
    peak = float(_rate(built, warmup_steps - 1))  # a step before the end of the warm-up, which leads to η0
    assert peak == pytest.approx(0.0123 * (1 - 1 / warmup_steps), rel=1e-5)


def _rate(optimizer, step):
    schedule = getattr(optimizer, "_learning_rate", None) or optimizer._hyper["learning_rate"]
    return schedule(tf.constant(step, tf.int64))


def test_a_file_loads_from_any_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert gin_files.load(str(ROOT / "configs/laptop/resnet_nigt.gin"), []).task.name == "resnet"


def test_a_missing_include_is_refused_by_name(tmp_path):
    file = tmp_path / "mine.gin"
    file.write_text('include "configs/laptop/nothing.gin"')
    with pytest.raises(InputError, match="configs/laptop/nothing.gin"):
        gin_files.load(str(file), [])


def test_the_papers_numbers_are_in_the_papers_files():
    """Section 5: what a reader of the paper looks up first."""
    expected = {
        # eta0, beta, steps, batch
        "bert_nigt": (0.001, 0.9, 500_000, 256),
        "bert_adam": (0.0001, 0.9, 500_000, 256),
        "resnet_nigt": (0.01, 0.9, 112_603, 1024),
        "resnet_sgd": (0.4, 0.9, 112_603, 1024),
    }
    for name, numbers in expected.items():
        gin_files.load(f"configs/paper/{name}.gin", [])
        assert tuple(_macro(macro) for macro in ("eta0", "beta", "train_steps", "batch_size")) == numbers
    gin_files.load("configs/paper/bert_adam.gin", [])
    assert _macro("beta2") == 0.99
    for name in ("bert_nigt", "resnet_nigt"):
        optimizer = _optimizer(gin_files.load(f"configs/paper/{name}.gin", []))
        assert optimizer.excluded_learning_rate_multiplier == 1000.0
        assert optimizer.normalization == "layer" and optimizer.scale_by_weight_norm


@pytest.mark.parametrize("file", RUN_FILES)
def test_the_operative_configuration_alone_rebuilds_the_run(file, tmp_path):
    experiment = gin_files.load(file, ["eta0 = 0.0321"], seed=5)
    text = gin_files.operative_config()
    saved = tmp_path / "config.gin"
    saved.write_text(text)
    again = gin_files.load(str(saved), [])
    assert again.config.as_dict() == experiment.config.as_dict()
    assert (again.eta0, again.seed) == (0.0321, 5)
    assert gin_files.operative_config() == text


def test_every_committed_configuration_still_loads_and_says_what_it_said():
    """And so does the run's command. What the files do not name, because they are older, has its default."""
    files = sorted((ROOT / "results").rglob("config.gin"))
    assert len(files) >= 345
    for file in files:
        experiment = gin_files.load(str(file), [])
        there, here = (_bound(text) for text in (file.read_text(), gin_files.operative_config()))
        assert there.items() <= here.items(), file
        record = json.loads((file.parent / "run.json").read_text())
        own = {"task": experiment.task.name, "optimizer": experiment.optimizer.name, "eta0": experiment.eta0}
        own |= {"seed": experiment.seed, "scale": experiment.scale, "strategy": experiment.strategy}
        assert {name: record[name] for name in own} == own, file
        arm = Arm.of_run(record)
        given = gin_files.load(arm.gin_file, list(arm.bindings), experiment.seed)
        assert not gin_files.differences(experiment, given), file


def _bound(config):
    """Its lines, by what they bind."""
    lines = (line for line in config.replace("\\\n    ", "").splitlines() if " = " in line)
    return dict(line.split(" = ", 1) for line in lines)


def test_what_a_gin_file_may_say_is_known_without_tensorflow():
    program = "import sys\nfrom trainers import gin_files\n"
    program += "for file in sys.argv[1:]:\n    gin_files.load(file, [])\n"
    program += "import scripts.sweep.grid, scripts.tpu.machine\n"
    program += "print({name.split('.')[0] for name in sys.modules} & {'tensorflow', 'tf_keras', 'keras', 'official'})"
    done = subprocess.run([sys.executable, "-c", program, *RUN_FILES], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "set()"), done.stderr


@pytest.mark.parametrize(
    ("binding", "named"),
    [
        ("etaO = 0.1", "etaO"),  # a misspelt macro
        ("eta0 = 'fast'", "eta0"),
        ("eta0 = -0.1", "eta0"),
        ("eta0 = 1e30", "eta0"),
        ("beta = 1.0", "momentum"),
        ("experiment.compile = 2", "compile"),
        ("train_steps = 10.5", "train_steps"),
        ("train_steps = True", "train_steps"),
        ("batch_size = 0", "batch_size"),
        ("train_steps = 4", "boundaries"),
        ("sgd.momentumm = 0.9", "momentumm"),
        ("nigt.beta = 0.9", "nigt.beta"),  # of an optimizer that this run does not use
        ("sgdd.momentum = 0.9", "sgdd"),
        ("sgd.momentum = %mu", "mu"),
        ("experiment.optimizer = @resnet_classification()", "optimizer"),
        ("resnet_classification.crop = 'large'", "crop"),
        ("resnet_classification.depth = 19", "depth"),
        ("eta0", "eta0"),
        ("eta0 = (", "eta0 = ("),
    ],
)
def test_a_bad_binding_is_refused_by_name(binding, named):
    with pytest.raises(InputError) as refused:
        gin_files.load("configs/laptop/resnet_sgd.gin", [binding])
    message = str(refused.value)
    assert "\n" not in message and message.startswith("configs/laptop/resnet_sgd.gin: ") and named in message


_VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab '\"=\\(,#\n"),
    lambda values: st.lists(values, max_size=3) | st.tuples(values, values),
)


@given(
    st.lists(st.tuples(st.from_regex(r"[a-z]\w*(/[a-z]\w*)?(\.[a-z]\w*)?", fullmatch=True), _VALUES), max_size=4),
    st.sampled_from(["=", " = ", " =", "=  "]),
)
def test_bindings_separated_by_blanks_are_told_apart_whatever_is_in_them(pairs, equals):
    whole = " ".join(f"{name}{equals}{value!r}" for name, value in pairs)
    alone = [f"{name}={value!r}" for name, value in pairs]
    assert gin_files.split([whole]) == gin_files.split(alone) == alone


def test_what_is_no_binding_is_refused_with_its_text():
    for text in ("eta0", "eta0 0.1", "eta0=0.1 beta", "0.1 eta0=0.1", "eta0=0.1, beta=0.9", "eta0='a"):
        with pytest.raises(InputError, match="--gin_param=.*: write it as name=value"):
            gin_files.load("configs/laptop/resnet_sgd.gin", gin_files.split([text]))


@pytest.mark.parametrize("value", ["abc", "0.1x", "1,2", "", "'a", "(1,", "@", "/data"])
def test_what_is_no_value_is_refused_in_plain_words(value, tmp_path):
    """On the command line and in a file that a file includes, without Python's insides."""
    included, file = tmp_path / "included.gin", tmp_path / "mine.gin"
    included.write_text(f"beta = 0.9\neta0 = {value}")
    file.write_text(f'include "{included}"\n')
    for arguments in (("configs/laptop/bert_nigt.gin", [f"eta0={value}"]), (str(file), [])):
        with pytest.raises(InputError) as refused:
            gin_files.load(*arguments)
        message = str(refused.value)
        assert "\n" not in message and not any(word in message for word in ("ast.", "malformed", "Error"))
        if arguments[1]:
            assert f"--gin_param=eta0={value}: write it as name=value, where a value is 0.1," in message
        elif value != "(1,":
            assert f"line 2 of {included}: write name = value, where a value is 0.1," in message


def test_a_missing_macro_is_refused_by_name(tmp_path):
    text = (ROOT / "configs/laptop/bert_nigt.gin").read_text().replace("beta = 0.9 ", "# beta = 0.9 ", 1)
    file = tmp_path / "bert_nigt.gin"
    file.write_text(text)
    with pytest.raises(InputError, match="the macro 'beta' has no value; bind it"):
        gin_files.load(str(file), [])


WARMUPS = {
    **{f"configs/laptop/bert_{optimizer}.gin": 120 for optimizer in ("nigt", "adam", "adamw", "sgd")},
    **{f"configs/study/bert_{optimizer}.gin": 300 for optimizer in ("nigt", "adam", "sgd")},
    **{f"configs/paper/bert_{optimizer}.gin": 10_000 for optimizer in ("nigt", "adam", "adamw", "sgd")},
    **{f"configs/laptop/resnet_{optimizer}.gin": 143 for optimizer in ("nigt", "adam", "sgd")},
    **{f"configs/study/resnet_{optimizer}.gin": 71 for optimizer in ("nigt", "adam")},
    "configs/study/resnet_sgd.gin": 72,  # counted as the boundaries are: 71.3, rounded up
    **{f"configs/paper/resnet_{optimizer}.gin": 6256 for optimizer in ("nigt", "adam", "sgd")},
}


def test_what_is_a_share_of_a_run_has_the_lengths_of_the_finished_runs():
    assert sorted(WARMUPS) == RUN_FILES
    for file, steps in WARMUPS.items():
        experiment = gin_files.load(file, [])
        assert experiment.optimizer.learning_rate.warmup_steps == steps, file
        if "paper" not in file:
            assert experiment.validation_interval == {120: 400, 300: 1000}.get(steps, 214)


@settings(deadline=None)
@given(file=st.sampled_from(RUN_FILES), steps=st.integers(2, 2**24) | st.integers(2, 200))
def test_train_steps_alone_is_enough(file, steps):
    """The shares keep their size, to a step; where the boundaries of SGD's schedule do not fit, it says so."""
    whole, is_stepwise = gin_files.load(file, []), "resnet_sgd" in file
    try:
        short = gin_files.load(file, [f"train_steps={steps}"])
    except InputError as error:
        assert is_stepwise and steps < 90 and "warmup_step_decay: " in str(error)
        return
    share = WARMUPS[file] / whole.train_steps
    assert short.optimizer.learning_rate.warmup_steps == pytest.approx(share * steps, abs=1, rel=1e-2)
    assert short.validation_interval in (whole.validation_interval, max(1, (steps + 3) // 6))
    if not is_stepwise:
        own = gin_files.load(file, [f"train_steps={steps}", "warmup_polynomial_decay.warmup_steps=1"])
        assert own.optimizer.learning_rate.warmup_steps == 1
        with pytest.raises(InputError, match=r"warmup_polynomial_decay.warmup_steps \(\d+\) must be below train_steps"):
            gin_files.load(file, [f"train_steps={steps}", f"warmup_polynomial_decay.warmup_steps={steps}"])


def test_a_file_may_bind_anew_what_it_includes_and_must_not_misspell_it(tmp_path):
    file = tmp_path / "mine.gin"
    start = 'include "configs/paper/resnet_nigt.gin"\ntrain_steps = 100\nwarmup_polynomial_decay.warmup_steps = 7\n'
    file.write_text(start)
    assert gin_files.load(str(file), []).optimizer.learning_rate.warmup_steps == 7
    file.write_text(start + "warmup/epochs_to_stepz.epochs = 4\n")
    with pytest.raises(InputError, match="epochs_to_stepz"):
        gin_files.load(str(file), [])
    file.write_text(start + "warmups = 4\n")
    with pytest.raises(InputError, match="warmups: nothing uses this"):
        gin_files.load(str(file), [])


def test_a_number_of_steps_takes_the_place_of_epochs_and_a_name_that_lost_its_use_is_refused():
    """train_steps=100 leaves nothing that uses run/epochs_to_steps.epochs: the file's may stay."""
    file = "configs/paper/resnet_nigt.gin"
    config = gin_files.load(file, ["train_steps = 100"]).config
    assert config.trainer.train_steps == 100
    assert config.trainer.optimizer_config.learning_rate.warmup_polynomial.warmup_steps == 6  # 5 of 90 epochs' share
    assert gin_files.load(file, ["epochs = 9"]).config.trainer.train_steps == 11_261  # 11,260.3
    with pytest.raises(InputError, match="run/epochs_to_steps.epochs: nothing uses this"):
        gin_files.load(file, ["train_steps = 100", "run/epochs_to_steps.epochs = 9"])
    with pytest.raises(InputError, match="trainimages: nothing uses this"):
        gin_files.load(file, ["trainimages = 9"])
