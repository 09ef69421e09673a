import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gdl_jax.data.source import ArraySource, ArraySpec, DataSettings, Source, class_numbers, load, nbytes, resident
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


def folder_of_classes(path: Path) -> Path:
    for number, name in enumerate(("cat", "dog", "fox")):
        (path / name).mkdir()
        for i in range(4):
            Image.new("L", (8, 8), 20 * i + number).save(path / name / f"{name}{i}.png")
    (path / "captions.csv").write_text(
        "file,caption\n" + "".join(f"{n}/{n}{i}.png,{n} {i}\n" for n in ("cat", "dog", "fox") for i in range(4))
    )
    return path


@pytest.mark.parametrize(
    ("name", "wanted", "numbers"),
    [
        ("digits", ("8", "3"), {3, 8}),
        ("shapes", ("ring", "0"), {0, 5}),
        ("faces", ("brown",), None),
        ("folder", ("dog", "2"), {1, 2}),
    ],
)
def test_only_the_chosen_classes_are_there(name, wanted, numbers, tmp_path):
    directory = folder_of_classes(tmp_path) if name == "folder" else None
    settings = DataSettings(name=name, dir=directory, size=16, num_examples=None if directory else 60)
    whole = load(settings, "train")
    numbers = numbers or set(class_numbers(wanted, whole.classes))
    chosen = load(replace(settings, classes=wanted), "train")
    examples = whole.take(np.arange(len(whole)))
    there = np.flatnonzero(np.isin(examples["label"], list(numbers)))
    assert isinstance(chosen, Source)
    assert chosen.classes == whole.classes
    assert chosen.spec == whole.spec
    assert 0 < len(chosen) == len(there) < len(whole)
    np.testing.assert_array_equal(whole.labels, examples["label"])
    read = resident(chosen)
    for key, values in examples.items():
        np.testing.assert_array_equal(chosen.take(np.arange(len(chosen)))[key], values[there])
        np.testing.assert_array_equal(read.arrays[key], values[there])
    np.testing.assert_array_equal(chosen.labels, examples["label"][there])
    if name in ("folder", "shapes"):
        assert read.captions == tuple(whole.captions[i] for i in there)


def test_classes_are_said_by_name_before_number():
    assert class_numbers(("2", "horse", "0"), ("cat", "dog", "horse")) == (0, 2)
    assert class_numbers(("1",), ("1", "2")) == (0,)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (DataSettings(name="noise", classes=("3",)), "'noise' have no labels: leave --data.classes out."),
        (DataSettings(name="shapes", classes=("circel",)), "there is no class 'circel', did you mean 'circle'?"),
        (DataSettings(classes=("9",), num_examples=3), "none of the 3 examples"),
    ],
)
def test_classes_that_cannot_be_had_are_refused(settings, sentence):
    with pytest.raises(UsageError, match=re.escape(sentence)):
        load(settings, "train")


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
    with pytest.raises(UsageError, match=rf"--data\.{field.replace('_', '-')} is 0, but must be at least 1"):
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
