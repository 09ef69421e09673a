import numpy as np
from PIL import Image


def test_an_image_folder_of_ones_own(launch, says, dcgan, tmp_path):
    generator = np.random.default_rng(0)
    # As many in each split as there are digits, so that the program compiled for those serves again.
    for split, count in (("train", 1501), ("test", 296)):
        for number in range(count):
            folder = tmp_path / "images" / split / ("cats" if number % 2 else "dogs")
            folder.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 256, (18, 20, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=0)
    workdir = tmp_path / "run"
    words = ["dcgan", "--preset", "smoke", "--workdir", workdir, "--data.name", "folder", "--data.size", 16]
    words += ["--data.channels", 1, "--steps", 2]
    answer = launch(*words, "--data.dir", tmp_path / "images")
    assert (answer.code, answer.err) == (0, "")
    said = "data: images, 1,501 training and 296 test examples, 16x16x1 (stored with sides of 18 to 20), classes: 2 ("
    assert f"{said}cats, dogs)\n" in answer.out
    assert '"cats"' in (workdir / "config.json").read_text()

    assert launch("sample", workdir, "--num", 2, "--out", tmp_path / "a.npz").code == 0
    with np.load(tmp_path / "a.npz") as file:
        assert file["samples"].shape == (2, 16, 16, 1)
    # From the folder's pictures, and what a verb reads is the folder again.
    measured = launch("evaluate", workdir).out
    assert measured.startswith("dcgan, step 2, 296 test examples of folder\n")
    # The folder is in the order of its classes, of which some images at random have both.
    answer = launch("probe", workdir, "--num", 20)
    assert (answer.code, answer.err) == (0, ""), answer
    assert "20 training and 20 test images" in answer.out

    # The folder may be anywhere, but has to be the same.
    moved = (tmp_path / "images").rename(tmp_path / "moved")
    assert launch(*words, "--data.dir", moved).code == 0
    (workdir / "config.json").write_text((workdir / "config.json").read_text().replace(str(moved), "nowhere"))
    says(launch("evaluate", workdir), "--data.dir is nowhere, which is no folder")
    assert launch("evaluate", workdir, "--data.dir", moved).out == measured
    config = (workdir / "config.json").read_text()
    (moved / "train" / "cats" / "1.png").rename(moved / "train" / "cats" / "one.png")
    says(launch(*words, "--data.dir", moved), "trained on other data (files of the same number with other names")
    (moved / "train" / "apes").mkdir()
    (moved / "train" / "cats" / "one.png").rename(moved / "train" / "apes" / "one.png")
    answer = launch(*words, "--data.dir", moved)
    says(answer, "(classes 2 (cats, dogs) and now 3 (apes, cats, dogs)); give it those to continue it")
    assert (workdir / "config.json").read_text() == config
