import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.steps.constraints import clip_weights


def test_clipping_leaves_norms_alone():
    params = {
        "Conv_0": {"kernel": jnp.array([-3.0, 0.005, 3.0]), "bias": jnp.array([0.5])},
        "Block_0": {"BatchNorm_0": {"scale": jnp.array([1.0]), "bias": jnp.array([-0.3])}},
        "embedding": jnp.array([-0.2]),
    }
    found = clip_weights(0.01)(params)
    np.testing.assert_allclose(found["Conv_0"]["kernel"], [-0.01, 0.005, 0.01])
    np.testing.assert_allclose(found["Conv_0"]["bias"], [0.01])
    np.testing.assert_allclose(found["embedding"], [-0.01])
    assert found["Block_0"] == params["Block_0"]
    with pytest.raises(ValueError, match="above 0"):
        clip_weights(0.0)
