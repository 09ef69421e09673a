import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.metrics.lipschitz import steepness


def test_of_functions_whose_slopes_are_known():
    real, fake = jax.random.normal(jax.random.key(0), (2, 50, 4, 3))
    weights = jnp.arange(12.0).reshape(4, 3) / 10
    key = jax.random.key(1)

    @jax.jit
    def run():
        linear = steepness(lambda x: jnp.tensordot(x, weights, 2), real, fake, key)
        bowl = steepness(lambda x: 0.5 * jnp.square(x).sum(axis=(1, 2)), real, fake, key)
        return linear, linear.largest(), bowl

    linear, largest, bowl = run()
    norm = np.linalg.norm(weights)
    for part in linear[:3]:
        np.testing.assert_allclose(part, norm, rtol=1e-5)
    assert linear.ratios.shape == (100,)
    # Some of a hundred directions come near the steepest.
    assert 0.3 * norm < linear.ratios.max() <= norm * 1.0001
    np.testing.assert_allclose(largest, norm, rtol=1e-4)
    np.testing.assert_allclose(bowl.real, np.linalg.norm(real.reshape(50, -1), axis=1), rtol=1e-5)
    assert (bowl.between <= np.maximum(bowl.real, bowl.fake) + 1e-4).all()
