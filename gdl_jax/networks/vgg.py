"""VGG-19 as a feature extractor (Simonyan and Zisserman 2015, arXiv:1409.1556, configuration E), and its weights."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.errors import UsageError
from gdl_jax.layers.convolution import Conv

BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
"""Convolutions and channels of each block."""

CONVOLUTIONS = tuple(
    (f"{block}_{number}", channels)
    for block, (convolutions, channels) in enumerate(BLOCKS, start=1)
    for number in range(1, convolutions + 1)
)
"""Number and channels of each convolution, in order: "1_1", "1_2", "2_1" ... "5_4"."""

Weights = Literal["keras", "torchvision"]
"""Whose training the weights are of: Keras' are the authors' own, torchvision's another one, with smaller features."""

WHERE_FROM = (
    "where torchvision is installed: python -c \"import numpy, torchvision; numpy.savez('vgg19.npz', **{k: v.numpy() "
    "for k, v in torchvision.models.vgg19(weights='DEFAULT').features.state_dict(prefix='features.').items()})\"; "
    "with Keras, save each layer's kernel and bias as block1_conv1/kernel, block1_conv1/bias ..."
)


class VGG19(nn.Module):
    """The feature maps of some layers, and nothing beyond the last of them.

    Convolutions are 3x3 with bias and zero padding, each followed by ReLU; after each block 2x2 pooling with stride 2.

    Attributes:
        layers: names of the maps, in the order of the network: "reluB_N" after the ReLU of block B's N-th convolution.
        weights: whose they are, which decides how images are prepared.
        pooling: "max" as published; "average" as in Gatys et al. 2016.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1")
    weights: Weights = "torchvision"
    pooling: Literal["max", "average"] = "max"
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "batch height width channels"]) -> tuple[Float[Array, "batch ..."], ...]:
        """The maps of RGB or grey images in [0, 1]; float32."""
        x = prepare(images, self.weights).astype(self.dtype)
        pool = {"max": nn.max_pool, "average": average_pool}[self.pooling]
        maps = []
        for number, channels in needed(self.layers):
            if number.endswith("_1") and number != "1_1":
                x = pool(x, (2, 2), (2, 2))
            settings = {"dtype": self.dtype, "param_dtype": self.param_dtype, "name": f"conv{number}"}
            x = nn.relu(Conv(channels, (3, 3), kernel_init=nn.initializers.he_normal(), **settings)(x))
            if f"relu{number}" in self.layers:
                maps.append(x.astype(jnp.float32))
        return tuple(maps)


def average_pool(x: Array, window: tuple[int, int], strides: tuple[int, int]) -> Array:
    """The means of the windows (Flax' own divides by an integer, which strict promotion refuses)."""
    return nn.pool(x, 0.0, lax.add, window, strides, "VALID") / math.prod(window)


def needed(layers: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Number and channels of the convolutions up to the last of the layers.

    Raises:
        ValueError: a layer that VGG-19 does not have, or layers out of order.
    """
    names = [f"relu{number}" for number, _ in CONVOLUTIONS]
    if not layers or [name for name in names if name in layers] != list(layers):
        raise ValueError(f"Layers of VGG-19 are some of {', '.join(names)}, in this order, and not {layers}.")
    return CONVOLUTIONS[: names.index(layers[-1]) + 1]


def prepare(
    images: Float[Array, "batch height width channels"], weights: Weights
) -> Float[Array, "batch height width 3"]:
    """What the weights' training made of RGB or grey images in [0, 1].

    Keras: BGR from 0 to 255 minus (103.939, 116.779, 123.68). Torchvision: RGB minus (0.485, 0.456, 0.406), over
    (0.229, 0.224, 0.225).
    """
    images = jnp.broadcast_to(images, (*images.shape[:3], 3))
    if weights == "keras":
        return 255 * images[..., ::-1] - jnp.array([103.939, 116.779, 123.68]).reshape(1, 1, 1, 3)
    mean, deviation = (jnp.array(x).reshape(1, 1, 1, 3) for x in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (images - mean) / deviation


def load_vgg19(path: Path, layers: tuple[str, ...]) -> tuple[Weights, dict[str, Any]]:
    """Whose weights a file holds, and the variables of `VGG19` for these layers.

    The file is an .npz with torchvision's names ("features.0.weight" of shape (out, in, 3, 3)) or Keras'
    ("block1_conv1/kernel" of shape (3, 3, in, out)).

    Raises:
        UsageError: there is no such file, it is damaged, or an array is missing or of another shape.
    """
    if not path.is_file():
        raise UsageError(f"There is no file {path} with the weights of VGG-19; to make one, {WHERE_FROM}.")
    try:
        with np.load(path) as file:
            weights: Weights = "torchvision" if "features.0.weight" in file.files else "keras"
            params, channels_in, index = {}, 3, 0
            for number, channels in needed(layers):
                if number.endswith("_1") and number != "1_1":
                    index += 1  # the pooling
                keras = f"block{number.replace('_', '_conv')}"
                kernel_name, bias_name = (
                    (f"features.{index}.weight", f"features.{index}.bias")
                    if weights == "torchvision"
                    else (f"{keras}/kernel", f"{keras}/bias")
                )
                kernel, bias = (np.asarray(file[name], np.float32) for name in (kernel_name, bias_name))
                if weights == "torchvision":
                    kernel = kernel.transpose(2, 3, 1, 0)
                if kernel.shape != (3, 3, channels_in, channels) or bias.shape != (channels,):
                    raise ValueError(f"{kernel_name} is {file[kernel_name].shape}, {bias_name} {bias.shape}")
                params[f"conv{number}"] = {"kernel": kernel, "bias": bias}
                channels_in, index = channels, index + 2
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} does not hold the weights of VGG-19 ({error}); to make it, {WHERE_FROM}.") from error
    return weights, {"params": params}
