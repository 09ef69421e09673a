"""Packaging of gdl_jax. `experiments` and `benchmarks` run from the checkout and are not installed."""

from setuptools import find_packages, setup

setup(
    name="gdl_jax",
    version="0.1.0",
    description="Generative models in JAX: pure-functional definitions, jit-compiled data-parallel training steps",
    license="Apache-2.0",
    packages=find_packages(include=["gdl_jax", "gdl_jax.*"]),
    package_data={"gdl_jax.metrics": ["weights/*.safetensors"], "gdl_jax.pictures": ["*.html", "page.css"]},
    python_requires=">=3.11",
    install_requires=[
        "jax>=0.10,<0.13",
        "jaxlib>=0.10,<0.13",
        "flax>=0.12.6",
        "optax>=0.2.8",
        "orbax-checkpoint>=0.12,<0.13",
        "tensorflow-datasets>=4.9.9",
        "grain>=0.2.16",
        "numpy>=2",
        "scikit-learn>=1.6",
        "threadpoolctl>=3.5",
        "pillow>=11",
        "jaxtyping>=0.3.2",
        "tyro>=1.0",
        "tqdm>=4.66",
        "tensorboardX>=2.6.4",
        "matplotlib>=3.9",
        "safetensors>=0.5",
    ],
    extras_require={
        "peers": ["torch>=2.6", "torch-fidelity>=0.4", "pytorch-msssim>=1"],
        "test": [
            "pytest>=8.3",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.7",
            "chex>=0.1.91",
            "beartype>=0.21",
            "scikit-image>=0.25",
            "prdc>=0.2",
            "ruff>=0.14",
            "h5py>=3.12",
        ],
    },
)
