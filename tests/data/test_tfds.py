import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gdl_jax.data import tfds
from gdl_jax.data.source import DataSettings, load, resident
from gdl_jax.errors import UsageError

DATA = Path(os.environ.get("TFDS_DATA_DIR", Path(__file__).parents[3] / "shared" / "data" / "tfds"))


def opened(name: str, split="train", **settings):
    if not (DATA / name).is_dir():
        pytest.skip(f"TFDS set {name} is not in {DATA}: set TFDS_DATA_DIR")
    return load(DataSettings(name=name, dir=DATA, **settings), split)


@pytest.mark.parametrize(
    ("name", "train", "shape", "classes"),
    [
        ("mnist", 60_000, (28, 28, 1), "0"),
        ("fashion_mnist", 60_000, (28, 28, 1), "T-shirt/top"),
        ("cifar10", 50_000, (32, 32, 3), "airplane"),
    ],
)
def test_known_sets(name, train, shape, classes):
    source = opened(name)
    assert (len(source), len(opened(name, "test"))) == (train, 10_000)
    assert source.spec["image"].shape == shape
    assert len(source.classes) == 10
    assert source.classes[0] == classes
    examples = source.take(np.arange(500))
    assert set(examples["label"].tolist()) == set(range(10))
    chosen = opened(name, num_examples=500, classes=(source.classes[7], "2"))
    there = np.flatnonzero(np.isin(examples["label"], (2, 7)))
    np.testing.assert_array_equal(resident(chosen).arrays["image"], examples["image"][there])
    assert examples["image"].max() > 250
    assert examples["image"].std() > 40


def test_mnist_is_what_tfds_itself_reads():
    library = pytest.importorskip("tensorflow_datasets")
    source = opened("mnist", "test")
    theirs = library.data_source("mnist", split="test", data_dir=DATA, download=False)
    indices = np.array([9_999, 0, 42, 0])
    examples = source.take(indices)
    for i, index in enumerate(indices):
        example = theirs[int(index)]
        np.testing.assert_array_equal(examples["image"][i], example["image"])
        assert examples["label"][i] == example["label"]
    # A digit's ink: MNIST's zeros have much, its ones little.
    ink, labels = [resident(opened("mnist", "test", num_examples=2000)).arrays[key] for key in ("image", "label")]
    assert ink[labels == 1].mean() < 0.6 * ink[labels == 0].mean()


def test_preparation_is_applied():
    source = opened("cifar10", size=16, crop=24, channels=1, num_examples=7)
    assert len(source) == 7
    assert source.take(np.arange(7))["image"].shape == (7, 16, 16, 1)
    assert source.spec["image"].shape == (16, 16, 1)


@pytest.mark.parametrize(
    ("stored", "split", "name"),
    [
        (["train", "test", "validation"], "test", "test"),
        (["train", "validation"], "test", "validation"),
        (["train", "validation"], "train", "train"),
        (["train"], "train", "train[:90%]"),
        (["train"], "test", "train[90%:]"),
    ],
)
def test_split_names(stored, split, name):
    assert tfds._split(stored, split, DataSettings(name="any")) == name


def test_set_without_training_split_is_refused():
    with pytest.raises(UsageError, match="has no split 'train', only test"):
        tfds._split(["test"], "train", DataSettings(name="any"))


def test_celeb_a_has_the_usual_crop():
    conversion, shape = tfds._conversion(DataSettings(name="celeb_a"), "celeb_a", (218, 178, 3))
    assert (conversion.crop, shape) == (140, (64, 64, 3))
    conversion, shape = tfds._conversion(DataSettings(name="celeb_a", crop=178, size=128), "celeb_a", (218, 178, 3))
    assert (conversion.crop, shape) == (178, (128, 128, 3))


def test_varying_sizes_need_a_size():
    with pytest.raises(UsageError, match=r"'lsun/church' differ in size: say --data\.size"):
        tfds._conversion(DataSettings(name="lsun/church"), "lsun", (None, None, 3))
    _, shape = tfds._conversion(DataSettings(name="lsun/church", size=64), "lsun", (None, None, 3))
    assert shape == (64, 64, 3)


@pytest.fixture
def faces(tmp_path):
    """A set of 20 faces on disk, in TFDS's own format: two sizes, two attributes, no test split."""
    library = pytest.importorskip("tensorflow_datasets")
    writer = pytest.importorskip("array_record.python.array_record_module").ArrayRecordWriter
    folder = tmp_path / "portraits" / "1.0.0"
    folder.mkdir(parents=True)
    features = library.features.FeaturesDict(
        {
            "attributes": library.features.FeaturesDict({"Smiling": np.bool_, "Young": np.bool_}),
            "image": library.features.Image(shape=(None, None, 3)),
        }
    )
    features.save_config(folder)
    records = writer(str(folder / "portraits-train.array_record-00000-of-00001"), "group_size:1")
    for i in range(20):
        file = io.BytesIO()
        Image.new("RGB", (8, 8 + i % 2), (i, i, i)).save(file, "PNG")
        file.seek(0)
        example = {"image": file, "attributes": {"Smiling": i % 2 == 0, "Young": i % 3 == 0}}
        records.write(features.serialize_example(features.encode_example(example)))
    records.close()
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    split = {"name": "train", "shardLengths": ["20"], "filepathTemplate": template}
    information = {"name": "portraits", "version": "1.0.0", "fileFormat": "array_record", "splits": [split]}
    (folder / "dataset_info.json").write_text(json.dumps(information))
    return tmp_path


def test_attributes_sizes_and_the_last_tenth(faces):
    train, test = (load(DataSettings(name="portraits", dir=faces, size=8), split) for split in ("train", "test"))
    assert (len(train), len(test)) == (18, 2)
    assert train.attribute_names == ("Smiling", "Young")
    assert train.classes == ()
    examples = resident(train).arrays
    assert examples["image"].shape == (18, 8, 8, 3)
    np.testing.assert_array_equal(examples["image"][:, 0, 0, 0], np.arange(18))
    np.testing.assert_array_equal(examples["attributes"], [[i % 2 == 0, i % 3 == 0] for i in range(18)])
    np.testing.assert_array_equal(test.take(np.arange(2))["image"][:, 0, 0, 0], [18, 19])
    with pytest.raises(UsageError, match=r"say --data\.size"):
        load(DataSettings(name="portraits", dir=faces), "train")


def test_set_that_is_not_prepared_names_the_command(tmp_path):
    with pytest.raises(UsageError) as caught:
        load(DataSettings(name="celeb_a", dir=tmp_path), "train")
    message = str(caught.value)
    assert f"`tfds build celeb_a --file_format=array_record --data_dir={tmp_path}`" in message
    assert "pip install tensorflow" in message
    assert not list(tmp_path.iterdir())


def test_tfrecords_are_refused_with_the_command_that_converts_them(tmp_path):
    opened("mnist")
    folder = tmp_path / "mnist" / "3.0.1"
    shutil.copytree(DATA / "mnist" / "3.0.1", folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    information = folder / "dataset_info.json"
    information.write_text(information.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(UsageError, match=r"as tfrecord only, which cannot be read by index: run `tfds convert_format"):
        load(DataSettings(name="mnist", dir=tmp_path), "train")


def test_sets_without_images_and_wrong_configurations_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"'imdb_reviews' is no image set: expected a feature 'image'.* found: "):
        load(DataSettings(name="imdb_reviews", dir=tmp_path), "train")
    with pytest.raises(UsageError, match="'lsun' has no configuration 'bedrom': did you mean 'bedroom'"):
        load(DataSettings(name="lsun/bedrom", dir=tmp_path), "train")
