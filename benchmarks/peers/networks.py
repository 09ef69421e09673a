"""The convolutional networks of `gdl_jax.networks` in PyTorch, each built from the fields of the one that it mirrors.

Images are (batch, channels, height, width) in channels-last memory, so that flattening to (height, width, channels),
the order of the Flax networks, costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import flax.linen
import flax.traverse_util
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peers import NoPeer
from gdl_jax.layers.convolution import Padding, explicit_padding
from gdl_jax.networks.conv_autoencoder import ConvDecoder, ConvEncoder
from gdl_jax.networks.dcgan import Discriminator, Generator


def activation(function: Any, *, inplace: bool = True) -> nn.Module:
    """The module of a Flax activation; in place saves memory, except on a view, where PyTorch copies the whole."""
    if function is flax.linen.relu:
        return nn.ReLU(inplace)
    if isinstance(function, partial) and function.func is flax.linen.leaky_relu:
        return nn.LeakyReLU(function.keywords["negative_slope"], inplace)
    raise NoPeer(f"the activation {function} has no counterpart here")


class Conv(nn.Module):
    """Convolution with TensorFlow's SAME padding (or any other), which may be unequal before and after."""

    def __init__(self, size: int, channels: int, features: int, kernel: int, stride: int, padding: Padding, bias: bool):
        super().__init__()
        (before, after), _ = explicit_padding(padding, (size,) * 2, (kernel,) * 2, (stride,) * 2)
        self.pad = None if before == after else (before, after, before, after)
        self.layer = nn.Conv2d(channels, features, kernel, stride, 0 if self.pad else before, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Applies it."""
        return self.layer(x if self.pad is None else F.pad(x, self.pad))


class UpConv(nn.Module):
    """Transposed convolution with SAME padding, or nearest up-sampling and a convolution."""

    def __init__(self, size: int, channels: int, features: int, kernel: int, stride: int, mirrored: Any):
        super().__init__()
        bias, padding = getattr(mirrored, "use_bias", True), getattr(mirrored, "padding", "SAME")
        self.size, self.grow, self.crop = size * stride, 1, False
        if mirrored.upsampling == "nearest":
            self.grow = stride
            self.layer: nn.Module = Conv(self.size, channels, features, kernel, 1, padding, bias)
        elif mirrored.upsampling == "transposed" and padding == "SAME":
            (before, after), _ = explicit_padding("SAME", (self.size,) * 2, (kernel,) * 2, (stride,) * 2)
            self.crop = before != after
            self.layer = nn.ConvTranspose2d(channels, features, kernel, stride, before, bias=bias)
        else:
            raise NoPeer(f"{mirrored.upsampling} up-sampling with padding {padding} is not written")

    def forward(self, x: Tensor) -> Tensor:
        """Applies it; where the padding is unequal, one more row and column are cut off at the end."""
        if self.grow > 1:
            x = F.interpolate(x, scale_factor=self.grow, mode="nearest")
        x = self.layer(x)
        return x[:, :, : self.size, : self.size] if self.crop else x


def norm(factory: Any, shape: tuple[int, int, int]) -> nn.Module:
    """The counterpart of a factory of `gdl_jax.layers.normalisation.BatchNorm`, for (height, width, channels).

    PyTorch's running variance is the unbiased one; training normalises by the batch's, which is biased in both.
    """
    mirrored = factory()
    settings = {"eps": mirrored.epsilon, "momentum": 1 - mirrored.momentum}
    if mirrored.axis == -1:
        return nn.BatchNorm2d(shape[-1], **settings)
    if mirrored.axis == (-3, -2, -1):
        return UnitNorm(shape, **settings)
    raise NoPeer(f"batch norm over the axes {mirrored.axis} is not written")


class UnitNorm(nn.Module):
    """Batch norm of every unit of an image on its own."""

    def __init__(self, shape: tuple[int, int, int], **settings: float):
        super().__init__()
        self.norm = nn.BatchNorm1d(math.prod(shape), **settings)
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Applies it."""
        return to_image(self.norm(flat(x)), self.shape)


def flat(x: Tensor) -> Tensor:
    """To (batch, height * width * channels): a view, where the memory is channels-last."""
    return x.permute(0, 2, 3, 1).flatten(1)


def to_image(x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """From (batch, height * width * channels): a view in channels-last memory."""
    return x.view(-1, *shape).permute(0, 3, 1, 2)


class Network(nn.Module):
    """Layers by the kinds that Flax counts, each in the order in which Flax makes them, and blocks that call them."""

    def __init__(self):
        super().__init__()
        self.dense, self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()

    def add_norm(self, factory: Any, shape: tuple[int, int, int]) -> nn.Module:
        """The next norm; an identity where the factory is None."""
        if factory is None:
            return nn.Identity()
        self.norms.append(norm(factory, shape))
        return self.norms[-1]

    def shrink(self, mirrored: Any, shape: tuple[int, int, int], norms: list[Any]) -> int:
        """The blocks of an encoder or discriminator as `self.blocks`; the units of what comes out."""
        if mirrored.dropout_rate:
            raise NoPeer("dropout is not written")
        size, _, channels = shape
        blocks: list[nn.Module] = []
        lists = zip(mirrored.features, mirrored.kernels, mirrored.strides, norms, strict=True)
        for features, kernel, stride, factory in lists:
            bias = getattr(mirrored, "use_bias", True)
            convolution = Conv(size, channels, features, kernel, stride, mirrored.padding, bias)
            self.convolutions.append(convolution)
            ((before, after), _) = explicit_padding(mirrored.padding, (size,) * 2, (kernel,) * 2, (stride,) * 2)
            size, channels = (size + before + after - kernel) // stride + 1, features
            blocks += [convolution, self.add_norm(factory, (size, size, channels)), activation(mirrored.activation)]
        self.blocks = nn.Sequential(*blocks)
        return size * size * channels

    def enlarge(self, mirrored: Any, latent: int, start_norm: Any) -> None:
        """The projection and the blocks of a decoder or generator as `self.start` and `self.blocks`."""
        self.shape = mirrored.start
        self.dense.append(nn.Linear(latent, math.prod(self.shape), bias=getattr(mirrored, "use_bias", True)))
        start = mirrored.start_activation
        self.start = nn.Sequential(
            self.add_norm(start_norm, self.shape), activation(start) if start is not None else nn.Identity()
        )
        size, _, channels = self.shape
        blocks: list[nn.Module] = []
        lists = zip(mirrored.features, mirrored.kernels, mirrored.strides, strict=True)
        for i, (features, kernel, stride) in enumerate(lists, start=1):
            convolution = UpConv(size, channels, features, kernel, stride, mirrored)
            self.convolutions.append(convolution)
            size, channels = size * stride, features
            blocks.append(convolution)
            if i < len(mirrored.features):
                inplace = mirrored.norm is not None or not convolution.crop
                blocks.append(self.add_norm(mirrored.norm, (size, size, channels)))
                blocks.append(activation(mirrored.activation, inplace=inplace))
        self.blocks = nn.Sequential(*blocks)


class TorchGenerator(Network):
    """Mirrors `gdl_jax.networks.dcgan.Generator`."""

    def __init__(self, mirrored: Generator, latent: int):
        super().__init__()
        self.enlarge(mirrored, latent, mirrored.start_norm)

    def forward(self, z: Tensor) -> Tensor:
        """Images in [-1, 1]."""
        return torch.tanh(self.blocks(self.start(to_image(self.dense[0](z), self.shape))).float())


class TorchDiscriminator(Network):
    """Mirrors `gdl_jax.networks.dcgan.Discriminator`."""

    def __init__(self, mirrored: Discriminator, shape: tuple[int, int, int]):
        super().__init__()
        if mirrored.norm_last:
            raise NoPeer("a norm after the activation is not written")
        units = self.shrink(mirrored, shape, [None, *[mirrored.norm] * (len(mirrored.features) - 1)])
        self.dense.append(nn.Linear(units, 1, bias=mirrored.use_bias))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch,)."""
        return self.dense[0](flat(self.blocks(x))).float()[:, 0]


class TorchEncoder(Network):
    """Mirrors `gdl_jax.networks.conv_autoencoder.ConvEncoder`."""

    def __init__(self, mirrored: ConvEncoder, shape: tuple[int, int, int]):
        super().__init__()
        units = self.shrink(mirrored, shape, [mirrored.norm] * len(mirrored.features))
        self.hidden = len(mirrored.hidden)
        self.activation = activation(mirrored.activation)
        for size in mirrored.hidden:
            self.dense.append(nn.Linear(units, size))
            units = size
        self.dense.extend(nn.Linear(units, mirrored.latent) for _ in range(mirrored.heads))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """One code per head."""
        x = flat(self.blocks(x))
        for layer in self.dense[: self.hidden]:
            x = self.activation(layer(x))
        return tuple(head(x).float() for head in self.dense[self.hidden :])


class TorchDecoder(Network):
    """Mirrors `gdl_jax.networks.conv_autoencoder.ConvDecoder`."""

    def __init__(self, mirrored: ConvDecoder, latent: int):
        super().__init__()
        if mirrored.dropout_rate:
            raise NoPeer("dropout is not written")
        self.enlarge(mirrored, latent, None)

    def forward(self, z: Tensor) -> Tensor:
        """Logits or means."""
        return self.blocks(self.start(to_image(self.dense[0](z), self.shape))).float()


def paired(network: Network, params: Mapping[str, Any]) -> Iterator[tuple[str, nn.Parameter, np.ndarray]]:
    """Every parameter of a network: its Flax name, itself, and the Flax value in PyTorch's layout.

    Kernels: (height, width, in, out) to (out, in, height, width); of a transposed convolution Flax has (height, width,
    out, in) and PyTorch (in, out, height, width), the same turn of the axes; dense (in, out) to (out, in).
    """
    kinds = {"Conv": network.convolutions, "UpConv": network.convolutions, "BatchNorm": network.norms}
    for path, value in flax.traverse_util.flatten_dict(params).items():
        kind, _, number = path[0].partition("_")
        layers = [
            layer
            for layer in kinds.get(kind, network.dense)[int(number)].modules()
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.modules.batchnorm._BatchNorm)
        ]
        parameter = layers[0].bias if path[-1] == "bias" else layers[0].weight
        array = np.asarray(value)
        if path[-1] == "kernel":
            array = array.transpose((3, 2, 0, 1) if array.ndim == 4 else (1, 0))
        yield "/".join(path), parameter, array.reshape(parameter.shape)


@torch.no_grad()
def copy_parameters(network: Network, params: Mapping[str, Any]) -> None:
    """Gives a network the parameters of the Flax network that it mirrors."""
    left = {id(parameter) for parameter in network.parameters()}
    for _, parameter, value in paired(network, params):
        parameter.copy_(torch.from_numpy(value.copy()))
        left.remove(id(parameter))
    if left:
        raise ValueError(f"{len(left)} parameters of {type(network).__name__} have no counterpart.")
