"""The operations of a convolutional layer in PyTorch, on the same numbers as ours."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
import numpy as np
import torch
from jax import Array
from torch import Tensor
from torch.nn import functional

from benchmarks.measure import Contestant
from benchmarks.shapes import Shape
from experiments.hardware import cores

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Memory formats by rank; it is the fastest of PyTorch's, and has none for one axis of space."""


class Layer:
    """A layer as PyTorch has it.

    PyTorch pads symmetrically. Where another padding gives the same size, that is taken, for it costs the same;
    otherwise the image is padded by hand.
    """

    def __init__(self, shape: Shape):
        g = shape.geometry
        self.rank, self.groups = len(g.size), g.groups
        self.strides, self.dilation, self.transposed = list(g.strides), list(g.dilation), shape.transposed
        self.by_hand: list[int] = []
        self.extra = [0] * self.rank
        if shape.transposed:
            # Of the rows beyond the image, as many before as after, and one more row if that is one too many.
            surplus = [
                (m - 1) * s + e - n for m, s, e, n in zip(g.output_size, g.strides, g.extent, g.size, strict=True)
            ]
            self.padding = [-(-rows // 2) for rows in surplus]
            self.extra = [2 * pad - rows for pad, rows in zip(self.padding, surplus, strict=True)]
        else:
            self.padding = [-(-sum(pad) // 2) for pad in g.padding]
            sizes = [
                (n + 2 * pad - e) // s + 1
                for n, pad, e, s in zip(g.size, self.padding, g.extent, g.strides, strict=True)
            ]
            if tuple(sizes) != g.output_size:
                self.padding = [0] * self.rank
                self.by_hand = [side for pad in reversed(g.padding) for side in pad]

    def padded(self, x: Tensor) -> Tensor:
        """What the convolution sees."""
        return functional.pad(x, self.by_hand) if self.by_hand else x

    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        """The layer."""
        arguments = (self.strides, self.padding, self.dilation, self.transposed, self.extra, self.groups)
        return torch.ops.aten.convolution(self.padded(x), k, None, *arguments)

    def gradient(self, dy: Tensor, x: Tensor, k: Tensor, which: int) -> Tensor:
        """That of the input (0) or of the kernel (1)."""
        arguments = (self.strides, self.padding, self.dilation, self.transposed, self.extra, self.groups)
        wanted = [which == 0, which == 1, False]
        found = torch.ops.aten.convolution_backward(dy, self.padded(x), k, None, *arguments, wanted)[which]
        if which == 0 and self.by_hand:
            found = functional.pad(found, [-side for side in self.by_hand])
        return found


def contestant(shape: Shape, operation: str, operands: tuple[Array, Array]) -> Contestant:
    """The operation on the operands that ours takes."""
    torch.set_num_threads(cores())
    layer, (first, second) = Layer(shape), map(to_torch, operands)
    if operation == "forward":
        work = partial(layer.forward, channels_first(first), kernel_first(second))
    elif operation == "input gradient":
        x = empty((shape.batch, shape.channels[0], *shape.size), first.dtype)
        work = partial(layer.gradient, channels_first(first), x, kernel_first(second), 0)
    else:
        large, small = channels_first(first), channels_first(second)
        x, dy = (small, large) if shape.transposed else (large, small)
        k = empty((small.shape[1], large.shape[1] // shape.groups, *shape.kernel), first.dtype)
        work = partial(layer.gradient, dy, x, k, 1)

    def advance(calls: int) -> None:
        with torch.no_grad():
            for _ in range(calls):
                work()

    return Contestant(advance)


def to_torch(x: Array) -> Tensor:
    """The same numbers and dtype."""
    return torch.from_numpy(np.array(x.astype(jnp.float32))).to(getattr(torch, str(x.dtype)))


def channels_first(x: Tensor) -> Tensor:
    """(batch, *size, channels) -> (batch, channels, *size), in channels-last memory where PyTorch has that."""
    return x.movedim(-1, 1).contiguous(memory_format=_memory(x.ndim))


def kernel_first(k: Tensor) -> Tensor:
    """(*kernel, large / groups, small) -> (small, large / groups, *kernel), for both kinds of layer."""
    return k.movedim(-1, 0).movedim(-1, 1).contiguous(memory_format=_memory(k.ndim))


def empty(size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Of which only the size matters."""
    return torch.empty(size, dtype=dtype).contiguous(memory_format=_memory(len(size)))


def _memory(rank: int) -> torch.memory_format:
    return CHANNELS_LAST.get(rank, torch.contiguous_format)
