import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from gdl_jax.data import digits
from gdl_jax.data.source import DataSettings, load
from gdl_jax.errors import UsageError


@pytest.mark.parametrize(("size", "margin"), [(16, 2), (28, 4), (32, 5)])
def test_digits_stand_in_a_black_frame_as_mnists_do(size, margin):
    images = load(DataSettings(size=size), "train").arrays["image"][..., 0]
    inner = images[:, margin:-margin, margin:-margin]
    assert images.sum(dtype=np.int64) == inner.sum(dtype=np.int64)
    assert (inner.max(axis=(1, 2)) > 200).all()
    # Ink reaches the first and the last row of the inner box in nearly every digit.
    assert (inner[:, 0].max(axis=1) > 0).mean() > 0.9
    assert (inner[:, -1].max(axis=1) > 0).mean() > 0.9


def test_enlarged_digits_are_the_stored_ones():
    strokes = load_digits().images[:50]
    framed = digits.framed(strokes, 28)[..., 0]
    for stroke, image in zip(strokes, framed, strict=True):
        back = np.asarray(Image.fromarray(image[4:24, 4:24]).resize((8, 8), Image.Resampling.BOX))
        assert np.corrcoef(back.ravel(), stroke.ravel())[0, 1] > 0.97


def test_split_is_stratified_and_complete():
    train, test = load(DataSettings(), "train"), load(DataSettings(), "test")
    assert (len(train), len(test)) == (1501, 296)
    stored = np.bincount(load_digits().target)
    counts = [np.bincount(source.arrays["label"], minlength=10) for source in (train, test)]
    np.testing.assert_array_equal(sum(counts), stored)
    np.testing.assert_array_equal(counts[1], stored // 6)
    assert train.classes == tuple("0123456789")
    assert train.arrays["label"][:5].tolist() == [0, 1, 2, 3, 4]


def test_too_small_a_frame_is_refused():
    with pytest.raises(UsageError, match="at least 8 pixels"):
        load(DataSettings(size=7), "train")
