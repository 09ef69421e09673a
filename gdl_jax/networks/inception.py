"""Inception v3 in the form of the Frechet Inception distance, and its weights.

Szegedy et al. 2016 (arXiv:1512.00567), as the graph of 2015-12-05 has it with which published distances are measured:
1,008 logits; the average pools of the blocks do not count the zeros around the image; the last block pools by the
maximum. torchvision's network, and its weights, differ in all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.errors import UsageError
from gdl_jax.layers.convolution import Conv, Padding
from gdl_jax.layers.normalisation import BatchNorm
from gdl_jax.networks.weights import Weights

SIZE = 299
"""Side of the images."""
FEATURES = 2048
LOGITS = 1008

Image = Float[Array, "batch _height _width _channels"]
Pool = Literal["average", "max"]


class Outputs(NamedTuple):
    """Features after the last average pool, and logits of the classes."""

    features: Float[Array, "batch 2048"]
    logits: Float[Array, "batch 1008"]


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm with epsilon 1e-3 by its running averages, ReLU."""

    features: int
    kernel: tuple[int, int] = (1, 1)
    strides: int = 1
    padding: Padding = "SAME"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Image) -> Image:
        """Applies it."""
        conv = Conv(
            self.features, self.kernel, self.strides, self.padding, use_bias=False, dtype=self.dtype, name="conv"
        )
        return nn.relu(BatchNorm(epsilon=1e-3, dtype=self.dtype, name="bn")(conv(x), train=False))


class Branches(nn.Module):
    """Chains of convolutions, and one that pools, side by side as channels.

    Attributes:
        chains: name of each convolution -> its fields, of every chain; a chain whose last entry is a tuple of two ends
            in both side by side.
        pool: of the chain that pools.
        pool_features: channels of the convolution after the pool; None: pooling with stride two and no convolution.
        dtype: dtype of computation.
    """

    chains: tuple[tuple[Any, ...], ...]
    pool: Pool = "average"
    pool_features: int | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Image) -> Image:
        """Applies it."""

        def convolved(y: Image, layer: tuple[str, Mapping[str, Any]]) -> Image:
            name, fields = layer
            return ConvNorm(**fields, dtype=self.dtype, name=name)(y)

        parts = []
        for chain in self.chains:
            y = x
            for layer in chain:
                split = isinstance(layer[0], tuple)
                y = jnp.concatenate([convolved(y, part) for part in layer], -1) if split else convolved(y, layer)
            parts.append(y)
        if self.pool_features is None:
            parts.append(nn.max_pool(x, (3, 3), (2, 2)))
        else:
            parts.append(convolved(pooled(x, self.pool), ("branch_pool", {"features": self.pool_features})))
        return jnp.concatenate(parts, -1)


def pooled(x: Image, pool: Pool) -> Image:
    """Over 3x3 pixels around each; the zeros beyond the edge count in no mean."""
    if pool == "max":
        return nn.max_pool(x, (3, 3), padding="SAME")
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def _layer(name: str, features: int, kernel: tuple[int, int] = (1, 1), **more: Any) -> tuple[str, dict[str, Any]]:
    return name, {"features": features, "kernel": kernel, **more}


def block_35(pool_features: int) -> dict[str, Any]:
    """Of 35x35 pixels: figure 5 of the paper, with one 5x5 convolution."""
    chains = (
        (_layer("branch1x1", 64),),
        (_layer("branch5x5_1", 48), _layer("branch5x5_2", 64, (5, 5))),
        (
            _layer("branch3x3dbl_1", 64),
            _layer("branch3x3dbl_2", 96, (3, 3)),
            _layer("branch3x3dbl_3", 96, (3, 3)),
        ),
    )
    return {"chains": chains, "pool_features": pool_features}


def reduction_35() -> dict[str, Any]:
    """From 35x35 to 17x17 pixels."""
    halving = {"strides": 2, "padding": "VALID"}
    chains = (
        (_layer("branch3x3", 384, (3, 3), **halving),),
        (
            _layer("branch3x3dbl_1", 64),
            _layer("branch3x3dbl_2", 96, (3, 3)),
            _layer("branch3x3dbl_3", 96, (3, 3), **halving),
        ),
    )
    return {"chains": chains}


def block_17(width: int) -> dict[str, Any]:
    """Of 17x17 pixels: figure 6, n = 7."""
    row, column = (1, 7), (7, 1)
    chains = (
        (_layer("branch1x1", 192),),
        (_layer("branch7x7_1", width), _layer("branch7x7_2", width, row), _layer("branch7x7_3", 192, column)),
        (
            _layer("branch7x7dbl_1", width),
            _layer("branch7x7dbl_2", width, column),
            _layer("branch7x7dbl_3", width, row),
            _layer("branch7x7dbl_4", width, column),
            _layer("branch7x7dbl_5", 192, row),
        ),
    )
    return {"chains": chains, "pool_features": 192}


def reduction_17() -> dict[str, Any]:
    """From 17x17 to 8x8 pixels."""
    halving = {"strides": 2, "padding": "VALID"}
    chains = (
        (_layer("branch3x3_1", 192), _layer("branch3x3_2", 320, (3, 3), **halving)),
        (
            _layer("branch7x7x3_1", 192),
            _layer("branch7x7x3_2", 192, (1, 7)),
            _layer("branch7x7x3_3", 192, (7, 1)),
            _layer("branch7x7x3_4", 192, (3, 3), **halving),
        ),
    )
    return {"chains": chains}


def block_8(pool: Pool) -> dict[str, Any]:
    """Of 8x8 pixels: figure 7."""
    chains = (
        (_layer("branch1x1", 320),),
        (
            _layer("branch3x3_1", 384),
            (_layer("branch3x3_2a", 384, (1, 3)), _layer("branch3x3_2b", 384, (3, 1))),
        ),
        (
            _layer("branch3x3dbl_1", 448),
            _layer("branch3x3dbl_2", 384, (3, 3)),
            (_layer("branch3x3dbl_3a", 384, (1, 3)), _layer("branch3x3dbl_3b", 384, (3, 1))),
        ),
    )
    return {"chains": chains, "pool": pool, "pool_features": 192}


BLOCKS: Mapping[str, dict[str, Any]] = {
    "Mixed_5b": block_35(32),
    "Mixed_5c": block_35(64),
    "Mixed_5d": block_35(64),
    "Mixed_6a": reduction_35(),
    "Mixed_6b": block_17(128),
    "Mixed_6c": block_17(160),
    "Mixed_6d": block_17(160),
    "Mixed_6e": block_17(192),
    "Mixed_7a": reduction_17(),
    "Mixed_7b": block_8("average"),
    "Mixed_7c": block_8("max"),
}
"""By the names of torchvision."""


class InceptionV3(nn.Module):
    """See the module.

    Attributes:
        dtype: dtype of computation.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "batch 299 299 3"]) -> Outputs:
        """Features and logits of RGB images in [-1, 1], float32."""
        x = images.astype(self.dtype)
        for name, features, kernel, strides, padding in (
            ("Conv2d_1a_3x3", 32, 3, 2, "VALID"),
            ("Conv2d_2a_3x3", 32, 3, 1, "VALID"),
            ("Conv2d_2b_3x3", 64, 3, 1, "SAME"),
            ("Conv2d_3b_1x1", 80, 1, 1, "VALID"),
            ("Conv2d_4a_3x3", 192, 3, 1, "VALID"),
        ):
            x = ConvNorm(features, (kernel, kernel), strides, padding, dtype=self.dtype, name=name)(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = nn.max_pool(x, (3, 3), (2, 2))
        for name, fields in BLOCKS.items():
            x = Branches(**fields, dtype=self.dtype, name=name)(x)
        features = x.astype(jnp.float32).mean((1, 2))
        return Outputs(features, nn.Dense(LOGITS, name="fc")(features))


def is_inception(weights: Weights) -> bool:
    """Whether a file has the names of such a network, of torchvision."""
    return "Conv2d_1a_3x3.conv.weight" in weights.arrays


def from_torch(path: Path, weights: Weights) -> dict[str, Any]:
    """The variables of `InceptionV3` from a file with the names of torchvision.

    Such a file is pytorch-fid's `pt_inception-2015-12-05-6726825d.pth`.

    Raises:
        UsageError: an array is missing or has another shape.
    """
    wanted = jax.eval_shape(InceptionV3().init, jax.random.key(0), jnp.zeros((1, SIZE, SIZE, 3)))

    def find(where: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        _, *folders, last = (key.key for key in where)
        their = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
        name = ".".join([*folders, their[last]])
        if name not in weights.arrays:
            raise UsageError(f"{path} does not hold the weights of Inception v3: there is no {name}.")
        array = weights.arrays[name].astype(np.float32)
        if last == "kernel":
            array = array.transpose((2, 3, 1, 0) if array.ndim == 4 else (1, 0))
        if array.shape != leaf.shape:
            hint = " (torchvision's own network has 1,000 logits)" if folders == ["fc"] else ""
            raise UsageError(
                f"{path} does not hold the weights of this Inception v3: {name} is {array.shape} and not "
                f"{leaf.shape}{hint}."
            )
        return array

    return jax.tree_util.tree_map_with_path(find, wanted)
