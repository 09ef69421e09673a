"""What a convolution does to the sizes of an image, and how its arrays are laid out."""

from __future__ import annotations

from typing import NamedTuple

from jax import lax


class Geometry(NamedTuple):
    """A convolution from an image of `size` to one of `output_size`: one entry per spatial axis."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    """(before, after)."""
    dilation: tuple[int, ...]
    """Steps between the pixels that neighbouring entries of the kernel see."""
    groups: int = 1
    """Into how many parts the channels fall that do not see each other."""

    @property
    def extent(self) -> tuple[int, ...]:
        """Pixels that the kernel spans."""
        return tuple((a - 1) * d + 1 for a, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def output_size(self) -> tuple[int, ...]:
        """floor((size + padding - extent) / stride) + 1."""
        sizes = zip(self.size, self.extent, self.strides, self.padding, strict=True)
        return tuple((n + sum(pad) - e) // s + 1 for n, e, s, pad in sizes)

    @property
    def taps(self) -> tuple[int, ...]:
        """Blocks of `strides` pixels that the kernel spans."""
        return tuple(-(-a // s) for a, s in zip(self.kernel, self.strides, strict=True))

    @property
    def phases(self) -> tuple[tuple[int, int], ...]:
        """The first and the last b of the pixels stride b + r - before of the image, for r below the stride."""
        sizes = zip(self.size, self.strides, self.padding, strict=True)
        return tuple((before // s, (before + n - 1) // s) for n, s, (before, _) in sizes)

    @property
    def phase_padding(self) -> tuple[tuple[int, int], ...]:
        """Of the output, where a convolution with stride one and the taps backwards gives the pixels of one r."""
        sizes = zip(self.phases, self.taps, self.output_size, strict=True)
        return tuple((t - 1 - first, last - (m - 1)) for (first, last), t, m in sizes)

    @property
    def is_dense(self) -> bool:
        """One group, no dilation."""
        return self.groups == 1 and set(self.dilation) == {1}

    @property
    def is_plain(self) -> bool:
        """Dense, and of stride one."""
        return self.is_dense and set(self.strides) == {1}


def layout(rank: int) -> lax.ConvDimensionNumbers:
    """(batch, *space, channels), (*space, in, out)."""
    space = tuple(range(1, rank - 1))
    image = (0, rank - 1, *space)
    return lax.ConvDimensionNumbers(image, (rank - 1, rank - 2, *range(rank - 2)), image)
