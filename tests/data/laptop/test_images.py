"""Fashion-MNIST records against the source's pixels and labels, read by tf-models' own decoder and parser."""

import gzip
import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from official.vision.dataloaders import classification_input
from official.vision.ops import preprocess_ops
from PIL import Image

from data import manifest
from data.errors import InputError
from data.laptop import fashion, images
from tests.data.laptop.test_sources import assert_refused, files_in, run

needs_download = pytest.mark.skipif(fashion.INSTALLED.exists(), reason="the installed package is used first")

FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/format": tf.io.FixedLenFeature([], tf.string),
    "image/class/label": tf.io.FixedLenFeature([], tf.int64),
    "image/class/text": tf.io.FixedLenFeature([], tf.string),
    "image/filename": tf.io.FixedLenFeature([], tf.string),
    "image/height": tf.io.FixedLenFeature([], tf.int64),
    "image/width": tf.io.FixedLenFeature([], tf.int64),
    "image/colorspace": tf.io.FixedLenFeature([], tf.string),
    "image/channels": tf.io.FixedLenFeature([], tf.int64),
}


@pytest.fixture(scope="module")
def source(laptop_data):
    return fashion.fetch(laptop_data.parent / "downloads")


@pytest.fixture(scope="module")
def built(laptop_data):
    """All records by split: every feature, and the decoded pixels as "pixels"."""
    splits = {}
    for split in images.SPLITS:
        shards = sorted(map(str, (laptop_data / "images").glob(f"{split}-*.tfrecord")))

        def parse(record):
            features = tf.io.parse_single_example(record, FEATURES)
            return features | {"pixels": tf.io.decode_png(features["image/encoded"])}

        dataset = tf.data.TFRecordDataset(shards).map(parse).batch(100_000)
        splits[split] = next(dataset.as_numpy_iterator())
    return splits


def test_every_pixel_and_label_is_the_source_s(source, built):
    places = {"train": [], "test": []}
    for features in built.values():
        for name, pixels, label in zip(
            features["image/filename"].astype(str), features["pixels"], features["image/class/label"], strict=True
        ):
            origin, number = name.removesuffix(".png").split("-")
            places[origin].append(int(number))
            assert np.array_equal(pixels[..., 0], source[origin][0][int(number)])
            assert label == source[origin][1][int(number)]
    # Each image once: so no image is on two sides.
    assert sorted(places["train"]) == list(range(60_000))
    assert sorted(places["test"]) == list(range(10_000))


def test_the_splits_are_balanced_and_shuffled(built, laptop_data):
    expected = {"train": 5_500, "selection": 500, "validation": 1_000}
    recorded = manifest.require(laptop_data, "images")["splits"]
    for split, each in expected.items():
        labels = built[split]["image/class/label"]
        assert np.bincount(labels).tolist() == [each] * 10 == recorded[split]["images_per_class"]
        assert recorded[split]["images"] == len(labels) == 10 * each
        # In a shuffled order neighbours share a class one time in ten; sorted by pixels far more often.
        assert abs((labels[1:] == labels[:-1]).mean() - 0.1) < 0.02


def test_the_schema_is_imagenet_s(built):
    for features in built.values():
        assert set(features["image/format"]) == {b"png"}
        assert set(features["image/colorspace"]) == {b"Grayscale"} and set(features["image/channels"]) == {1}
        assert set(features["image/height"]) == set(features["image/width"]) == {28}
        names = [fashion.CLASSES[label].encode() for label in features["image/class/label"]]
        assert features["image/class/text"].tolist() == names


@pytest.mark.parametrize("training", [True, False])
def test_tf_models_reads_the_records(source, laptop_data, training):
    decoder = classification_input.Decoder()
    parser = classification_input.Parser(
        output_size=[28, 28], num_classes=10, decode_jpeg_only=False, aug_crop=False, aug_rand_hflip=False
    )
    parse = parser.parse_fn(is_training=training)
    shard = laptop_data / "images" / "selection-00000-of-00001.tfrecord"
    dataset = tf.data.TFRecordDataset(str(shard)).take(200)
    names = [tf.io.parse_single_example(record, FEATURES)["image/filename"].numpy().decode() for record in dataset]
    for name, (image, label) in zip(names, dataset.map(decoder.decode).map(parse), strict=True):
        number = int(name[len("train-") : -len(".png")])
        pixels = np.repeat(source["train"][0][number][..., None], 3, axis=2).astype(np.float32)
        expected = (pixels - preprocess_ops.MEAN_RGB) / preprocess_ops.STDDEV_RGB
        np.testing.assert_allclose(image, expected, rtol=1e-5, atol=1e-5)
        assert label == source["train"][1][number]


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))))
@settings(max_examples=50, deadline=None)
def test_png_is_lossless_by_another_decoder(pixels):
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(images.png(pixels)))), pixels)


def test_the_selection_is_a_function_of_the_seed(source):
    def chosen(seed):
        return images.choose_selection(source["train"][1], 500, np.random.default_rng([seed, 60_000]))

    assert np.array_equal(chosen(0), chosen(0))
    assert not np.array_equal(chosen(0), chosen(1))


def test_the_same_images_give_the_same_bytes(source, tmp_path):
    pixels, labels = (array[:300] for array in source["test"])
    names = [f"{number}.png" for number in range(300)]
    for folder in ("once", "again"):
        (tmp_path / folder).mkdir()
        written = images.write_images(tmp_path / folder, "train", 3, pixels, labels, names)
        assert written == files_in(tmp_path / folder)
    for name in written:
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    counts = [sum(1 for _ in tf.data.TFRecordDataset(str(tmp_path / "once" / name))) for name in written]
    assert counts == [100, 100, 100]


def test_a_failed_write_leaves_no_shard(source, tmp_path):
    pixels, labels = source["test"]
    with pytest.raises(IndexError):  # a name too few
        images.write_images(tmp_path, "train", 1, pixels[:3], labels[:3], ["0.png", "1.png"])
    assert files_in(tmp_path) == []


def test_every_order_of_the_source_is_accepted_and_no_other_content(source):
    pixels, labels = source["test"]
    order = np.random.default_rng(1).permutation(len(labels))
    for found, expected in zip(fashion.check("test", pixels[order], labels[order], ""), source["test"], strict=True):
        assert np.array_equal(found, expected)
    for image, label in ((1, 0), (0, 1)):
        other_pixels, other_labels = pixels.copy(), labels.copy()
        other_pixels[7, 3, 3] += image
        other_labels[7] += label
        with pytest.raises(
            InputError, match=r"^Fashion-MNIST test \(a mirror\): SHA-256 .*run make laptop-data again$"
        ):
            fashion.check("test", other_pixels, other_labels, "a mirror")


def test_read_idx():
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    header = struct.pack(">HBBIII", 0, 8, 3, 2, 3, 4)
    assert np.array_equal(fashion.read_idx(gzip.compress(header + values.tobytes()), "x"), values)
    whole = gzip.compress(header + values.tobytes())
    for broken in (
        whole[:-12],
        b"",
        b"no gzip",
        gzip.compress(b""),
        gzip.compress(header),
        gzip.compress(header[:9]),
        gzip.compress(header + values.tobytes() + b"x"),
        gzip.compress(b"\0\0\x0d" + header[3:] + values.tobytes()),
    ):
        with pytest.raises(InputError, match=r"^x: .*delete it and run make laptop-data again$"):
            fashion.read_idx(broken, "x")


@needs_download
def test_a_damaged_package_is_refused(tmp_path, laptop_data):
    # A package that was cut short, where the images came by one; and one that never was one, whichever way they came.
    whole = sorted((laptop_data.parent / "downloads").glob("*.deb"))
    damaged = [package.read_bytes()[:1_000_000] for package in whole] + [b"!<arch>\n" + bytes(1000)]
    for number, content in enumerate(damaged):
        folder = tmp_path / str(number)
        (folder / "downloads").mkdir(parents=True)
        name = "dataset-fashion-mnist_0_all.deb"
        (folder / "downloads" / name).write_bytes(content)
        assert_refused(run(f"--data_dir={folder / 'laptop'}", "--images"), name, "delete it and run make")
        assert not (folder / "laptop").exists()


@needs_download
def test_without_any_route_nothing_is_written(tmp_path):
    nowhere = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    result = run(f"--data_dir={tmp_path / 'laptop'}", "--images", PATH=str(tmp_path / "empty"), **nowhere)
    assert_refused(result, "apt-get install dataset-fashion-mnist", "TensorFlow Datasets", "run make laptop-data again")
    assert not (tmp_path / "laptop").exists()
    assert not (tmp_path / "downloads").exists() or files_in(tmp_path / "downloads") == []
