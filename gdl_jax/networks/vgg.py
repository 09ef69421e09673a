"""VGG-16 and VGG-19 (Simonyan and Zisserman 2015, arXiv:1409.1556, configurations D and E), and their weights."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gdl_jax.errors import UsageError
from gdl_jax.layers.convolution import Conv
from gdl_jax.networks.weights import Arrays, Weights, read_weights

Depth = Literal[16, 19]
"""Layers with weights."""

CHANNELS = (64, 128, 256, 512, 512)
BLOCKS: Mapping[Depth, tuple[int, ...]] = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions of each block."""

HEAD = {"relu6": "fc6", "relu7": "fc7", "logits": "fc8"}
"""What comes out of the fully connected layers, and their names here."""

SIZE, POOLED = 224, 7
"""Side of the images for which the fully connected layers are made, and of the last maps then."""

Origin = Literal["keras", "torchvision"]
"""Whose training the weights are of: Keras' are the authors' own, torchvision's another one, with smaller features."""

WHERE_FROM = (
    'where torchvision is installed: python -c "import torch, torchvision; torch.save(torchvision.models.vgg{depth}('
    "weights='DEFAULT').state_dict(), 'vgg{depth}.pth')\"; or take the .h5 of keras.applications"
)


def convolutions(depth: Depth) -> tuple[tuple[str, int], ...]:
    """Number and channels of each convolution, in order: "1_1", "1_2", "2_1" ... "5_4"."""
    return tuple(
        (f"{block}_{number}", channels)
        for block, (count, channels) in enumerate(zip(BLOCKS[depth], CHANNELS, strict=True), start=1)
        for number in range(1, count + 1)
    )


class VGG(nn.Module):
    """The feature maps of some layers, and nothing beyond the last of them.

    Convolutions are 3x3 with bias and zero padding, each followed by ReLU; after each block 2x2 pooling with stride 2.
    Two fully connected layers with ReLU and one without follow, for images of 224x224 pixels. There is no dropout.

    Attributes:
        depth: 16 or 19.
        layers: names of the maps, in the order of the network: "reluB_N" after the ReLU of block B's N-th convolution,
            then "relu6", "relu7" and "logits".
        origin: of the weights, which decides how images are prepared.
        pooling: "max" as published; "average" as in Gatys et al. 2016.
        units: of the two hidden fully connected layers.
        classes: of the last one.
        dtype: dtype of computation.
        param_dtype: dtype of kernels and biases.
    """

    depth: Depth = 19
    layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1")
    origin: Origin = "torchvision"
    pooling: Literal["max", "average"] = "max"
    units: int = 4096
    classes: int = 1000
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, "batch height width channels"]) -> tuple[Float[Array, "batch ..."], ...]:
        """The maps of RGB or grey images in [0, 1]; float32."""
        x = prepare(images, self.origin).astype(self.dtype)
        pool = {"max": nn.max_pool, "average": average_pool}[self.pooling]
        settings = {"dtype": self.dtype, "param_dtype": self.param_dtype, "kernel_init": nn.initializers.he_normal()}
        found, head = needed(self.layers, self.depth)
        maps = {}
        for number, channels in found:
            if number.endswith("_1") and number != "1_1":
                x = pool(x, (2, 2), (2, 2))
            x = nn.relu(Conv(channels, (3, 3), **settings, name=f"conv{number}")(x))
            maps[f"relu{number}"] = x
        for layer in head:
            if layer == "relu6":
                x = pool(x, (2, 2), (2, 2)).reshape(len(x), -1)
            x = nn.Dense(self.classes if layer == "logits" else self.units, **settings, name=HEAD[layer])(x)
            x = x if layer == "logits" else nn.relu(x)
            maps[layer] = x
        return tuple(maps[layer].astype(jnp.float32) for layer in self.layers)


def average_pool(x: Array, window: tuple[int, int], strides: tuple[int, int]) -> Array:
    """The means of the windows (Flax' own divides by an integer, which strict promotion refuses)."""
    return nn.pool(x, 0.0, lax.add, window, strides, "VALID") / math.prod(window)


def needed(layers: tuple[str, ...], depth: Depth) -> tuple[tuple[tuple[str, int], ...], tuple[str, ...]]:
    """Number and channels of the convolutions up to the last of the layers, and the fully connected layers up to it.

    Raises:
        UsageError: a layer that the network does not have, or layers out of order.
    """
    found = convolutions(depth)
    names = [*(f"relu{number}" for number, _ in found), *HEAD]
    if not layers or [name for name in names if name in layers] != list(layers):
        raise UsageError(f"Layers of VGG-{depth} are some of {', '.join(names)}, in this order, and not {layers}.")
    last = names.index(layers[-1]) + 1
    return found[:last], tuple(names[len(found) : last])


def prepare(
    images: Float[Array, "batch height width channels"], origin: Origin
) -> Float[Array, "batch height width 3"]:
    """What the weights' training made of RGB or grey images in [0, 1].

    Keras: BGR from 0 to 255 minus (103.939, 116.779, 123.68). Torchvision: RGB minus (0.485, 0.456, 0.406), over
    (0.229, 0.224, 0.225).
    """
    images = jnp.broadcast_to(images, (*images.shape[:3], 3))
    if origin == "keras":
        return 255 * images[..., ::-1] - jnp.array([103.939, 116.779, 123.68]).reshape(1, 1, 1, 3)
    mean, deviation = (jnp.array(x).reshape(1, 1, 1, 3) for x in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (images - mean) / deviation


class Loaded(NamedTuple):
    """A network with its weights.

    Attributes:
        network: whose `layers` are those asked for.
        variables: of it.
        sha256: of the file.
    """

    network: VGG
    variables: dict[str, Any]
    sha256: str


def load_vgg(path: Path, layers: tuple[str, ...]) -> Loaded:
    """VGG-16 or VGG-19, whichever a file holds, up to the last of these layers.

    The file has the names of torchvision ("features.0.weight" of shape (out, in, 3, 3)) or of Keras ("block1_conv1" and
    a kernel of shape (3, 3, in, out) below it), in any format of `read_weights`.

    Raises:
        UsageError: see `read_weights`; an array is missing or of another shape, or the network has no such layer.
    """
    if not path.is_file():
        raise UsageError(
            f"There is no file {path} with the weights of VGG; to make one, {WHERE_FROM.format(depth=19)}."
        )
    return vgg_of(path, read_weights(path), layers)


def vgg_of(path: Path, weights: Weights, layers: tuple[str, ...]) -> Loaded:
    """See `load_vgg`."""
    origin, depth, arrays = _recognised(path, weights.arrays)
    found, head = needed(layers, depth)
    params, channels_in = {}, 3
    for number, channels in found:
        params[f"conv{number}"] = _layer(path, depth, arrays, f"conv{number}", (3, 3, channels_in, channels))
        channels_in = channels
    inputs = POOLED**2 * channels_in
    for name in (HEAD[layer] for layer in head):
        params[name] = _layer(path, depth, arrays, name, (inputs, inputs if name == "fc7" else None))
        inputs = params[name]["kernel"].shape[1]
    sizes = {"units": params["fc6"]["kernel"].shape[1]} if "fc6" in params else {}
    sizes |= {"classes": params["fc8"]["kernel"].shape[1]} if "fc8" in params else {}
    return Loaded(VGG(depth, layers, origin, **sizes), {"params": params}, weights.sha256)


def is_vgg(weights: Weights) -> bool:
    """Whether a file has the names of such a network, of torchvision or Keras."""
    return "features.0.weight" in weights.arrays or any("block1_conv1" in name for name in weights.arrays)


def has_head(weights: Weights) -> bool:
    """Whether such a file has the fully connected layers too."""
    return "classifier.0.weight" in weights.arrays or "fc6" in _of_keras(weights.arrays)


Layers = dict[str, dict[str, tuple[str, np.ndarray]]]
"""Of each layer by our name the kernel, as Flax has it, and the bias, with their names in the file."""


def _recognised(path: Path, arrays: Arrays) -> tuple[Origin, Depth, Layers]:
    if "features.0.weight" in arrays:
        # The fourth convolution of the third block is where the two part.
        depth: Depth = 19 if "features.16.weight" in arrays else 16
        return "torchvision", depth, _of_torchvision(arrays, depth)
    layers = _of_keras(arrays)
    if not layers:
        raise UsageError(
            f"{path} does not hold the weights of VGG: there is no features.0.weight as torchvision has it, and no "
            f"block1_conv1 as Keras has it; to make one, {WHERE_FROM.format(depth=19)}."
        )
    return "keras", 19 if "conv3_4" in layers else 16, layers


def _of_torchvision(arrays: Arrays, depth: Depth) -> Layers:
    names, index = {}, 0
    for number, _ in convolutions(depth):
        index += number.endswith("_1") and number != "1_1"  # the pooling
        names[f"conv{number}"] = f"features.{index}"
        index += 2
    names |= {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}

    def turned(layer: str, kernel: np.ndarray) -> np.ndarray:
        if layer == "fc6" and kernel.ndim == 2 and kernel.shape[1] % POOLED**2 == 0:
            # Its inputs are channels of rows of columns there, and rows of columns of channels here.
            kernel = kernel.reshape(len(kernel), -1, POOLED, POOLED).transpose(2, 3, 1, 0)
            return kernel.reshape(-1, kernel.shape[-1])
        return kernel.transpose((2, 3, 1, 0) if kernel.ndim == 4 else None)

    found: Layers = {}
    for layer, name in names.items():
        if (weight := f"{name}.weight") in arrays:
            found[layer] = {"kernel": (weight, turned(layer, arrays[weight]))}
        if (bias := f"{name}.bias") in arrays:
            found.setdefault(layer, {})["bias"] = (bias, arrays[bias])
    return found


def _of_keras(arrays: Arrays) -> Layers:
    """Names vary over its versions, as block1_conv1/block1_conv1_W_1:0 or .../kernel:0; the rank tells which it is."""
    ours = {"fc1": "fc6", "fc2": "fc7", "predictions": "fc8"}
    found: Layers = {}
    for name, array in arrays.items():
        match = re.search(r"(?:^|/)(?:block(\d)_conv(\d)|(fc1|fc2|predictions))(?=/|$)", name)
        if match and not name.startswith("optimizer_weights"):
            layer = ours[match[3]] if match[3] else f"conv{match[1]}_{match[2]}"
            found.setdefault(layer, {})["bias" if array.ndim == 1 else "kernel"] = (name, array)
    return found


def _layer(
    path: Path, depth: Depth, layers: Layers, layer: str, shape: tuple[int | None, ...]
) -> dict[str, np.ndarray]:
    """Kernel and bias; where the last number of the shape is None any will do."""
    said = f"{path} does not hold the weights of VGG-{depth}"
    found = layers.get(layer, {})
    for kind in ("kernel", "bias"):
        if kind not in found:
            raise UsageError(f"{said}: there is no {kind} of {layer}; to make one, {WHERE_FROM.format(depth=depth)}.")
    (kernel_name, kernel), (bias_name, bias) = found["kernel"], found["bias"]
    wanted = shape if shape[-1] is not None else (*shape[:-1], *kernel.shape[-1:])
    for name, array, its in ((kernel_name, kernel, wanted), (bias_name, bias, wanted[-1:])):
        if array.shape != its:
            raise UsageError(f"{said}: {name} is {array.shape} as Flax has it, and not {its}.")
    return {"kernel": np.asarray(kernel, np.float32), "bias": np.asarray(bias, np.float32)}
