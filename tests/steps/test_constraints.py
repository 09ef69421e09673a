import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.steps.constraints import clip_weights


def test_every_parameter_is_clipped_the_norms_too():
    params = {
        "Conv_0": {"kernel": jnp.array([-3.0, 0.005, 3.0]), "bias": jnp.array([0.5])},
        "Block_0": {"BatchNorm_0": {"scale": jnp.array([1.0]), "bias": jnp.array([-0.3])}},
        "embedding": jnp.array([-0.2]),
    }
    wanted = {
        "Conv_0": {"kernel": [-0.01, 0.005, 0.01], "bias": [0.01]},
        "Block_0": {"BatchNorm_0": {"scale": [0.01], "bias": [-0.01]}},
        "embedding": [-0.01],
    }
    jax.tree.map(np.testing.assert_allclose, clip_weights(0.01)(params), jax.tree.map(jnp.array, wanted))
    with pytest.raises(ValueError, match="above 0"):
        clip_weights(0.0)
