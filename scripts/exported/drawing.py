"""Batches drawn inside a program: which examples, and what happens to them. A function of the seed and the step."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

Data = dict[str, Array]
Draw = Callable[[Data, Array, Array], Data]  # data, the epoch's order, the step's number: a batch


def epoch_of(step: Array, examples: int, batch_size: int) -> Array:
    """An epoch is as many whole batches as there are; what is left over is another remainder each time."""
    return step // (examples // batch_size)


def order(seed: int, epoch: Array, examples: int) -> Array:
    """A permutation of the examples, int32 [N], fresh each epoch."""
    for_orders, _ = jax.random.split(jax.random.key(seed))
    return jax.random.permutation(jax.random.fold_in(for_orders, epoch), jnp.arange(examples, dtype=jnp.int32))


def drawing(rule: dict, seed: int, examples: int, batch_size: int) -> Draw:
    """How a batch is drawn, by the rule that scripts/exported/examples.py gave."""
    make = {"text": mask, "images": flip}[rule["kind"]]

    def draw(data: Data, of_epoch: Array, step: Array) -> Data:
        place = step % (examples // batch_size) * batch_size
        rows = lax.dynamic_slice_in_dim(of_epoch, place, batch_size)
        _, for_batches = jax.random.split(jax.random.key(seed))
        return make(rule, jax.random.fold_in(for_batches, step), {name: array[rows] for name, array in data.items()})

    return draw


def mask(rule: dict, key: Array, batch: Data) -> Data:
    """Masks sequences, uint16 [B, L], by the rule of data/masking.py; returns the inputs of BERT's step."""
    sequences, most = batch["tokens"].astype(jnp.int32), rule["max_predictions"]
    where, what, which = jax.random.split(key, 3)
    length = sequences.shape[1]
    ordinary = sequences >= rule["first_ordinary"]
    wanted = jnp.asarray(rule["wanted"], jnp.int32)[ordinary.sum(axis=1)]
    score = jnp.where(ordinary, jax.random.uniform(where, sequences.shape, jnp.float32), 2.0)
    chosen = jnp.argsort(score, axis=1)[:, :most].astype(jnp.int32)
    real = jnp.arange(most)[None] < wanted[:, None]
    # Position L stands for "none" and sorts last.
    positions = jnp.sort(jnp.where(real, chosen, length), axis=1)
    rows = jnp.arange(len(sequences), dtype=jnp.int32)[:, None]
    targets = jnp.where(real, jnp.take_along_axis(sequences, jnp.minimum(positions, length - 1), axis=1), 0)
    fate = jax.random.uniform(what, targets.shape, jnp.float32)
    others = jax.random.randint(which, targets.shape, rule["first_ordinary"], rule["vocabulary_size"], jnp.int32)
    changed = jnp.where(fate < rule["mask_share"] + rule["random_share"], others, targets)
    shown = jnp.where(fate < rule["mask_share"], rule["mask"], changed)
    return {
        "input_word_ids": sequences.at[rows, positions].set(shown, mode="drop"),
        "input_mask": (sequences != rule["pad"]).astype(jnp.int32),
        "input_type_ids": jnp.zeros_like(sequences),
        "masked_lm_positions": jnp.where(real, positions, 0),
        "masked_lm_ids": targets,
        "masked_lm_weights": real.astype(jnp.float32),
    }


def flip(rule: dict, key: Array, batch: Data) -> Data:
    """Flips each image with probability ½ and normalizes it, as trainers/tasks/resnet.py does with crop "none"."""
    images = batch["images"]
    flipped = jax.random.bernoulli(key, 0.5, (len(images), 1, 1, 1))
    pixels = jnp.where(flipped, images[:, :, ::-1], images).astype(jnp.float32)
    mean, deviation = (jnp.asarray(rule[name], jnp.float32) for name in ("mean", "deviation"))
    return {"images": (pixels - mean) / deviation, "labels": batch["labels"].astype(jnp.int32)}
