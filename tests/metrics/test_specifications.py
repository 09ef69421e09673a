import numpy as np
import pytest

from gdl_jax.metrics.specifications import grey_elements, repeated, satisfied, unseen, voice_elements


def test_shares():
    samples = np.array([[1, 2], [3, 4], [5, 6], [7, 8]])
    found = satisfied(samples, {"small": lambda x: x.max(axis=1) < 5, "odd": lambda x: x[:, 0] % 2 == 1})
    assert found == {"small": 0.5, "odd": 1.0}


def test_one_answer_per_sample_is_needed():
    with pytest.raises(ValueError, match="'any' gave answers of shape"):
        satisfied(np.ones((3, 2)), {"any": lambda x: x > 0})


def test_repeated():
    assert repeated(np.array([[1, 2], [1, 2], [2, 1], [1, 2]])) == 0.5
    assert repeated(np.arange(6).reshape(3, 2)) == 0


def test_unseen():
    real, fake = np.array([[[0, 255, 0]]], np.uint8), np.array([[[0, 0, 255], [7, 255, 7]]], np.uint8)
    # The pair (0, 0) is new, the level 7 is there twice, and with it (7, 255) and (255, 7).
    assert unseen(grey_elements(real), grey_elements(fake)) == {"level": 2, "pair": 3}
    assert unseen(grey_elements(fake), grey_elements(fake)) == {"level": 0, "pair": 0}
    with pytest.raises(ValueError, match=r"'level', 'pair'.*'pitch'"):
        unseen(grey_elements(real), {"pitch": np.zeros(1, int)})


def test_voice():
    training, new = np.array([60, 60, 62, 62, 62, 60]), np.array([60, 60, 60, 60, 62, 64])
    found = voice_elements(training)
    assert found["pitch"].tolist() == [60, 62, 60]
    assert found["duration"].tolist() == [2, 3, 1]
    assert found["transition"].tolist() == [128 * 60 + 62, 128 * 62 + 60]
    # Four moments of one pitch, the pitch 64, and the way to it.
    assert unseen(found, voice_elements(new)) == {"pitch": 1, "duration": 1, "transition": 1}
    assert all(len(x) == 0 for x in voice_elements(np.zeros(0, int)).values())
    with pytest.raises(ValueError, match="not from 0 to 128"):
        voice_elements(np.array([0, 128]))
