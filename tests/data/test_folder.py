import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gdl_jax.data.source import DataSettings, load, resident
from gdl_jax.errors import UsageError

SHARED = Path(os.environ.get("GDL_JAX_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def opened(folder: Path, split="train", **settings):
    return load(DataSettings(name="folder", dir=folder, **settings), split)


def save(path: Path, colour="red", size=(8, 8), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)


def damage(path: Path, kind: str) -> None:
    """Writes a file that begins well: cut in the middle, of zeros after the header, or no image at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG" if path.suffix == ".jpg" else "PNG")
    data = buffer.getvalue()
    path.write_bytes({"cut": data[: len(data) // 2], "text": b"not an image", "empty": b""}[kind])


def test_flat_folder_of_odd_kinds_becomes_one_shape(tmp_path):
    Image.fromarray(np.full((9, 5), 40_000, np.uint16)).save(tmp_path / "deep.png")
    Image.new("CMYK", (12, 7), (0, 0, 0, 255)).save(tmp_path / "cmyk.jpg")
    Image.new("RGBA", (6, 6), (1, 2, 3, 0)).save(tmp_path / "clear.png")
    Image.new("LA", (6, 9), (7, 0)).save(tmp_path / "grey_clear.png")
    Image.new("1", (6, 6), 1).save(tmp_path / "bit.png")
    Image.new("P", (6, 6)).save(tmp_path / "palette.gif")
    Image.new("RGB", (1, 1), (9, 8, 7)).save(tmp_path / "pixel.png")
    Image.new("RGB", (3, 3), (50, 60, 70)).save(tmp_path / "really_png.jpg", "PNG")
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("blue", "red")]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "notes.txt").write_text("no image")
    source = opened(tmp_path, size=4)
    other = opened(tmp_path, "test", size=4)
    assert source.spec["image"].shape == (4, 4, 3)
    images = {
        file.name: image
        for part in (source, other)
        for file, image in zip(part.files, resident(part).arrays["image"], strict=True)
    }
    assert len(images) == 9
    assert (images["deep.png"] == round(40_000 / 257)).all()
    assert images["cmyk.jpg"].max() < 10
    assert (images["clear.png"] == 255).all()
    assert (images["grey_clear.png"] == 255).all()
    assert (images["bit.png"] == 255).all()
    assert (images["pixel.png"] == [9, 8, 7]).all()
    assert (images["really_png.jpg"] == [50, 60, 70]).all()
    assert (images["film.gif"] == [0, 0, 255]).all()


def test_classes_are_the_sub_folders(tmp_path):
    for name, colour in (("b", "red"), ("a", "lime")):
        for i in range(20):
            save(tmp_path / name / "deeper" / f"{i}.png", colour)
    train, test = opened(tmp_path), opened(tmp_path, "test")
    assert train.classes == test.classes == ("a", "b")
    assert list(train.files) == sorted(train.files)
    assert len(train) + len(test) == 40
    assert not set(train.files) & set(test.files)
    assert 0 < len(test) < 12
    for source in (train, test):
        examples = resident(source).arrays
        colours = np.array([[0, 255, 0], [255, 0, 0]])[examples["label"]]
        assert (examples["image"] == colours[:, None, None]).all()


def test_split_of_a_file_does_not_depend_on_the_others(tmp_path):
    for i in range(100):
        save(tmp_path / f"{i}.png")
    before = {file.name for file in opened(tmp_path, "test").files}
    assert 3 <= len(before) <= 20
    for i in range(100, 120):
        save(tmp_path / f"{i}.png")
    after = {file.name for file in opened(tmp_path, "test").files}
    assert before == {name for name in after if int(name[:-4]) < 100}


@pytest.mark.parametrize("test_name", ["test", "val"])
def test_split_folders_are_the_splits(tmp_path, test_name):
    save(tmp_path / "train" / "cat" / "1.png")
    save(tmp_path / "train" / "dog" / "1.png")
    save(tmp_path / test_name / "dog" / "2.png")
    train, test = opened(tmp_path), opened(tmp_path, "test")
    assert (len(train), len(test)) == (2, 1)
    assert test.classes == ("cat", "dog")
    assert test.take(np.arange(1))["label"].tolist() == [1]


def test_one_image_is_both_splits(tmp_path):
    save(tmp_path / "only.png")
    assert opened(tmp_path).files == opened(tmp_path, "test").files


def test_few_examples_come_from_all_classes(tmp_path):
    for name in ("a", "b"):
        for i in range(40):
            save(tmp_path / name / f"{i}.png")
    source = opened(tmp_path, num_examples=16)
    assert len(source) == 16
    assert set(source.columns["label"].tolist()) == {0, 1}


def test_channels_follow_the_files(tmp_path):
    for i in range(3):
        Image.new("L", (8, 8), 10).save(tmp_path / f"{i}.png")
    assert opened(tmp_path).spec["image"].shape == (8, 8, 1)
    assert opened(tmp_path, channels=3).spec["image"].shape == (8, 8, 3)
    for name in ("x", "y", "z"):
        save(tmp_path / f"{name}.png")
    assert opened(tmp_path).spec["image"].shape == (8, 8, 3)
    assert opened(tmp_path, channels=1).spec["image"].shape == (8, 8, 1)


@pytest.mark.parametrize(("name", "kind"), [("x.jpg", "cut"), ("x.png", "cut"), ("x.png", "text"), ("x.jpg", "empty")])
def test_damaged_files_are_named_and_left_out_at_opening(tmp_path, caplog, name, kind):
    for i in range(12):
        save(tmp_path / "good" / f"{i}.png", size=(64, 64))
    for i in range(30):
        damage(tmp_path / "bad" / f"{i:02}{name}", kind)
    with caplog.at_level("WARNING"):
        source = opened(tmp_path)
    assert len(resident(source)) == sum(file.parent.name == "good" for file in source.files) == len(source)
    (record,) = caplog.records
    assert "images in" in record.getMessage()
    assert "bad/0" in record.getMessage()
    assert record.getMessage().endswith(" ....")
    with pytest.raises(UsageError, match=r"no usable image for this split: its \d+ image files are all damaged"):
        opened(tmp_path / "bad")


def test_tiny_jpegs_are_no_damaged_ones(tmp_path):
    save(tmp_path / "a.jpg", size=(1, 1))
    assert opened(tmp_path, size=4).take(np.arange(1))["image"].shape == (1, 4, 4, 3)


def test_turned_photographs_count_with_their_upright_shape(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a" / "turned.jpg", size=(16, 8), exif=exif)
    save(tmp_path / "a" / "upright.jpg", size=(8, 16))
    save(tmp_path / "a" / "third.jpg", size=(8, 16))
    for split in ("train", "test"):
        assert opened(tmp_path, split).spec["image"].shape == (16, 8, 3)


def test_varying_sizes_need_a_size(tmp_path):
    for i in range(20):
        save(tmp_path / f"{i}.png", size=(8 + i, 9))
    with pytest.raises(UsageError, match=r"differ in size \(9x8.*say --data\.size"):
        opened(tmp_path)
    assert opened(tmp_path, crop=7).spec["image"].shape == (7, 7, 3)
    assert opened(tmp_path, size=5).spec["image"].shape == (5, 5, 3)


def test_table_gives_attributes_and_captions(tmp_path):
    rows = ["file,smiling,count,caption,weight"]
    for i in range(30):
        save(tmp_path / f"{i}.png", (i, 0, 0))
        rows.append(f'{i}.png,{1 if i % 2 else -1},{i},"number {i}, red",0.5')
    (tmp_path / "things.csv").write_text("\n".join([*rows, "absent.png,1,1,none,0.5"]))
    source = opened(tmp_path)
    assert source.attribute_names == ("smiling", "count")
    examples = resident(source)
    number = examples.arrays["image"][:, 0, 0, 0].astype(int)
    np.testing.assert_array_equal(examples.arrays["attributes"], np.stack([number % 2, number], axis=1))
    assert examples.arrays["attributes"].dtype == np.int32
    assert examples.captions == tuple(f"number {i}, red" for i in number)


def test_two_tables_are_read_side_by_side(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png")
    files = [f"{i}.png" for i in range(3)]
    (tmp_path / "attributes.csv").write_text("file,young\n" + "".join(f"{name},1\n" for name in files))
    (tmp_path / "captions.csv").write_text("file,caption\n" + "".join(f"{name},a {name}\n" for name in files))
    source = opened(tmp_path)
    assert source.attribute_names == ("young",)
    assert source.captions == tuple(f"a {file.name}" for file in source.files)


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(UsageError, match=r"--data\.dir is missing"):
        opened(None)
    with pytest.raises(UsageError, match=r"--data\.dir is .*nowhere, which is no folder"):
        opened(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"has no usable image for this split: it has none; expected \.avif"):
        opened(tmp_path)
    save(tmp_path / "a.png")
    (tmp_path / "captions.csv").write_text("file,caption\nb.png,b\n")
    with pytest.raises(UsageError, match=r"1 images have no row in .*captions\.csv: a\.png"):
        opened(tmp_path)
    (tmp_path / "captions.csv").write_text("name,caption\na.png,a\n")
    with pytest.raises(UsageError, match=r"first column of .* must be 'file'.*found: name, caption"):
        opened(tmp_path)
    save(tmp_path / "class" / "b.png")
    with pytest.raises(UsageError, match=r"both directly in it \(a\.png \.\.\.\) and in sub-folders \(class \.\.\.\)"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("folder", "total", "shape", "classes"),
    [
        ("folders/flowers", 2500, (96, 96, 3), 5),
        ("captioned/emoji", 2041, (72, 72, 3), 0),
        ("faces/orl", 400, (112, 92, 1), 40),
    ],
)
def test_real_folders(folder, total, shape, classes):
    if not (SHARED / folder).is_dir():
        pytest.skip(f"{SHARED / folder} is not on this machine")
    train, test = opened(SHARED / folder), opened(SHARED / folder, "test")
    assert len(train) + len(test) == total
    assert 0.07 < len(test) / total < 0.13
    assert train.spec["image"].shape == test.spec["image"].shape == shape
    assert len(train.classes) == classes
    assert bool(train.captions) == (folder == "captioned/emoji")
    assert test.take(np.arange(20))["image"].std() > 10
