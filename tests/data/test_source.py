from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gdl_jax.data.source import ArraySource, ArraySpec, DataSettings, Source, load, nbytes, resident
from gdl_jax.errors import UsageError


def folder_of_ten(path: Path) -> Path:
    for i in range(10):
        Image.new("RGB", (8, 8), (20 * i, 0, 0)).save(path / f"{i}.png")
    return path


@pytest.fixture(params=["digits", "faces", "shapes", "triangles", "noise", "folder"])
def settings(request, tmp_path):
    directory = folder_of_ten(tmp_path) if request.param == "folder" else None
    return DataSettings(name=request.param, dir=directory, num_examples=None if directory else 40)


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_source_keeps_the_protocol(settings, split):
    source = load(settings, split)
    assert isinstance(source, Source)
    examples = source.take(np.arange(len(source)))
    assert {key: ArraySpec(values.shape[1:], values.dtype) for key, values in examples.items()} == source.spec
    assert all(len(values) == len(source) for values in examples.values())
    assert examples["image"].dtype == np.uint8
    if source.classes:
        assert examples["label"].dtype == np.int32
        assert set(examples["label"].tolist()) <= set(range(len(source.classes)))
    assert nbytes(source) == sum(values.nbytes for values in examples.values())


@pytest.mark.parametrize("split", ["train", "test"])
def test_examples_depend_on_their_index_alone(settings, split):
    source, again = load(settings, split), load(settings, split)
    n = len(source)
    whole = source.take(np.arange(n))
    order = np.random.default_rng(0).permutation(n)
    for key, values in again.take(order).items():
        np.testing.assert_array_equal(values, whole[key][order])
    for key, values in again.take(np.array([n - 1])).items():
        np.testing.assert_array_equal(values[0], whole[key][n - 1])
    assert all(len(values) == 0 for values in source.take(np.arange(0)).values())


def test_splits_share_no_example(settings):
    train, test = (
        {image.tobytes() for image in resident(load(settings, s)).arrays["image"]} for s in ("train", "test")
    )
    assert train
    assert test
    assert not train & test


def test_resident_equals_take_over_several_blocks():
    source = load(DataSettings(name="shapes", size=8, num_examples=1300), "train")
    read = resident(source)
    assert isinstance(read, ArraySource)
    assert resident(read) is read
    assert read.spec == source.spec
    assert read.attribute_names == source.attribute_names
    assert read.captions == source.captions
    for key, values in source.take(np.arange(1300)).items():
        np.testing.assert_array_equal(read.arrays[key], values)


def test_resident_lets_errors_out(tmp_path):
    source = load(DataSettings(name="folder", dir=folder_of_ten(tmp_path)), "train")
    source.files[0].unlink()
    with pytest.raises(FileNotFoundError):
        resident(source)


def test_num_examples_takes_the_first():
    for name in ("digits", "faces", "shapes", "triangles", "noise"):
        few, more = (load(DataSettings(name=name, num_examples=n), "train") for n in (5, 9))
        assert (len(few), len(more)) == (5, 9)
        np.testing.assert_array_equal(few.take(np.arange(5))["image"], more.take(np.arange(5))["image"])


def test_seed_changes_generated_sets_only():
    for name, changes in (("faces", True), ("shapes", True), ("triangles", True), ("noise", True), ("digits", False)):
        settings = DataSettings(name=name, num_examples=8)
        first, second = (load(replace(settings, seed=s), "train").take(np.arange(8))["image"] for s in (0, 1))
        assert (first != second).any() == changes


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["digits", "faces", "shapes", "triangles", "noise"])
def test_size_and_channels_are_as_asked(name, channels):
    source = load(DataSettings(name=name, size=20, channels=channels, num_examples=3), "test")
    assert source.spec["image"].shape == (20, 20, channels)


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="differ in length"):
        ArraySource("odd", {"image": np.zeros((3, 2, 2, 1), np.uint8), "label": np.zeros(2, np.int32)})


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("digts", "There is no data set 'digts': did you mean 'digits'?"),
        ("mnits", "There is no data set 'mnits': did you mean 'mnist'?"),
        ("qqqqq", "There is no data set 'qqqqq': built in are digits, faces, folder, noise, shapes, triangles"),
    ],
)
def test_unknown_name_says_the_nearest_and_how_to_use_a_folder(name, sentence):
    with pytest.raises(UsageError) as caught:
        load(DataSettings(name=name), "train")
    assert str(caught.value).startswith(sentence)
    assert "--data.name folder --data.dir" in str(caught.value)


@pytest.mark.parametrize("field", ["size", "crop", "num_examples"])
def test_settings_refuse_numbers_below_one(field):
    with pytest.raises(UsageError, match=rf"--data\.{field} is 0, but must be at least 1"):
        DataSettings(**{field: 0})


@pytest.mark.parametrize("name", ["digits", "faces", "shapes", "triangles", "noise"])
def test_crop_of_a_drawn_set_is_refused(name):
    with pytest.raises(UsageError, match=r"leave --data\.crop out"):
        load(DataSettings(name=name, crop=5), "train")


def test_every_setting_is_documented(capsys):
    tyro = pytest.importorskip("tyro")
    with pytest.raises(SystemExit):
        tyro.cli(DataSettings, args=["--help"])
    shown = capsys.readouterr().out
    for field, text in {"size": "pixels", "crop": "square cut", "flip": "Mirror", "placement": "host"}.items():
        assert f"--{field}" in shown
        assert text in shown
