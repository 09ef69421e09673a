"""The layers of `gdl_jax` in PyTorch, and the base of networks that are built of them.

Images are (batch, channels, height, width) in channels-last memory, so that flattening to (height, width, channels),
the order of the Flax networks, costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import flax.linen
import flax.traverse_util
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from benchmarks.peers import NoPeer
from gdl_jax.layers.convolution import Padding, explicit_padding
from gdl_jax.layers.normalisation import BatchNorm

ACTIVATIONS: dict[Any, Callable[[], nn.Module]] = {
    flax.linen.silu: nn.SiLU,
    flax.linen.tanh: nn.Tanh,
    jnp.tanh: nn.Tanh,
    flax.linen.sigmoid: nn.Sigmoid,
    None: nn.Identity,
}


def activation(function: Any, *, inplace: bool = True) -> nn.Module:
    """The module of a Flax activation; in place saves memory, except on a view, where PyTorch copies the whole."""
    if function is flax.linen.relu:
        return nn.ReLU(inplace)
    if isinstance(function, partial) and function.func is flax.linen.leaky_relu:
        return nn.LeakyReLU(function.keywords["negative_slope"], inplace)
    if function in ACTIVATIONS:
        return ACTIVATIONS[function]()
    raise NoPeer(f"the activation {function} has no counterpart here")


def dropout(rate: float, *, channels: bool = False) -> nn.Module:
    """Of units, or of whole channels; an identity where the rate is 0."""
    if not rate:
        return nn.Identity()
    return nn.Dropout2d(rate) if channels else nn.Dropout(rate)


class Conv(nn.Module):
    """Convolution with TensorFlow's SAME padding (or any other), which may be unequal before and after."""

    def __init__(self, size: int, channels: int, features: int, kernel: int, stride: int, padding: Padding, bias: bool):
        super().__init__()
        (before, after), _ = explicit_padding(padding, (size,) * 2, (kernel,) * 2, (stride,) * 2)
        self.pad = None if before == after else (before, after, before, after)
        self.layer = nn.Conv2d(channels, features, kernel, stride, 0 if self.pad else before, bias=bias)
        self.out_size = (size + before + after - kernel) // stride + 1

    def forward(self, x: Tensor) -> Tensor:
        """Applies it."""
        return self.layer(x if self.pad is None else F.pad(x, self.pad))


class UpConv(nn.Module):
    """Transposed convolution with SAME padding, or nearest up-sampling and a convolution."""

    def __init__(self, size: int, channels: int, features: int, kernel: int, stride: int, mirrored: Any):
        super().__init__()
        bias, padding = getattr(mirrored, "use_bias", True), getattr(mirrored, "padding", "SAME")
        self.size, self.grow, self.crop = size * stride, 1, False
        if mirrored.upsampling == "nearest" and padding != "EDGE":
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


class SpectrallyNormalised(nn.Module):
    """A kernel (outputs, ...) divided by its largest singular value: see `gdl_jax.layers.spectral_norm`.

    PyTorch's own iterates in every call. Here all calls of one update start from the same vector, until `keep`.
    """

    u: Tensor
    following: Tensor

    def __init__(self, outputs: int):
        super().__init__()
        for name in ("u", "following"):
            self.register_buffer(name, F.normalize(torch.randn(outputs), dim=0))

    def forward(self, kernel: Tensor) -> Tensor:
        """One iteration, which has no gradient, and the division, which has."""
        matrix = kernel.flatten(1)
        with torch.no_grad():
            u = F.normalize(matrix @ F.normalize(matrix.T @ self.u, dim=0), dim=0)
            v = F.normalize(matrix.T @ u, dim=0)
            self.following.copy_(u)
        return kernel / (u @ matrix @ v)


def spectral(layer: nn.Conv2d | nn.Linear) -> None:
    """Has a layer's kernel normalised wherever it is used."""
    parametrize.register_parametrization(layer, "weight", SpectrallyNormalised(len(layer.weight)))


@torch.no_grad()
def keep(network: nn.Module) -> None:
    """The next update starts from what this one came to."""
    for module in network.modules():
        if isinstance(module, SpectrallyNormalised):
            module.u.copy_(module.following)


def norm(factory: Any, shape: tuple[int, ...]) -> nn.Module:
    """The counterpart of a factory of `gdl_jax.layers.normalisation.BatchNorm`, for (height, width, channels) or units.

    PyTorch's running variance is the unbiased one; training normalises by the batch's, which is biased in both.
    """
    mirrored = factory()
    if type(mirrored) is not BatchNorm or not mirrored.affine:
        raise NoPeer(f"{mirrored} is not written in PyTorch")
    settings = {"eps": mirrored.epsilon, "momentum": 1 - mirrored.momentum}
    if mirrored.axis == -1:
        return (nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d)(shape[-1], **settings)
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
    return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x


def to_image(x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """From (batch, height * width * channels): a view in channels-last memory."""
    return x.view(-1, *shape).permute(0, 3, 1, 2)


class Network(nn.Module):
    """Layers by the names that Flax gives them, each kind being counted, and blocks that call them."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict()

    def add(self, kind: str, layer: nn.Module) -> Any:
        """The next layer of a kind."""
        number = sum(name.rpartition("_")[0] == kind for name in self.layers)
        self.layers[f"{kind}_{number}"] = layer
        return layer

    def add_norm(self, factory: Any, shape: tuple[int, ...]) -> nn.Module:
        """The next norm; an identity where the factory is None."""
        return nn.Identity() if factory is None else self.add("BatchNorm", norm(factory, shape))

    def add_dense(self, units: int, features: int, *, bias: bool = True, normalised: bool = False) -> nn.Linear:
        """The next dense layer."""
        layer = self.add("SpectralDense" if normalised else "Dense", nn.Linear(units, features, bias))
        if normalised:
            spectral(layer)
        return layer

    def add_conv(self, *arguments: Any, normalised: bool = False) -> Conv:
        """The next convolution; arguments of `Conv`."""
        layer = self.add("SpectralConv" if normalised else "Conv", Conv(*arguments))
        if normalised:
            spectral(layer.layer)
        return layer


def paired(network: Network, variables: Mapping[str, Any]) -> Iterator[tuple[str, Tensor, np.ndarray]]:
    """Every parameter (or vector of a spectral norm): its Flax name, itself, and the Flax value in PyTorch's layout.

    Kernels: (height, width, in, out) to (out, in, height, width); of a transposed convolution Flax has (height, width,
    out, in) and PyTorch (in, out, height, width), the same turn of the axes; dense (in, out) to (out, in).
    """
    for path, value in flax.traverse_util.flatten_dict(variables).items():
        module: nn.Module = network
        for name in path[:-1]:
            module = module.layers[name] if isinstance(module, Network) else module
        kinds = nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.modules.batchnorm._BatchNorm
        layer = next(inner for inner in module.modules() if isinstance(inner, kinds))
        array = np.asarray(value)
        if path[-1] == "kernel":
            array = array.transpose((3, 2, 0, 1) if array.ndim == 4 else (1, 0))
        found = _tensor(layer, path[-1])
        yield "/".join(path), found, array.reshape(found.shape)


def _tensor(layer: nn.Module, name: str) -> Tensor:
    if name == "bias":
        return layer.bias
    if not parametrize.is_parametrized(layer):
        return layer.weight
    return layer.parametrizations.weight[0].u if name == "u" else layer.parametrizations.weight.original


@torch.no_grad()
def copy_parameters(network: Network, params: Mapping[str, Any], vectors: Mapping[str, Any] | None = None) -> None:
    """Gives a network the parameters of the Flax network that it mirrors, and the vectors of its spectral norms."""
    left = {id(parameter) for parameter in network.parameters()}
    for _, parameter, value in paired(network, params):
        parameter.copy_(torch.from_numpy(value.copy()))
        left.remove(id(parameter))
    if left:
        raise ValueError(f"{len(left)} parameters of {type(network).__name__} have no counterpart.")
    for _, vector, value in paired(network, vectors or {}):
        vector.copy_(torch.from_numpy(value.copy()))
