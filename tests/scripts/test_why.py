"""Growth and loss by frequency against what the run itself logged; the page and the figure say what there is."""

import csv

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from data.errors import InputError
from scripts.figures import why as figure
from scripts.soak import kills
from scripts.soak.forked import Run, arguments
from scripts.why import __main__ as why
from scripts.why import frequency, growth


@pytest.fixture(scope="module")
def run(laptop_data, tmp_path_factory):
    """Of one step that moves next to nothing, so that its norms are the initial ones."""
    directory = tmp_path_factory.mktemp("runs") / "bert_nigt__norms-s0"
    settings = {"eta0": 1e-30, "train_steps": 1, "validation_interval": 1, "experiment__norms": True}
    settings["warmup_polynomial_decay__warmup_steps"] = 0
    started = Run(arguments("bert_nigt", directory, laptop_data, **settings), directory.with_suffix(".out"))
    assert started.wait(500) == 0, started.text()[-1000:]
    return directory


def test_the_tenths_together_have_the_loss_that_the_run_logged(run):
    (logged,) = [float(row[4]) for row in kills.metrics(run) if (row[0], row[2], row[3]) == ("1", "validation", "loss")]
    found = frequency.losses(run, 1)
    assert len(found) == frequency.GROUPS and np.mean(found) == pytest.approx(logged, rel=1e-3)


def test_a_run_starts_from_the_norms_that_its_seed_gives(run):
    assert frequency.initial_norms(run) == pytest.approx(growth.norms(run)[1], rel=1e-6)
    assert min(growth.norms(run)[1].values()) > 0.1  # each kind has variables


@hypothesis.given(st.lists(st.integers(0, 30), min_size=10, max_size=300), st.integers(0, 100))
@hypothesis.settings(deadline=None)
def test_tenths_are_of_equal_size_and_the_most_frequent_come_first(tokens, seed):
    tokens = np.array(tokens)
    counts = np.random.default_rng(seed).integers(0, 9, 31)
    groups = frequency.by_frequency(tokens, counts)
    assert sorted(np.concatenate(groups)) == list(range(len(tokens)))
    assert max(map(len, groups)) - min(map(len, groups)) <= 1
    for more, less in zip(groups, groups[1:], strict=False):
        assert counts[tokens[more]].min() >= counts[tokens[less]].max()


def test_the_page_and_the_figure_show_the_runs_that_there_are(run):
    rows = why.measured(run.parent)
    page = why.page(rows)
    assert "Not run: Adam, LAMB, NIGT, 24,000 steps." in page and page.count("| NIGT, seed 0 | 1 | ") == 2
    assert page.count("| step | NIGT, seed 0 |") == 2
    rates = {(row["arm"], row["group"]): float(row["value"]) for row in rows if row["what"] == "rates"}
    assert rates["NIGT, the paper's BERT-Base", "sum"] == pytest.approx(0.001 * 500_000 / 2, rel=0.05)
    assert [axes.get_title(loc="left") for axes in figure.draw(rows).axes] == [
        "How far the weights have grown",
        "Loss by the frequency of the token",
        "Accuracy as the position embeddings grow: each run at its evaluations, to its end",
    ]
    assert set(why.COLUMNS) == set(rows[0])


def test_what_is_missing_is_named(run, tmp_path):
    with pytest.raises(InputError, match="none of the runs is there"):
        why.measured(tmp_path)
    (tmp_path / "run").mkdir()
    with open(run / "metrics.csv", newline="") as file:
        lines = [row for row in csv.reader(file) if row[3] != "norms"]
    (tmp_path / "run" / "metrics.csv").write_text("\n".join(map(",".join, lines)) + "\n")
    with pytest.raises(InputError, match='no norms; run it with GIN="experiment.norms=True"'):
        growth.norms(tmp_path / "run")
