import jax
import pytest


@pytest.fixture(autouse=True)
def promotion():
    """Optax raises a float to an int32 power, which the strict promotion of the other tests forbids."""
    with jax.numpy_dtype_promotion("standard"):
        yield
