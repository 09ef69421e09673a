"""The networks of autoencoders: pairs of encoder and decoder by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import flax.linen as nn
from jax.typing import DTypeLike

from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.layers.activations import Activation
from gdl_jax.layers.initializers import normal002, scale002, torch_uniform
from gdl_jax.layers.normalisation import BatchNorm
from gdl_jax.networks.conv_autoencoder import ConvDecoder, ConvEncoder, batch_norm
from gdl_jax.networks.dense_autoencoder import DenseDecoder, DenseEncoder
from gdl_jax.networks.pooling_autoencoder import PoolingEncoder, Unpooling, UnpoolingDecoder


class Coders(NamedTuple):
    """The two networks of an autoencoder."""

    encoder: nn.Module
    decoder: nn.Module


@dataclass(frozen=True)
class Task:
    """What a pair of networks is built for.

    Attributes:
        shape: height, width and channels of the images; square.
        latent: size of a code.
        heads: codes of the encoder; two for a mean and a log-variance.
        outputs: channels of what the decoder gives.
        dtype: of the computation.
    """

    shape: tuple[int, int, int]
    latent: int
    heads: int
    outputs: int
    dtype: DTypeLike

    @property
    def size(self) -> int:
        """Side of the images."""
        return self.shape[0]


def jiang(task: Task) -> Coders:
    """Jiang's lecture: two strided convolutions with ReLU and 16 hidden units, or as many as the code has."""
    blocks = {"activation": nn.relu, "dtype": task.dtype}
    hidden = (max(16, task.latent),)
    return Coders(
        ConvEncoder(task.latent, task.heads, (32, 64), (3, 3), (2, 2), hidden=hidden, **blocks),
        ConvDecoder(
            start=(task.size // 4, task.size // 4, 64),
            features=(64, 32, task.outputs),
            kernels=(3, 3, 3),
            strides=(2, 2, 1),
            start_activation=nn.relu,
            **blocks,
        ),
    )


def foster(task: Task) -> Coders:
    """Foster, chapter 3, digits: four convolutions with leaky ReLU, and their mirror image."""
    start = (task.size // 4, task.size // 4, 64)
    return Coders(
        ConvEncoder(task.latent, task.heads, dtype=task.dtype),
        ConvDecoder(start, (64, 64, 32, task.outputs), dtype=task.dtype),
    )


def faces(task: Task, *, momentum: float = 0.9, dropout_rate: float = 0.0) -> Coders:
    """Foster, chapter 3, faces: four strided convolutions with batch norm and leaky ReLU, and their mirror image.

    The text has dropout too, in the decoder as well, where it is noise on the reconstruction, and a momentum of 0.99,
    by which the running statistics are still far from the batches' after hundreds of steps.
    """
    norm = partial(batch_norm, momentum=momentum)
    blocks = {"strides": (2,) * 4, "norm": norm, "dropout_rate": dropout_rate, "dtype": task.dtype}
    start = (task.size // 16, task.size // 16, 64)
    return Coders(
        ConvEncoder(task.latent, task.heads, **blocks), ConvDecoder(start, (64, 64, 32, task.outputs), **blocks)
    )


def dense(task: Task, *, hidden: tuple[int, ...], activation: Activation = nn.relu) -> Coders:
    """Dense layers, and the same in reverse order."""
    settings = {"activation": activation, "dtype": task.dtype}
    shape = (*task.shape[:2], task.outputs)
    return Coders(
        DenseEncoder(task.latent, task.heads, hidden, **settings), DenseDecoder(shape, hidden[::-1], **settings)
    )


def vincent(task: Task) -> Coders:
    """Vincent et al. 2008: a code of sigmoids and one Dense layer back. Their weights may be tied; these are not."""
    encoder, decoder = dense(task, hidden=())
    return Coders(encoder.clone(code_activation=nn.sigmoid), decoder)


def pooling(task: Task, *, unpooling: Unpooling = "repeat") -> Coders:
    """Two convolutions with max-pooling, and two transposed ones with unpooling (the order is Lee's)."""
    return Coders(
        PoolingEncoder(task.latent, return_switches=unpooling == "switch", dtype=task.dtype),
        UnpoolingDecoder((task.size // 4, task.size // 4, 8), (8, 16, task.outputs), unpooling, dtype=task.dtype),
    )


def lanham(task: Task) -> Coders:
    """Lanham, chapter 2: two convolutions with max-pooling to four channels, two 2x2 transposed ones with stride 2.

    The code is the small image. The blocks in the reconstructions come from the last two layers: an output pixel sees
    one cell of the code.
    """
    settings = {"kernel_init": torch_uniform, "dtype": task.dtype}
    return Coders(
        PoolingEncoder(None, (16, 4), **settings),
        ConvDecoder(
            start=(task.size // 4, task.size // 4, 4),
            features=(16, task.outputs),
            kernels=(2, 2),
            strides=(2, 2),
            activation=nn.relu,
            project=False,
            **settings,
        ),
    )


def lanham_dense(task: Task) -> Coders:
    """Lanham, chapter 2: 128, 64 and 12 units."""
    encoder, decoder = dense(task, hidden=(128, 64, 12))
    return Coders(encoder.clone(kernel_init=torch_uniform), decoder.clone(kernel_init=torch_uniform))


def lanham_vae(task: Task) -> Coders:
    """Lanham, chapter 3, after Ha and Schmidhuber 2018: convolutions without padding, for 64x64 images."""
    blocks = {"activation": nn.relu, "padding": "VALID", "strides": (2,) * 4, "dtype": task.dtype}
    return Coders(
        ConvEncoder(task.latent, task.heads, (32, 64, 128, 256), (4,) * 4, kernel_init=torch_uniform, **blocks),
        ConvDecoder((1, 1, 1024), (128, 64, 32, task.outputs), (5, 5, 6, 6), kernel_init=torch_uniform, **blocks),
    )


def hou(task: Task, *, features: tuple[int, ...] = (32, 64, 128, 256), start: int = 256) -> Coders:
    """Hou et al. 2017, figure 2: 4x4 convolutions with batch norm; nearest up-sampling, borders repeated, 3x3 ones."""
    norm, depth = partial(BatchNorm, scale_init=scale002), len(features)
    blocks = {"strides": (2,) * depth, "kernel_init": normal002, "dtype": task.dtype}
    blocks |= {"activation": partial(nn.leaky_relu, negative_slope=0.2)}
    return Coders(
        ConvEncoder(task.latent, task.heads, features, (4,) * depth, norm=norm, **blocks),
        ConvDecoder(
            start=(task.size // 2**depth, task.size // 2**depth, start),
            features=(*(start // 2**i for i in range(1, depth)), task.outputs),
            kernels=(3,) * depth,
            upsampling="nearest",
            padding="EDGE",
            norm=partial(norm, epsilon=1e-3),
            start_activation=nn.relu,
            **blocks,
        ),
    )


def hou_128(task: Task) -> Coders:
    """The network of Hou et al.'s code, for 128x128: a block more on either side, no activation before the codes."""
    encoder, decoder = hou(task, features=(32, 64, 128, 256, 256), start=512)
    return Coders(encoder.clone(activate_last=False), decoder)


ARCHITECTURES: dict[str, tuple[Callable[[Task], Coders], int]] = {
    "dense": (partial(dense, hidden=(400, 200), activation=nn.silu), 1),
    "hinton": (partial(dense, hidden=(1000, 500, 250)), 1),
    "jiang": (jiang, 4),
    "foster": (foster, 4),
    "faces": (faces, 16),
    "foster_faces": (partial(faces, momentum=0.99, dropout_rate=0.25), 16),
    "pooling_repeat": (pooling, 4),
    "pooling_corner": (partial(pooling, unpooling="corner"), 4),
    "pooling_switch": (partial(pooling, unpooling="switch"), 4),
    "vincent": (vincent, 1),
    "kingma": (partial(dense, hidden=(500,), activation=nn.tanh), 1),
    "lanham": (lanham, 4),
    "lanham_dense": (lanham_dense, 1),
    "lanham_vae": (lanham_vae, 64),
    "hou": (hou, 16),
    "hou_128": (hou_128, 32),
}
"""The builder of each pair, and the number that has to divide the side of its images."""


def build_coders(
    name: str, data: DataSpec, *, latent: int, heads: int, outputs_per_channel: int, dtype: DTypeLike
) -> Coders:
    """The pair of this name for such data.

    Raises:
        UsageError: the networks do not make images of this size.
    """
    builder, divisor = ARCHITECTURES[name]
    height, width, channels = data.image_shape
    if name == "lanham_vae" and (height, width) != (64, 64):
        raise UsageError(
            f"This autoencoder takes images of 64x64, and these are {height}x{width}; set --data.size to 64."
        )
    if height != width or height % divisor:
        raise UsageError(
            f"This autoencoder takes square images of a side that {divisor} divides, and these are {height}x{width}; "
            f"set --data.size to {max(1, round(height / divisor)) * divisor}."
        )
    return builder(Task(data.image_shape, latent, heads, outputs_per_channel * channels, dtype))
