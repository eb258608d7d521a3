"""The names of runs' directories: legal, and another one for every other binding."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.sweep import grid
from trainers import names

FILE = "configs/laptop/resnet_nigt.gin"
LEGAL = set(string.ascii_letters + string.digits + "+-._=,")
_PAIRS = st.lists(
    st.tuples(
        st.sampled_from(["eta0", "beta", "nigt.weight_decay", "run/epochs_to_steps.epochs"]),
        st.floats(allow_nan=False, allow_infinity=False)
        | st.integers(-9, 9)
        | st.booleans()
        | st.text("ab0_.=, é", max_size=4)
        | st.text(max_size=300)
        | st.tuples(st.text(max_size=2)),
    ),
    max_size=3,
)


def test_without_bindings_it_is_the_plain_name():
    assert names.directory(FILE, [], 0) == "runs/laptop/resnet_nigt-s0"


@pytest.mark.parametrize(
    ("bindings", "name"),
    [
        (["eta0=0.003"], "eta0=0.003"),
        (["eta0 = 3e-3"], "eta0=0.003"),
        (["eta0=0.003", "nigt.beta=0.5"], "eta0=0.003,beta=0.5"),
        (["resnet_classification.crop='shift'"], "crop=shift"),
    ],
)
def test_what_is_bound_can_be_read(bindings, name):
    assert names.directory(FILE, bindings, 3) == f"runs/laptop/resnet_nigt-{name}-s3"


def test_a_run_is_called_as_a_sweep_calls_it():
    for point in grid.points({"eta0": (1e-5, 1e-3, 1.0), "nigt.momentum_dtype": ("float32", "bfloat16")}):
        assert names.experiment(FILE, point.bindings) == f"resnet_nigt-{point.name}"


@settings(max_examples=1000)
@given(_PAIRS, _PAIRS)
def test_a_name_is_legal_and_no_other_run_s(first, second):
    own, other = (names.experiment(FILE, [f"{name}={value!r}" for name, value in pairs]) for pairs in (first, second))
    assert set(own) <= LEGAL and len(own) < 150
    assert own != other or first == second
