"""Pairs of networks for two-player GANs, by name: each a function of image size, colours, width and dtype."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Literal, NamedTuple

import flax.linen as nn
from jax.typing import DTypeLike

from gdl_jax.layers.initializers import glorot_uniform, normal002, torch_uniform, torch_uniform_fan_out
from gdl_jax.layers.normalisation import BatchNorm, LayerNorm
from gdl_jax.networks.dcgan import Discriminator, Generator, batch_norm, leaky_relu
from gdl_jax.networks.dense_gan import DenseDiscriminator, DenseGenerator
from gdl_jax.networks.resnet_gan import ResNetCritic, ResNetGenerator


class Pair(NamedTuple):
    """The two networks of a GAN."""

    generator: nn.Module
    discriminator: nn.Module


def without_batch_norm(discriminator: nn.Module) -> nn.Module:
    """The discriminator with no norm over the batch; the residual critics have none to begin with."""
    has = {setting.name for setting in fields(discriminator)}
    return discriminator.clone(norm=None) if "norm" in has else discriminator


def small(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Two 4x4 blocks, for images of any size that 4 divides: the rules of Radford et al. at the size of digits."""
    blocks = {"kernels": (4, 4), "strides": (2, 2), "dtype": dtype}
    return Pair(
        Generator(start=(size // 4, size // 4, 2 * width), features=(width, channels), **blocks),
        Discriminator(features=(width, 2 * width), **blocks),
    )


def radford(size: int, channels: int, width: int, dtype: DTypeLike, *, blocks: int = 4) -> Pair:
    """Radford et al. 2016, figure 1, with the 5x5 kernels of the figure; the discriminator mirrors the generator."""
    settings = {"kernels": (5,) * blocks, "strides": (2,) * blocks, "dtype": dtype}
    widths = tuple(width * 2**i for i in reversed(range(blocks)))
    start = size // 2**blocks
    return Pair(
        Generator(start=(start, start, widths[0]), features=(*widths[1:], channels), **settings),
        Discriminator(features=widths[::-1], **settings),
    )


def valle(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Valle, chapter 3: leaky ReLU in the generator too, and Keras' batch norm."""
    norm = partial(BatchNorm, momentum=0.99, epsilon=1e-3)
    pair = radford(size, channels, width, dtype)
    return Pair(
        pair.generator.clone(norm=norm, start_norm=norm, activation=leaky_relu, start_activation=leaky_relu),
        pair.discriminator.clone(norm=norm),
    )


def valle_digits(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Valle, chapter 11: two 5x5 blocks, the sizes that suit digits."""
    blocks = {"kernels": (5, 5), "strides": (2, 2), "dtype": dtype}
    return Pair(
        Generator(start=(size // 4, size // 4, 2 * width), features=(width, channels), **blocks),
        Discriminator(features=(width, 2 * width), **blocks),
    )


def hjelm(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Hjelm et al. 2018, for digits: two 5x5 blocks, leaky ReLU, and no norm in either network.

    The initial kernels are Glorot's: no norm makes up for those of N(0, 0.02).
    """
    pair = valle_digits(size, channels, width, dtype)
    init = {"norm": None, "activation": leaky_relu, "kernel_init": glorot_uniform}
    return Pair(
        pair.generator.clone(start_norm=None, start_activation=leaky_relu, start_init=glorot_uniform, **init),
        pair.discriminator.clone(**init),
    )


def lanham(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Lanham, chapter 2: 4x4 kernels, no biases, PyTorch's initial parameters."""
    plain = {"kernels": (4,) * 4, "use_bias": False, "kernel_init": torch_uniform, "norm": BatchNorm}
    pair = radford(size, channels, width, dtype)
    return Pair(
        pair.generator.clone(start_init=torch_uniform_fan_out, start_norm=BatchNorm, **plain),
        pair.discriminator.clone(**plain),
    )


def lanham_upsampling(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Lanham, chapters 4 and 7: nearest up-sampling and 3x3 convolutions; dropout of channels before the norm.

    PyTorch's initial parameters; `lanham_features` has the others.
    The text's epsilon of 0.8 in batch normalisation is a slip for a momentum and is not repeated.
    The discriminator's last norm is in front of its last layer: where the image has shrunk to one pixel by then (of
    16x16), every batch has the same mean logit, and real and generated images are told apart in joint batches only.
    """
    g, d = 2 * width, max(1, width // 4)
    return Pair(
        Generator(
            start=(size // 4, size // 4, g),
            features=(g, width, channels),
            kernels=(3, 3, 3),
            strides=(2, 2, 1),
            upsampling="nearest",
            norm=BatchNorm,
            start_norm=BatchNorm,
            activation=leaky_relu,
            start_activation=None,
            kernel_init=torch_uniform,
            start_init=torch_uniform,
            dtype=dtype,
        ),
        Discriminator(
            features=(d, 2 * d, 4 * d, 8 * d),
            kernels=(3,) * 4,
            strides=(2,) * 4,
            padding=1,
            norm=BatchNorm,
            norm_last=True,
            dropout_rate=0.25,
            dropout_channels=True,
            kernel_init=torch_uniform,
            dtype=dtype,
        ),
    )


def lanham_features(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """`lanham_upsampling` with DCGAN's initial convolutions and norms, as the first exercise of chapter 4 has it."""
    pair = lanham_upsampling(size, channels, width, dtype)
    init = {"norm": batch_norm, "kernel_init": normal002}
    return Pair(
        pair.generator.clone(start_norm=batch_norm, **init),
        pair.discriminator.clone(last_init=torch_uniform, **init),
    )


def foster(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Foster, chapter 4, WGAN-GP: the first norm is over every unit of the projection on its own."""
    norm = partial(BatchNorm, epsilon=1e-3)
    pair = radford(size, channels, width, dtype)
    return Pair(
        pair.generator.clone(
            norm=norm,
            start_norm=partial(norm, axis=(-3, -2, -1)),
            activation=leaky_relu,
            start_activation=leaky_relu,
        ),
        pair.discriminator,
    )


def ganimals(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Foster, chapter 4, the first GAN: up-sampling in front of the first two of four 5x5 convolutions, ReLU, dropout.

    The text's listing enlarges in front of every convolution and so makes 112x112 pixels of 28x28; its figures do not.
    """
    norm = partial(BatchNorm, epsilon=1e-3)
    kernels = (5,) * 4
    return Pair(
        Generator(
            start=(size // 4, size // 4, width),
            features=(2 * width, width, width, channels),
            kernels=kernels,
            strides=(2, 2, 1, 1),
            upsampling="nearest",
            norm=norm,
            start_norm=partial(norm, axis=(-3, -2, -1)),
            dtype=dtype,
        ),
        Discriminator(
            features=(width, width, 2 * width, 2 * width),
            kernels=kernels,
            strides=(2, 2, 2, 1),
            norm=None,
            activation=nn.relu,
            dropout_rate=0.4,
            dtype=dtype,
        ),
    )


def foster_upsampling(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Foster, chapter 4, the GAN with clipped weights: three doublings by up-sampling, no norm in the critic."""
    norm = partial(BatchNorm, momentum=0.8, epsilon=1e-3)
    kernels = (5,) * 4
    return Pair(
        Generator(
            start=(size // 8, size // 8, 4 * width),
            features=(4 * width, 2 * width, width, channels),
            kernels=kernels,
            strides=(2, 2, 2, 1),
            upsampling="nearest",
            norm=norm,
            start_norm=partial(norm, axis=(-3, -2, -1)),
            activation=leaky_relu,
            start_activation=leaky_relu,
            dtype=dtype,
        ),
        Discriminator(
            features=(width, 2 * width, 4 * width, 4 * width),
            kernels=kernels,
            strides=(2, 2, 2, 1),
            norm=None,
            dtype=dtype,
        ),
    )


def jiang(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Jiang's convolutional GAN: no norm anywhere, wider towards the image, dropout in front of the last layer.

    It goes by the name of DCGAN there, whose rules it does not follow; those are `radford`'s. Images are in [-1, 1] and
    end in tanh here, and in [0, 1] and a sigmoid there: tanh x = 2 sigmoid(2 x) - 1, so that the functions are the same
    and the last layer starts half as steep.
    """
    init = {"kernel_init": glorot_uniform, "dtype": dtype}
    return Pair(
        Generator(
            start=(size // 8, size // 8, 2 * width),
            features=(2 * width, 4 * width, 8 * width, channels),
            kernels=(4, 4, 4, 5),
            strides=(2, 2, 2, 1),
            norm=None,
            start_norm=None,
            activation=leaky_relu,
            start_activation=None,
            start_init=glorot_uniform,
            **init,
        ),
        Discriminator(
            features=(width, 2 * width, 2 * width),
            kernels=(4,) * 3,
            strides=(2,) * 3,
            norm=None,
            last_dropout_rate=0.2,
            **init,
        ),
    )


def dense(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Lanham, chapter 2: three hidden layers each, dropout in the discriminator, no norm."""
    return Pair(
        DenseGenerator((size, size, channels), (4 * width, 8 * width, 16 * width), dtype=dtype),
        DenseDiscriminator((16 * width, 8 * width, 4 * width), (0.3,) * 3, dtype=dtype),
    )


def dense_norm(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Lanham, chapter 4: four hidden layers with batch norm in the generator, two without in the discriminator."""
    return Pair(
        DenseGenerator(
            (size, size, channels), (2 * width, 4 * width, 8 * width, 16 * width), norm=BatchNorm, dtype=dtype
        ),
        DenseDiscriminator((8 * width, 4 * width), dtype=dtype),
    )


def dense_labels(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Lanham, chapter 4, with labels: that generator, and three hidden layers with dropout in the discriminator."""
    pair = dense_norm(size, channels, width, dtype)
    return pair._replace(discriminator=DenseDiscriminator((8 * width,) * 3, (0.0, 0.4, 0.4), dtype=dtype))


def resnet(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Gulrajani et al. 2017, appendix F, at 32x32 pixels."""
    start = size // 8
    return Pair(
        ResNetGenerator(start=(start, start, width), features=(width,) * 3, channels=channels, dtype=dtype),
        ResNetCritic(features=(width,) * 4, dtype=dtype),
    )


def resnet_64(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Gulrajani et al. 2017, appendix E, at 64x64 pixels; the layer norm in the critic is as in the authors' code."""
    start = size // 16
    widths = (8 * width, 4 * width, 2 * width, width)
    return Pair(
        ResNetGenerator(start=(start, start, 8 * width), features=widths, channels=channels, dtype=dtype),
        ResNetCritic(
            stem=width,
            features=(*widths[-2::-1], 8 * width),
            halvings=4,
            pool="flatten",
            image_norm=partial(LayerNorm, axes=(-3, -2, -1)),
            dtype=dtype,
        ),
    )


def spectral_resnet(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Miyato et al. 2018, table 4, at 32x32 pixels: SNGAN's, the generator twice as wide as the discriminator."""
    start = size // 8
    return Pair(
        ResNetGenerator(start=(start, start, 2 * width), features=(2 * width,) * 3, channels=channels, dtype=dtype),
        ResNetCritic(features=(width,) * 4, pool="sum", spectral=True, dtype=dtype),
    )


def spectral_resnet_64(size: int, channels: int, width: int, dtype: DTypeLike) -> Pair:
    """Miyato et al. 2018, at 64x64 pixels, as in the authors' code."""
    start = size // 16
    widths = tuple(width * 2**i for i in range(5))
    return Pair(
        ResNetGenerator(start=(start, start, widths[-1]), features=widths[-2::-1], channels=channels, dtype=dtype),
        ResNetCritic(features=widths, halvings=5, pool="sum", spectral=True, dtype=dtype),
    )


ARCHITECTURES: dict[str, tuple[Callable[..., Pair], int]] = {
    "small": (small, 4),
    "radford": (radford, 16),
    "radford_128": (partial(radford, blocks=5), 32),
    "valle": (valle, 16),
    "valle_digits": (valle_digits, 4),
    "hjelm": (hjelm, 4),
    "lanham": (lanham, 16),
    "lanham_upsampling": (lanham_upsampling, 4),
    "lanham_features": (lanham_features, 4),
    "foster": (foster, 16),
    "foster_upsampling": (foster_upsampling, 8),
    "ganimals": (ganimals, 4),
    "jiang": (jiang, 8),
    "dense": (dense, 1),
    "dense_norm": (dense_norm, 1),
    "dense_labels": (dense_labels, 1),
    "resnet": (resnet, 8),
    "resnet_64": (resnet_64, 16),
    "spectral_resnet": (spectral_resnet, 8),
    "spectral_resnet_64": (spectral_resnet_64, 32),
}
"""The builder of each pair, and what the image size has to be a multiple of."""

Architecture = Literal[
    "small",
    "radford",
    "radford_128",
    "valle",
    "valle_digits",
    "hjelm",
    "lanham",
    "lanham_upsampling",
    "lanham_features",
    "foster",
    "foster_upsampling",
    "ganimals",
    "jiang",
    "dense",
    "dense_norm",
    "dense_labels",
    "resnet",
    "resnet_64",
    "spectral_resnet",
    "spectral_resnet_64",
]
