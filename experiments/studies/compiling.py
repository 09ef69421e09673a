"""How the studies compile what takes longer to compile than to run."""

from functools import partial

import jax

quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""`jax.jit` that optimises little."""
