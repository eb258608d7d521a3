"""What a run says of its evaluations."""

from hypothesis import given
from hypothesis import strategies as st

from trainers.running import summary
from trainers.running.metrics_log import MetricsLog


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=1, max_size=6))
def test_the_best_is_the_one_that_best_ckpt_keeps(values):
    """BestCheckpoint takes a value that is higher than all before it."""
    kept = None
    for step, value in enumerate(values):
        if kept is None or value > values[kept]:
            kept = step
    assert summary.best_step(dict(enumerate(values))) == kept


def test_a_line_an_evaluation_and_the_best_so_far_also_of_an_earlier_process(tmp_path):
    file, lines = tmp_path / "metrics.csv", []
    for start, step, selection in ((0, 10, 0.5), (10, 20, 0.7), (20, 30, 0.6)):
        log = MetricsLog(file, start, 8)
        log.write(step, {"train": {"accuracy": 0.9}, "selection": {"accuracy": selection, "loss": 9.0}})
        log.write(step, {"validation": {"accuracy": 0.4}, "validation_x": {"accuracy": 0.1}})
        lines.append(summary.evaluation(file, "accuracy"))
    assert lines == [
        "step 10  selection 0.5000  validation 0.4000  best so far",
        "step 20  selection 0.7000  validation 0.4000  best so far",
        "step 30  selection 0.6000  validation 0.4000  best 0.7000 at 20",
    ]
    end = summary.end(tmp_path, "accuracy")
    assert end["best"] == "0.4000 at step 20, chosen by selection" and "export" not in end
