"""ImageNet's shards to the trainers' records, on real photographs in ImageNet's shape."""

import json
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from data.errors import InputError
from data.imagenet import build as imagenet_build
from data.imagenet import convert as imagenet_convert
from data.imagenet import photographs
from data.imagenet import tars as imagenet
from data.imagenet.labels import COUNTS, synsets, true_label, validation_synsets

TRAIN, VALIDATION, CLASSES, HELD_OUT = 60, 21, 5, 0.2
SIZES = {"train": TRAIN, "validation": VALIDATION}


@pytest.fixture(scope="module")
def images():
    return {"train": photographs.train_images(TRAIN, CLASSES), "validation": photographs.validation_images(VALIDATION)}


@pytest.fixture(scope="module")
def sources(images, tmp_path_factory):
    """The same images as TensorFlow Datasets' own builder writes them from tar files, and as 1001-class TFRecords."""
    root = tmp_path_factory.mktemp("imagenet")
    tars, records = root / "tars", root / "records"
    tars.mkdir()
    records.mkdir()
    photographs.write_tars(tars, images["train"], images["validation"])
    sizes = {name: (tars / name).stat().st_size for name in imagenet.TARS}
    tfds_folder = imagenet.prepare_from_tars(str(tars), str(root / "tfds"), sizes)
    for split, shards in (("train", 4), ("validation", 2)):
        photographs.write_records(records, split, shards, images[split], first_label=1)
    return {"tars": tars, "tfds": tfds_folder, "tfds_root": root / "tfds", "records": records}


def _build(source, target, **options):
    return imagenet_build.build(str(source), str(target), counts=SIZES, held_out=HELD_OUT, **options)


@pytest.fixture(scope="module")
def built(sources, tmp_path_factory):
    root = tmp_path_factory.mktemp("built")
    return {kind: (root / kind, _build(sources[kind], root / kind)) for kind in ("tfds", "records")}


def _read(folder, split):
    """{file name: (label, JPEG)}."""
    found = {}
    for path in sorted(folder.glob(f"{split}-*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            feature = tf.train.Example.FromString(record).features.feature
            name = feature["image/filename"].bytes_list.value[0].decode()
            assert name not in found
            found[name] = feature["image/class/label"].int64_list.value[0], feature["image/encoded"].bytes_list.value[0]
    return found


def test_the_tables_are_ilsvrc2012_s():
    """Ends of the published lists; 1000 classes in alphabetical order, 50 validation images of each."""
    assert synsets()[0] == "n01440764" and synsets()[-1] == "n15075141" and synsets() == sorted(synsets())
    assert true_label("validation", "ILSVRC2012_val_00000001.JPEG") == 65  # a sea snake, in every published list
    _, counts = np.unique(validation_synsets(), return_counts=True)
    assert len(counts) == 1000 and set(counts) == {50}
    assert COUNTS == {"train": 1_281_167, "validation": 50_000}
    unknown = [("validation", f"ILSVRC2012_val_{number}.JPEG") for number in ("00050001", "00000000")]
    for split, name in (("train", "n00000000_1.JPEG"), ("train", "x"), *unknown):
        with pytest.raises(LookupError):
            true_label(split, name)


@pytest.mark.parametrize("kind", ["tfds", "records"])
def test_every_image_is_there_once_with_labels_from_0(built, images, kind):
    folder, content = built[kind]
    found = {split: _read(folder, split) for split in ("train", "selection", "validation")}
    assert not found["train"].keys() & found["selection"].keys()
    for split, expected in (("train", found["train"] | found["selection"]), ("validation", found["validation"])):
        assert {name: encoded for name, (_, encoded) in expected.items()} == dict(images[split])
        assert all(label == true_label(split, name) for name, (label, _) in expected.items())
    for split, entries in found.items():
        assert content["splits"][split]["images"] == len(entries) > 0
        labels = [label for label, _ in entries.values()]
        assert content["splits"][split]["images_per_class"] == np.bincount(labels, minlength=1000).tolist()
    assert sorted(path.name for path in folder.iterdir()) == sorted([*content["files"], "manifest.json"])


def test_the_held_out_images_are_the_same_from_either_source(built):
    assert _read(built["tfds"][0], "selection") == _read(built["records"][0], "selection")


def test_one_per_cent_is_held_out():
    """Of the names of a million images: within four standard deviations."""
    names = [f"{synset}_{number}.JPEG" for synset in synsets()[:100] for number in range(1000)]
    held_out = sum(imagenet_convert.is_held_out(name, imagenet_build.HELD_OUT) for name in names)
    assert abs(held_out - 1000) < 4 * np.sqrt(1000)


def test_a_finished_folder_is_left_alone_and_another_source_does_not_mix_in(built, sources):
    folder, content = built["records"]
    assert _build(sources["records"], folder) == content
    with pytest.raises(InputError, match="other options; delete it"):
        imagenet_build.build(str(sources["records"]), str(folder), counts=SIZES, held_out=0.5)


def test_an_interrupted_build_goes_on(sources, tmp_path, monkeypatch):
    """Stopped in the third group: the first two are not read again, and the result is the same."""
    whole = _build(sources["records"], tmp_path / "whole")
    read, calls = imagenet_convert.records.read, []

    def stop(shard, split, layout):
        calls.append(shard)
        if len(calls) == 3:
            raise OSError("stopped")
        yield from read(shard, split, layout)

    monkeypatch.setattr(imagenet_convert.records, "read", stop)
    with pytest.raises(OSError, match="stopped"):
        _build(sources["records"], tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "manifest.json").exists() and not list(tmp_path.rglob("*.partial"))
    shutil.copytree(tmp_path / "stopped", tmp_path / "other")
    assert _build(sources["records"], tmp_path / "stopped") == whole
    assert len(calls) == 3 + 4  # four train and two validation shards, of which two were done
    with pytest.raises(InputError, match="begun from another source"):
        _build(sources["tfds"], tmp_path / "other")


@pytest.fixture
def copy(sources, tmp_path):
    shutil.copytree(sources["records"], tmp_path / "records")
    return tmp_path / "records"


def _refused(source, tmp_path, message):
    with pytest.raises(InputError, match=message) as error:
        _build(source, tmp_path / "out")
    assert "\n" not in str(error.value) and not (tmp_path / "out" / "manifest.json").exists()


def test_a_missing_shard_is_named(copy, tmp_path):
    (copy / "train-00002-of-00004").unlink()
    _refused(copy, tmp_path, "1 of 4 train shards are missing, the first is train-00002-of-00004")


def test_an_empty_shard_and_shards_of_two_sets_are_named(copy, tmp_path):
    (copy / "validation-00001-of-00002").write_bytes(b"")
    _refused(copy, tmp_path, "validation-00001-of-00002: an empty shard")
    (copy / "train-00004-of-00005").write_bytes(b"x")
    _refused(copy, tmp_path, "train shards of more than one set, as train-00000-of-00004, train-00004-of-00005")


def test_a_short_shard_is_named_and_can_be_replaced(copy, images, tmp_path):
    shard = copy / "train-00001-of-00004"
    whole = shard.read_bytes()
    records = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records[:-1]:
            writer.write(record)
    _refused(copy, tmp_path, r"59 train images, not 60; not between 15 and 15: \S+/train-00001-of-00004 \(14\)")
    shard.write_bytes(whole)
    assert _build(copy, tmp_path / "out")["splits"]["validation"]["images"] == VALIDATION


def test_a_short_shard_of_tensorflow_datasets_is_named(sources, tmp_path):
    folder = tmp_path / "5.1.0"
    shutil.copytree(sources["tfds"], folder)
    (shard,) = folder.glob("imagenet2012-validation*")
    records = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records[:-1]:
            writer.write(record)
    _refused(folder, tmp_path, r"validation\S+: 20 images, not 21 as its dataset_info.json says")


def test_a_shard_that_is_cut_off_or_there_twice_is_named(copy, tmp_path):
    shard = copy / "train-00003-of-00004"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-10])
    _refused(copy, tmp_path, r"train-00003-of-00004: damaged or cut off after record 13")
    shard.write_bytes((copy / "train-00000-of-00004").read_bytes())
    _refused(copy, tmp_path, "train-00003-of-00004: holds images that another shard holds too")


@pytest.mark.parametrize("first_label", [0, 1])
def test_labels_of_both_kinds_are_not_mixed(images, tmp_path, first_label):
    """A shard of the other kind among train's; then train of one kind and validation of the other."""
    for folder in ("mixed", "split", "other"):
        (tmp_path / folder).mkdir()
    for split, shards in (("train", 4), ("validation", 2)):
        photographs.write_records(tmp_path / "mixed", split, shards, images[split], first_label)
        photographs.write_records(tmp_path / "other", split, shards, images[split], 1 - first_label)
        kind = first_label if split == "train" else 1 - first_label
        photographs.write_records(tmp_path / "split", split, shards, images[split], kind)
    _refused(tmp_path / "split", tmp_path, f"labels count from {first_label} in image/class/label of the train shards")
    shutil.copy(tmp_path / "other" / "train-00002-of-00004", tmp_path / "mixed" / "train-00002-of-00004")
    _refused(tmp_path / "mixed", tmp_path, r"train-00002-of-00004: record 0, .* 1001-class labels .* are mixed")


def test_an_image_under_a_wrong_label_is_named(images, tmp_path):
    swapped = list(images["train"])
    swapped[5] = (swapped[5][0].replace(synsets()[0], synsets()[3]), swapped[5][1])
    labelled = [(name, encoded) for name, encoded in images["train"]]
    photographs.write_records(tmp_path, "train", 4, labelled, 1)
    photographs.write_records(tmp_path, "validation", 2, images["validation"], 1)
    shard = tmp_path / "train-00000-of-00004"
    records = [tf.train.Example.FromString(r) for r in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator()]
    records[5].features.feature["image/filename"].bytes_list.value[0] = swapped[5][0].encode()
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records:
            writer.write(record.SerializeToString())
    _refused(tmp_path, tmp_path, r"train-00000-of-00004: record 5, n\d+_5.JPEG, has label 1, not 4$")


def _with(shard, number, change):
    """Writes a shard again with one record changed, whole as TFRecords go."""
    records = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    records[number] = change(records[number])
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records:
            writer.write(record)


def _image(change):
    def changed(record):
        example = tf.train.Example.FromString(record)
        encoded = example.features.feature["image/encoded"].bytes_list
        encoded.value[0] = change(encoded.value[0])
        return example.SerializeToString()

    return changed


def _without_label(record):
    example = tf.train.Example.FromString(record)
    example.features.feature["image/class/label"].int64_list.value.pop()
    return example.SerializeToString()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            _image(lambda jpeg: jpeg[: len(jpeg) // 3]),
            r"n\d+_\d+.JPEG, cannot be decoded \(.*Invalid JPEG data.*get the",
        ),
        (_image(lambda jpeg: jpeg[:-2]), r"n\d+_\d+.JPEG, cannot be decoded"),
        (_image(lambda jpeg: jpeg[:20]), r"n\d+_\d+.JPEG, cannot be decoded"),
        (_image(lambda jpeg: b"\x89PNG\r\n\x1a\n" + bytes(50)), r"n\d+_\d+.JPEG, cannot be decoded \(Invalid PNG"),
        (_image(lambda jpeg: b"GIF89a"), r"n\d+_\d+.JPEG, is no JPEG; get the shard again"),
        (_image(lambda jpeg: b""), r"n\d+_\d+.JPEG, is no JPEG; get the shard again"),
        (_without_label, "has no image/class/label"),
        (lambda record: record[:-7], "is no tf.Example; get the shard again"),
    ],
)
def test_a_whole_record_that_holds_no_image_is_named(copy, tmp_path, change, said):
    _with(copy / "train-00001-of-00004", 7, change)
    _refused(copy, tmp_path, f"train-00001-of-00004: record 7,? {said}")


def test_the_png_among_the_jpegs_becomes_one(images, tmp_path):
    """ILSVRC2012's n02105855_2933.JPEG is a PNG, and decode_jpeg would fail on it in the middle of an epoch."""
    pixels = tf.io.decode_jpeg(images["train"][0][1])
    train = [(images["train"][0][0], tf.io.encode_png(pixels).numpy()), *images["train"][1:]]
    photographs.write_records(tmp_path, "train", 4, train, 1)
    photographs.write_records(tmp_path, "validation", 2, images["validation"], 1)
    _build(tmp_path, tmp_path / "out")
    found = _read(tmp_path / "out", "train") | _read(tmp_path / "out", "selection")
    again = tf.io.decode_jpeg(found[images["train"][0][0]][1]).numpy().astype(int)
    assert np.abs(again - pixels.numpy()).mean() < 4  # of 255; a JPEG halves the resolution of colour


def test_tar_files_that_are_missing_or_short_are_named(sources, tmp_path):
    with pytest.raises(InputError, match=re.escape("ILSVRC2012_img_train.tar: not there; download it from")):
        imagenet.prepare_from_tars(str(tmp_path), str(tmp_path / "tfds"))
    with pytest.raises(InputError, match=r"bytes long, not 147,897,477,120; download it again"):
        imagenet.prepare_from_tars(str(sources["tars"]), str(tmp_path / "tfds"))


def test_the_manifest_is_whole(built):
    folder, content = built["tfds"]
    assert json.loads((folder / "manifest.json").read_text()) == content
    assert content["classes"] == synsets() and content["sources"] == {"ILSVRC2012": SIZES}


@pytest.mark.heavy
def test_two_processes_write_the_same_bytes(sources, built, tmp_path):
    folder, content = built["records"]
    assert _build(sources["records"], tmp_path / "two", workers=2)["splits"] == content["splits"]
    files = {path.name: path.read_bytes() for path in folder.glob("*-of-*")}
    assert files and files == {path.name: path.read_bytes() for path in (tmp_path / "two").glob("*-of-*")}
