from __future__ import annotations

import jax.numpy as jnp
import pytest

from gdl_jax.losses.shapes import check_same_shape


def test_equal_shapes_pass():
    check_same_shape(real=jnp.zeros((4, 1)), fake=jnp.zeros((4, 1)), other=jnp.zeros((4, 1), jnp.bfloat16))


@pytest.mark.parametrize("shape", [(4,), (1, 4), (4, 1, 1, 1), (1, 1), ()])
def test_the_error_names_both_shapes(shape):
    with pytest.raises(ValueError, match="equal") as caught:
        check_same_shape(real=jnp.zeros((4, 1)), fake=jnp.zeros(shape))
    assert str(caught.value) == f"Shapes must be equal, but they are: real (4, 1), fake {shape}."
