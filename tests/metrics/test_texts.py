from __future__ import annotations

import json

import numpy as np
import pytest

from gdl_jax.errors import UsageError
from gdl_jax.metrics import texts
from gdl_jax.metrics.texts import compare_texts


def sentences(num: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("aab "), 12)) for _ in range(num)]


def test_generated_texts_and_their_floor():
    real = sentences(2000, 0)
    same, other = compare_texts(real, sentences(500, 1)), compare_texts(real, ["abab" * 3] * 500)
    for n in (1, 2, 3, 4):
        floor = same[f"js_{n}_of_held_out_texts"]
        assert 0 < floor < 0.02
        assert same[f"js_{n}"] < 3 * floor
        assert other[f"js_{n}"] > 10 * floor
    assert other["js_4"] > other["js_1"]


def test_command(tmp_path, capsys):
    (tmp_path / "real.txt").write_text("the cat sat down\n\n" + "the dog sat down\n" * 3)
    (tmp_path / "fake.txt").write_text("the dog sat down\n")
    words = [str(tmp_path / "real.txt"), str(tmp_path / "fake.txt"), "--unit", "words", "--json"]
    texts.main(words)
    found = json.loads(capsys.readouterr().out)
    assert found["js_1"]["protocol"]["real"] == 4
    assert found["js_4"]["value"] > 0
    for wrong, match in ((tmp_path / "none.txt", "cannot be read"), (tmp_path / "empty.txt", "no line of text")):
        (tmp_path / "empty.txt").write_text("\n")
        with pytest.raises(UsageError, match=match):
            texts.main([str(tmp_path / "real.txt"), str(wrong)])
    (tmp_path / "short.txt").write_text("a\n")
    with pytest.raises(UsageError, match="no sequence of 2"):
        texts.main([str(tmp_path / "real.txt"), str(tmp_path / "short.txt")])
