import numpy as np
from PIL import Image


def test_an_image_folder_of_ones_own(launch, dcgan, tmp_path):
    generator = np.random.default_rng(0)
    # As many in each split as there are digits, so that the program compiled for those serves again.
    for split, count in (("train", 1501), ("test", 296)):
        for number in range(count):
            folder = tmp_path / "images" / split / ("cats" if number % 2 else "dogs")
            folder.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 256, (18, 20, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=0)
    words = ["--data.name", "folder", "--data.dir", tmp_path / "images", "--data.channels", 1, "--steps", 2]
    workdir = tmp_path / "run"
    answer = launch("dcgan", "--preset", "smoke", "--workdir", workdir, *words)
    assert (answer.code, answer.err) == (0, "")
    assert "data: folder, 1,501 training and 296 test examples" in answer.out
    assert '"cats"' in (workdir / "config.json").read_text()

    assert launch("sample", workdir, "--num", 2, "--out", tmp_path / "a.npz").code == 0
    with np.load(tmp_path / "a.npz") as file:
        assert file["samples"].shape == (2, 16, 16, 1)
    # From the folder's pictures, and what a verb reads is the folder again.
    assert launch("evaluate", workdir).out.startswith("dcgan, step 2, 296 test examples of folder\n")
