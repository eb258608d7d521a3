"""One replica and eight agree on what is reduced: in the step lowered for one of eight replicas the gradients are
summed before any norm is taken. The real trainer and NIGT, small models; scripts/tpu_check/replicas.py says what stands
in for TPUStrategy."""

import json
import re
import subprocess

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from nigt import NIGT
from scripts.tpu_check import lowering, replicas
from tests.conftest import ROOT
from trainers import gin_files

SMALL = {
    "bert": ["batch_size=16", "bert_pretraining.hidden_size=32", "bert_pretraining.intermediate_size=32"],
    "resnet": ["batch_size=16", "resnet_classification.depth=10", "resnet_classification.width=0.25"],
}


def _trainer_step(task, folder, count, *bindings):
    """Of one replica: the module as text, and serialized; the tensors of a batch; the variables with a gradient."""
    folder.mkdir()
    where = f"{lowering.SCOPES[task]}.data_dir='{folder}'"
    experiment = gin_files.load(f"configs/laptop/{task}_nigt.gin", [*SMALL[task], where, *bindings])
    strategy = replicas.OneOfSeveral(count)
    with strategy.scope():
        trainer, own_task = lowering.build_trainer(experiment, folder)
        batch = lowering.batch_of_zeros(own_task, experiment)

        @tf.function(jit_compile=True)
        def step(inputs):
            trainer.train_step(iter([inputs]))

        # Without the next-sentence loss the encoder's pooler has no gradient.
        variables = [v for v in trainer.model.trainable_variables if "pooler" not in v.name]
        lower = step.experimental_get_compiler_ir(batch)
        return lower(stage="hlo"), lower(stage="hlo_serialized"), batch, variables


def _shapes(variables):
    return sorted(f"f32[{','.join(map(str, v.shape))}]" for v in variables)


def _normalized(variables):
    return [v for v in variables if not re.search("bias|beta|gamma", v.name)]


@pytest.mark.parametrize("task", ["bert", pytest.param("resnet", marks=pytest.mark.heavy)])
def test_gradients_are_summed_over_the_replicas_before_any_norm(task, tmp_path):
    text, _, batch, variables = _trainer_step(task, tmp_path / "eight", 8)
    found = replicas.order(text, len(tf.nest.flatten(batch)))
    assert len(found.norms_of_gradients) >= 3 * len(_normalized(variables))
    assert found.norms_before_a_sum == [] and found.sums_after_a_norm == []
    # Every gradient is summed whole; besides them, the loss's count.
    missing = list(found.summed_shapes)
    for shape in _shapes(variables):
        missing.remove(shape)
    assert all(shape == "f32[]" for shape in missing)
    assert re.search(r"replica_groups=\{\{0,1,2,3,4,5,6,7\}\}", text)


@pytest.mark.heavy
def test_one_replica_has_the_same_norms_and_nothing_to_sum(tmp_path):
    one, _, batch, variables = _trainer_step("bert", tmp_path / "one", 1)
    eight, *_ = _trainer_step("bert", tmp_path / "eight", 8)
    inputs = len(tf.nest.flatten(batch))
    found, others = replicas.order(one, inputs), replicas.order(eight, inputs)
    assert len(found.norms) == len(others.norms) and len(found.norms_of_gradients) == len(others.norms_of_gradients)
    assert len(others.sums) > len(variables)


class _NormalizesTooEarly(NIGT):
    """What must not happen: each replica's gradient is divided by its own norm before the sum."""

    def aggregate_gradients(self, grads_and_vars):
        with tf.name_scope("NIGT/"):
            pairs = [(g / tf.sqrt(tf.reduce_sum(tf.square(g))), v) for g, v in grads_and_vars]
        return super().aggregate_gradients(pairs)


class _NeverSums(NIGT):
    """What must not happen: each replica steps on its own."""

    def aggregate_gradients(self, grads_and_vars):
        return list(grads_and_vars)


@pytest.mark.parametrize("kind", [NIGT, _NormalizesTooEarly, _NeverSums])
def test_the_proof_fails_where_the_order_is_wrong(kind):
    strategy = replicas.OneOfSeveral(8)
    with strategy.scope():
        variables = [tf.Variable(np.ones((4, 3), np.float32), name="kernel"), tf.Variable(np.ones((5, 2), np.float32))]
        optimizer = kind(0.1, exclude_from_normalization=())
        optimizer.build(variables)

        @tf.function(jit_compile=True)
        def step(x):
            def replica(x):
                optimizer.apply_gradients([(v * tf.reduce_sum(x), v) for v in variables])

            strategy.run(replica, args=(x,))

        text = step.experimental_get_compiler_ir(tf.ones([7]))(stage="hlo")
    found = replicas.order(text, 1)
    assert found.norms_of_gradients
    assert bool(found.sums_after_a_norm) == (kind is _NormalizesTooEarly)
    assert bool(found.norms_before_a_sum) == (kind is not NIGT)


@pytest.fixture(scope="session")
def compiler():
    """The Python that has jax and libtpu."""
    python = ROOT / ".venv" / "tpu_check" / "bin" / "python"
    subprocess.run(["make", "-s", ".venv/tpu_check/.ready"], cwd=ROOT, check=True)
    return python


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_the_tpus_compiler_takes_the_step_for_eight_cores_and_sums_over_them(tmp_path, compiler):
    _, module, _, variables = _trainer_step("bert", tmp_path / "eight", 8, "bert_pretraining.layers=1")
    (tmp_path / "module").write_bytes(module)
    program = ROOT / "scripts" / "tpu_check" / "compiler.py"
    done = subprocess.run(
        [compiler, program, "v3", tmp_path / "module", "8", tmp_path / "compiled"], capture_output=True, text=True
    )
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    assert answer["device"] == "TPU v3", answer
    compiled = (tmp_path / "compiled").read_text()
    summed = sum(
        int(np.prod([int(size) for size in sizes.split(",") if size]))
        for line in compiled.splitlines()
        if re.search(r" all-reduce(-start)?\(", line) and "replica_groups={{0,1,2,3,4,5,6,7}}" in line
        for sizes in re.findall(r"(?:f32|bf16)\[([\d,]*)\]", re.split(r" all-reduce(?:-start)?\(", line)[0])
    )
    parameters = sum(int(np.prod(v.shape)) for v in variables)
    assert parameters <= summed <= 1.05 * parameters
    tf_keras.backend.clear_session()
