from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from gdl_jax.pictures.human_study import human_study

REAL = np.full((3, 4, 4, 1), 200, np.uint8)
FAKE = np.full((3, 4, 4, 1), 50, np.uint8)


def study_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="study">(.*?)</script>', page, re.DOTALL)[1])


def test_pictures_in_random_order_and_nothing_from_elsewhere():
    page = human_study(REAL, FAKE, name="dcgan</script>")
    assert not re.search(r"https?:|@import|url\(", page)
    assert "default-src 'none'" in page
    items = study_of(page)["items"]
    for item in items:
        content = base64.b64decode(item["image"].removeprefix("data:image/png;base64,"))
        assert (np.asarray(Image.open(io.BytesIO(content))) == (200 if item["real"] else 50)).all()
    assert sorted((item["real"], item["index"]) for item in items) == [(k, i) for k in (False, True) for i in range(3)]
    orders = {tuple(i["real"] for i in study_of(human_study(REAL, FAKE, name="a", seed=s))["items"]) for s in range(8)}
    assert len(orders) > 3


# A subject who sees every picture for an instant, and answers that the bright ones are real but for the last.
# The browser's virtual time does not wait for the decoding of pictures, which a busy machine draws out.
SUBJECT = """
  picture.decode = () => Promise.resolve();
  document.getElementById("start").click();
  const seen = [];
  setInterval(() => {
    if (!waiting || given.length !== seen.length) return;
    seen.push(picture.hidden ? "hidden" : "shown");
    if (seen.length % 2 === 0 && !picture.hidden) { seen.pop(); return; }
    if (getComputedStyle(start).display !== "none") throw new Error("the start button is still there");
    const real = study.items[current].real !== (current === study.items.length - 1);
    const keys = {rating: ["5", "2"], pairs: ["l", "r"], real_or_fake: ["r", "g"]}[study.task];
    const key = keys[real ? 0 : 1];
    document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    document.title = seen.join(" ") + "|" + csv();
  }, 20);"""


def test_pairs_side_by_side():
    """Each sample once beside a real picture, at both sides equally often."""
    real, fake = (np.full((6, 4, 8, 1), value, np.uint8) for value in (200, 50))
    items = study_of(human_study(real, fake, name="a", task="pairs"))["items"]
    for item in items:
        picture = Image.open(io.BytesIO(base64.b64decode(item["image"].removeprefix("data:image/png;base64,"))))
        columns = np.asarray(picture).mean(0)
        assert columns.shape == (18,)
        assert (columns[:8] == (200 if item["real"] else 50)).all()
        assert (columns[10:] == (50 if item["real"] else 200)).all()
    assert sorted(item["index"] for item in items) == list(range(6))
    assert sum(item["real"] for item in items) == 3


@pytest.mark.parametrize("task", ["real_or_fake", "rating", "pairs"])
def test_a_subject_is_timed_and_scored(task, tmp_path, browse):
    path = tmp_path / "study.html"
    # Six to answer: of pairs each takes two pictures.
    shown = [np.repeat(images, 2 if task == "pairs" else 1, axis=0) for images in (REAL, FAKE)]
    path.write_text(human_study(*shown, name="dcgan_000020", task=task, milliseconds=100))
    dom = browse(path, SUBJECT, 20_000)
    seen, answers = re.search(r"<title>(.*?)\|(.*?)</title>", dom, re.DOTALL).groups()
    # Every second waited until the picture had gone.
    assert seen.split() == ["shown", "hidden"] * 3
    rows = [line.split(",") for line in answers.splitlines()[1:]]
    assert len(rows) == 6
    assert [int(row[3]) for row in rows] == list(range(6))
    assert all(int(row[7]) >= 100 for row in rows[1::2])
    table = dict(re.findall(r"<tr><th>(.*?)</th><td>(.*?)</td></tr>", dom))
    items = study_of(path.read_text())["items"]
    if task == "rating":
        fake = [2, 2, 2] if items[-1]["real"] else [2, 2, 5]
        assert table["mean opinion of generated pictures"].startswith(f"{np.mean(fake):.2f}")
    elif task == "pairs":
        assert table["pairs in which the real picture was chosen"].startswith("83 % (44 % to 97 %)")
        assert {row[5] for row in rows} == {"real left", "real right"}
    else:
        assert table["right answers"].startswith("83 % (44 % to 97 %)")  # Wilson's interval of 5 of 6
        wrong = "real pictures taken for generated" if items[-1]["real"] else "generated pictures taken for real"
        assert table[wrong].startswith("33 %")
