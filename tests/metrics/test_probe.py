import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.layers.convolution import Conv
from gdl_jax.layers.spectral_norm import SpectralConv
from gdl_jax.metrics.probe import convolution_features, largest, linear_accuracy
from gdl_jax.networks.dcgan import Discriminator


def test_largest():
    maps = jax.random.normal(jax.random.key(0), (2, 7, 3, 5))
    found = largest(maps, 4)
    # Cells of 7 rows: 0-1, 1-3, 3-5, 5-6; of three columns each is one.
    wanted = jnp.stack([maps[:, a:b].max(1) for a, b in ((0, 2), (1, 4), (3, 6), (5, 7))], axis=1)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("spectral", [False, True])
def test_every_convolution_is_seen(spectral):
    network = Discriminator(features=(3, 5), spectral=spectral)
    images = jax.random.normal(jax.random.key(0), (2, 12, 12, 1))
    variables = network.init(jax.random.key(1), images, train=False)
    found = convolution_features(network, variables, images, (Conv, SpectralConv))
    # Maps of 6x6 and 3x3.
    assert found.shape == (2, 4 * 4 * 3 + 3 * 3 * 5)
    layer = (SpectralConv if spectral else Conv)(3, (4, 4), 2)
    name = f"{type(layer).__name__}_0"
    first = layer.apply({kind: part[name] for kind, part in variables.items() if name in part}, images)
    np.testing.assert_allclose(found[:, : 4 * 4 * 3], largest(first, 4).reshape(2, -1), rtol=1e-5)


def test_linear_accuracy():
    random = np.random.default_rng(0)
    labels = random.integers(3, size=400)
    # Two classes are linearly separable, the third is spread over everything.
    features = random.normal(size=(400, 6)) + 8 * np.eye(6)[labels] * (labels < 2)[:, None]
    parts = ((features[part], labels[part]) for part in (slice(200), slice(200, None)))
    assert linear_accuracy(*parts, cost=0.1) > 0.97
    nothing = random.normal(size=(400, 6))
    parts = ((nothing[part], labels[part]) for part in (slice(200), slice(200, None)))
    assert linear_accuracy(*parts, cost=0.1) < 0.5
