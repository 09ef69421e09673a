import numpy as np

from gdl_jax.data.source import DataSettings, load


def test_noise_is_uniform_bytes_of_the_default_shape():
    images = load(DataSettings(name="noise"), "train").arrays["image"]
    assert images.shape == (1024, 32, 32, 3)
    counts = np.bincount(images.ravel(), minlength=256)
    assert counts.min() > 0.9 * images.size / 256
    assert counts.max() < 1.1 * images.size / 256
