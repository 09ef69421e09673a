"""The networks of `gdl_jax.networks` in PyTorch, each built from the fields of the one that it mirrors."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import torch
import torch.nn.functional as F
from flax import linen
from torch import Tensor, nn

from benchmarks.peers import NoPeer
from benchmarks.peers.layers import Network, UpConv, activation, dropout, flat, to_image
from gdl_jax.networks.cnn import CNN
from gdl_jax.networks.conv_autoencoder import ConvDecoder, ConvEncoder
from gdl_jax.networks.dcgan import Discriminator, Generator
from gdl_jax.networks.dense_autoencoder import DenseDecoder, DenseEncoder
from gdl_jax.networks.dense_gan import DenseDiscriminator, DenseGenerator
from gdl_jax.networks.mlp import MLP
from gdl_jax.networks.resnet import ResidualBlock, ResNet

Shape = tuple[int, int, int]
"""Height, width, channels."""


WRITTEN = {
    *("features", "kernels", "strides", "padding", "norm", "norm_last", "activation", "spectral", "use_bias", "start"),
    *("dropout_rate", "dropout_channels", "last_dropout_rate", "hidden_dropout_rate", "dropout_rates", "upsampling"),
    *("start_norm", "start_activation", "output", "project", "latent", "heads", "hidden", "code_activation", "shape"),
    *("image_shape", "activate_last", "num_classes", "blocks", "width", "shortcut"),
    *("kernel_init", "start_init", "last_init", "dtype", "param_dtype", "parent", "name"),
}
"""The networks' fields that are followed, or that make no difference here; all others have to have their defaults."""


def mirror(network: linen.Module, takes: Any) -> Network:
    """A network in PyTorch.

    Args:
        network: that it mirrors.
        takes: the shape of the images that it is given, or the size of the vectors.

    Raises:
        NoPeer: it, or one of its settings, is not written.
    """
    kind = type(network)
    if kind not in MIRRORS:
        raise NoPeer(f"{kind.__name__} is not written in PyTorch")
    for setting in fields(kind):
        if setting.name not in WRITTEN and getattr(network, setting.name) != setting.default:
            raise NoPeer(f"{setting.name} of {kind.__name__} is not written in PyTorch")
    return MIRRORS[type(network)](network, takes)


class ConvNetwork(Network):
    """What encoders and discriminators have in common, and what decoders and generators have."""

    def shrink(self, mirrored: Any, shape: Shape, norms: list[Any]) -> int:
        """The blocks of an encoder or discriminator as `self.blocks`; the units of what comes out."""
        size, _, channels = shape
        blocks: list[nn.Module] = []
        lists = zip(mirrored.features, mirrored.kernels, mirrored.strides, norms, strict=True)
        for i, (features, kernel, stride, factory) in enumerate(lists, start=1):
            bias, normalised = getattr(mirrored, "use_bias", True), getattr(mirrored, "spectral", False)
            arguments = (size, channels, features, kernel, stride, mirrored.padding, bias)
            convolution = self.add_conv(*arguments, normalised=normalised)
            size, channels = convolution.out_size, features
            norm = self.add_norm(factory, (size, size, channels))
            dropped = dropout(mirrored.dropout_rate, channels=getattr(mirrored, "dropout_channels", False))
            is_activated = i < len(mirrored.features) or getattr(mirrored, "activate_last", True)
            rest = [activation(mirrored.activation if is_activated else None), dropped]
            norm_last = getattr(mirrored, "norm_last", False)
            blocks += [convolution, *rest, norm] if norm_last else [convolution, norm, *rest]
        self.blocks = nn.Sequential(*blocks)
        return size * size * channels

    def enlarge(self, mirrored: Any, latent: int, start_norm: Any) -> None:
        """The projection and the blocks of a decoder or generator as `self.start` and `self.blocks`."""
        self.shape = mirrored.start
        is_projected = getattr(mirrored, "project", True)
        bias = getattr(mirrored, "use_bias", True)
        self.project = self.add_dense(latent, math.prod(self.shape), bias=bias) if is_projected else nn.Identity()
        self.start = nn.Sequential(self.add_norm(start_norm, self.shape), activation(mirrored.start_activation))
        size, _, channels = self.shape
        blocks: list[nn.Module] = []
        lists = zip(mirrored.features, mirrored.kernels, mirrored.strides, strict=True)
        for i, (features, kernel, stride) in enumerate(lists, start=1):
            convolution = self.add("UpConv", UpConv(size, channels, features, kernel, stride, mirrored))
            size, channels = size * stride, features
            blocks.append(convolution)
            if i < len(mirrored.features):
                inplace = mirrored.norm is not None or not convolution.crop
                blocks.append(self.add_norm(mirrored.norm, (size, size, channels)))
                blocks.append(activation(mirrored.activation, inplace=inplace))
                blocks.append(dropout(getattr(mirrored, "dropout_rate", 0.0)))
        self.blocks = nn.Sequential(*blocks)

    def enlarged(self, z: Tensor) -> Tensor:
        """The small image, and the blocks."""
        return self.blocks(self.start(to_image(self.project(z), self.shape))).float()


class TorchGenerator(ConvNetwork):
    """Mirrors `gdl_jax.networks.dcgan.Generator`."""

    def __init__(self, mirrored: Generator, latent: int):
        super().__init__()
        self.enlarge(mirrored, latent, mirrored.start_norm)
        self.output = activation(mirrored.output)

    def forward(self, z: Tensor) -> Tensor:
        """Images."""
        return self.output(self.enlarged(z))


class TorchDiscriminator(ConvNetwork):
    """Mirrors `gdl_jax.networks.dcgan.Discriminator`."""

    def __init__(self, mirrored: Discriminator, shape: Shape):
        super().__init__()
        units = self.shrink(mirrored, shape, [None, *[mirrored.norm] * (len(mirrored.features) - 1)])
        self.last = nn.Sequential(
            dropout(mirrored.last_dropout_rate),
            self.add_dense(units, 1, bias=mirrored.use_bias, normalised=mirrored.spectral),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch,)."""
        return self.last(flat(self.blocks(x))).float()[:, 0]


class TorchEncoder(ConvNetwork):
    """Mirrors `gdl_jax.networks.conv_autoencoder.ConvEncoder`."""

    def __init__(self, mirrored: ConvEncoder, shape: Shape):
        super().__init__()
        units = self.shrink(mirrored, shape, [mirrored.norm] * len(mirrored.features))
        hidden: list[nn.Module] = []
        for size in mirrored.hidden:
            hidden += [self.add_dense(units, size), activation(mirrored.activation)]
            units = size
        self.hidden = nn.Sequential(*hidden)
        self.heads = nn.ModuleList(self.add_dense(units, mirrored.latent) for _ in range(mirrored.heads))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """One code per head."""
        x = self.hidden(flat(self.blocks(x)))
        return tuple(head(x).float() for head in self.heads)


class TorchDecoder(ConvNetwork):
    """Mirrors `gdl_jax.networks.conv_autoencoder.ConvDecoder`."""

    def __init__(self, mirrored: ConvDecoder, latent: int):
        super().__init__()
        self.enlarge(mirrored, latent, None)

    def forward(self, z: Tensor) -> Tensor:
        """Logits or means."""
        return self.enlarged(z)


class TorchMLP(Network):
    """Mirrors `gdl_jax.networks.mlp.MLP`."""

    def __init__(self, mirrored: MLP, takes: Shape | int):
        super().__init__()
        units = takes if isinstance(takes, int) else math.prod(takes)
        layers: list[nn.Module] = []
        for i, size in enumerate(mirrored.features, start=1):
            layers.append(self.add_dense(units, size))
            units = size
            if i < len(mirrored.features) or mirrored.activate_last:
                norm = self.add_norm(mirrored.norm, (size,))
                layers += [norm, activation(mirrored.activation), dropout(mirrored.dropout_rate)]
        self.all = nn.Sequential(*layers)
        self.units = units

    def forward(self, x: Tensor) -> Tensor:
        """(batch, units) of the last layer."""
        return self.all(flat(x)).float()


class TorchDenseEncoder(Network):
    """Mirrors `gdl_jax.networks.dense_autoencoder.DenseEncoder`."""

    def __init__(self, mirrored: DenseEncoder, shape: Shape):
        super().__init__()
        hidden = MLP(mirrored.hidden, mirrored.activation, activate_last=True)
        self.hidden = self.add("MLP", TorchMLP(hidden, shape))
        self.heads = nn.ModuleList(self.add_dense(self.hidden.units, mirrored.latent) for _ in range(mirrored.heads))
        self.activation = activation(mirrored.code_activation)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """One code per head."""
        x = self.hidden(x)
        return tuple(self.activation(head(x).float()) for head in self.heads)


class TorchDenseDecoder(Network):
    """Mirrors `gdl_jax.networks.dense_autoencoder.DenseDecoder`."""

    def __init__(self, mirrored: DenseDecoder, latent: int):
        super().__init__()
        layers = MLP((*mirrored.hidden, math.prod(mirrored.shape)), mirrored.activation)
        self.hidden, self.shape = self.add("MLP", TorchMLP(layers, latent)), mirrored.shape

    def forward(self, z: Tensor) -> Tensor:
        """Logits or means."""
        return to_image(self.hidden(z), self.shape)


class TorchDenseGenerator(Network):
    """Mirrors `gdl_jax.networks.dense_gan.DenseGenerator`."""

    def __init__(self, mirrored: DenseGenerator, latent: int):
        super().__init__()
        layers: list[nn.Module] = []
        units = latent
        for i, size in enumerate(mirrored.features):
            layers += [
                self.add_dense(units, size),
                self.add_norm(mirrored.norm if i else None, (size,)),
                activation(mirrored.activation),
                dropout(mirrored.dropout_rate),
            ]
            units = size
        self.shape, self.output = mirrored.image_shape, activation(mirrored.output)
        self.all = nn.Sequential(*layers, self.add_dense(units, math.prod(self.shape)))

    def forward(self, z: Tensor) -> Tensor:
        """Images."""
        return to_image(self.output(self.all(z).float()), self.shape)


class TorchDenseDiscriminator(Network):
    """Mirrors `gdl_jax.networks.dense_gan.DenseDiscriminator`."""

    def __init__(self, mirrored: DenseDiscriminator, shape: Shape):
        super().__init__()
        layers: list[nn.Module] = []
        units = math.prod(shape)
        rates = mirrored.dropout_rates or (0.0,) * len(mirrored.features)
        for i, (size, rate) in enumerate(zip(mirrored.features, rates, strict=True)):
            layers += [
                self.add_dense(units, size, normalised=mirrored.spectral),
                self.add_norm(mirrored.norm if i else None, (size,)),
                activation(mirrored.activation),
                dropout(rate),
            ]
            units = size
        self.all = nn.Sequential(*layers, self.add_dense(units, 1, normalised=mirrored.spectral))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch,)."""
        return self.all(flat(x)).float()[:, 0]


class TorchCNN(Network):
    """Mirrors `gdl_jax.networks.cnn.CNN`."""

    def __init__(self, mirrored: CNN, shape: Shape):
        super().__init__()
        size, _, channels = shape
        layers: list[nn.Module] = []
        for block in mirrored.blocks:
            arguments = (size, channels, block.features, block.kernel, block.strides, mirrored.padding, True)
            convolution = self.add_conv(*arguments)
            size, channels = convolution.out_size, block.features
            norm = self.add_norm(mirrored.norm, (size, size, channels))
            layers += [convolution, norm, activation(mirrored.activation)]
            if block.pool > 1:
                layers.append(nn.MaxPool2d(block.pool))
                size //= block.pool
            layers.append(dropout(block.dropout_rate, channels=True))
        self.blocks = nn.Sequential(*layers)
        dense = MLP(
            (*mirrored.hidden, mirrored.num_classes),
            mirrored.activation,
            dropout_rate=mirrored.hidden_dropout_rate,
            norm=mirrored.norm,
        )
        self.dense = self.add("MLP", TorchMLP(dense, (size, size, channels)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes)."""
        return self.dense(self.blocks(x))


class TorchResidualBlock(Network):
    """Mirrors `gdl_jax.networks.resnet.ResidualBlock`."""

    def __init__(self, mirrored: ResidualBlock, shape: Shape):
        super().__init__()
        size, _, channels = shape
        self.relu_last, self.stride, self.more = mirrored.relu_last, mirrored.strides, 0
        hidden = mirrored.hidden or mirrored.features
        first = self._conv(mirrored, size, channels, hidden, 3, mirrored.strides)
        size_after = first[0].out_size
        second = self._conv(mirrored, size_after, hidden, mirrored.features, 3, 1)
        self.residual = nn.Sequential(*first, nn.ReLU(inplace=True), *second)
        self.out_shape = (size_after, size_after, mirrored.features)
        self.shortcut: nn.Module = nn.Identity()
        if self.out_shape != shape:
            if mirrored.shortcut == "project":
                projected = self._conv(mirrored, size, channels, mirrored.features, 1, mirrored.strides)
                self.shortcut, self.stride = nn.Sequential(*projected), 1
            elif mirrored.shortcut == "pad":
                self.more = mirrored.features - channels
            else:
                raise NoPeer(f"a shortcut of the kind {mirrored.shortcut} is not written in PyTorch")

    def _conv(
        self, mirrored: ResidualBlock, size: int, channels: int, features: int, kernel: int, stride: int
    ) -> tuple[nn.Module, ...]:
        convolution = self.add_conv(size, channels, features, kernel, stride, kernel // 2, mirrored.use_bias)
        return convolution, self.add_norm(mirrored.norm, (convolution.out_size,) * 2 + (features,))

    def forward(self, x: Tensor) -> Tensor:
        """Applies the block."""
        y = self.residual(x)
        x = self.shortcut(x)[:, :, :: self.stride, :: self.stride]
        if self.more:
            x = F.pad(x, (0, 0, 0, 0, 0, self.more))
        return torch.relu(y + x) if self.relu_last else torch.relu(y) + x


class TorchResNet(Network):
    """Mirrors `gdl_jax.networks.resnet.ResNet`."""

    def __init__(self, mirrored: ResNet, shape: Shape):
        super().__init__()
        size, _, channels = shape
        stem = self.add_conv(size, channels, mirrored.width, 3, 1, "SAME", False)
        shape = (size, size, mirrored.width)
        layers = [stem, self.add_norm(mirrored.norm, shape), nn.ReLU(inplace=True)]
        for stage in range(3):
            for block in range(mirrored.blocks):
                settings = {"shortcut": mirrored.shortcut, "norm": mirrored.norm}
                strides = 2 if stage > 0 and block == 0 else 1
                residual = ResidualBlock(mirrored.width * 2**stage, strides=strides, **settings)
                layers.append(self.add("ResidualBlock", TorchResidualBlock(residual, shape)))
                shape = layers[-1].out_shape
        self.blocks = nn.Sequential(*layers)
        self.last = self.add_dense(shape[-1], mirrored.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes)."""
        return self.last(self.blocks(x).mean(dim=(2, 3))).float()


MIRRORS: dict[type[linen.Module], type[Network]] = {
    Generator: TorchGenerator,
    Discriminator: TorchDiscriminator,
    DenseGenerator: TorchDenseGenerator,
    DenseDiscriminator: TorchDenseDiscriminator,
    ConvEncoder: TorchEncoder,
    ConvDecoder: TorchDecoder,
    DenseEncoder: TorchDenseEncoder,
    DenseDecoder: TorchDenseDecoder,
    MLP: TorchMLP,
    CNN: TorchCNN,
    ResNet: TorchResNet,
}
