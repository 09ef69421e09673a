"""A study of what a convolution does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from PIL import Image

from experiments.registry import Findings, Study, register
from gdl_jax.data.images import fit, pixels
from gdl_jax.layers.convolution import Conv
from gdl_jax.pictures.charts import SOFT, chart, legend_outside
from gdl_jax.pictures.curves import PALETTE

HORIZONTAL = np.float32([[1, 1, 1], [0, 0, 0], [-1, -1, -1]])
VERTICAL = np.float32([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])
PATCH = np.float32([[0.6, 0.2, 0.6], [0.1, -0.2, -0.3], [-0.5, -0.1, -0.3]])


def correlate(
    image: Float[np.ndarray, "height width"], kernel: Float[np.ndarray, "k k"], *, stride: int = 1, padding: int = 0
) -> Float[np.ndarray, "output_height output_width"]:
    """The definition: the sum of products of the kernel with every window of the image (nothing is flipped)."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, padding), kernel.shape)
    return np.einsum("ijkl,kl->ij", windows[::stride, ::stride], kernel)


def convolve(
    image: Float[np.ndarray, "height width"], kernels: Float[np.ndarray, "k k out"], stride: int, padding
) -> Float[np.ndarray, "output_height output_width out"]:
    """The same by the library's layer, one channel per kernel."""
    layer = Conv(kernels.shape[-1], kernels.shape[:2], strides=stride, padding=padding, use_bias=False)
    return np.asarray(layer.apply({"params": {"kernel": jnp.asarray(kernels[:, :, None])}}, image[None, :, :, None])[0])


@register(
    "convolution_mechanics",
    paper="Foster, Generative Deep Learning, chapter 2; Lanham, Generating a New Reality, chapter 2",
    systems=("F09", "LA35"),
)
@dataclass(frozen=True, kw_only=True)
class ConvolutionMechanics(Study):
    """Edge filters on a photograph, a kernel on its way over an image, and the sizes that come out.

        python -m experiments.run convolution_mechanics

    Shows a photograph and the responses to a filter for horizontal and one for vertical edges, with stride 1 and 2; a
    kernel's sums worked out; two layers of it; and the size of the output by padding and stride. Prints the response of
    the text's patch, 2.3, and of its negative, and how far the library is from the definition.

    What is called convolution is cross-correlation: the kernel is not flipped. The texts' photograph is another; this
    one comes with scikit-learn.
    """

    photograph: Literal["china", "flower"] = "china"
    """A temple, or a flower."""
    size: int = 64
    """Height and width of the image in pixels."""

    limits: ClassVar[dict[str, tuple[float, float]]] = {"size": (8, 512)}

    def run(self) -> Findings:
        """See `Study`."""
        from sklearn.datasets import load_sample_image

        photograph = fit(Image.fromarray(load_sample_image(f"{self.photograph}.jpg")), crop=None, size=self.size)
        image = pixels(photograph, 1)[..., 0].astype(np.float32) / 255
        kernels = np.stack([HORIZONTAL, VERTICAL], axis=-1)
        responses = {stride: convolve(image, kernels, stride, 1) for stride in (1, 2)}
        defined = {
            stride: np.stack([correlate(image, k, stride=stride, padding=1) for k in (HORIZONTAL, VERTICAL)], axis=-1)
            for stride in (1, 2)
        }
        five = np.zeros((5, 5), np.float32)
        numbers = {
            "patch/response": float(correlate(PATCH, HORIZONTAL)[0, 0]),
            "patch/response_of_the_negative": float(correlate(-PATCH, HORIZONTAL)[0, 0]),
            **{
                f"stride_{s}/largest_difference_from_definition": float(np.abs(responses[s] - defined[s]).max())
                for s in responses
            },
            **{f"stride_{s}/side_of_the_output": float(len(responses[s])) for s in responses},
            "side_5/same": float(len(convolve(five, kernels, 1, "SAME"))),
            "side_5/no_padding": float(len(convolve(five, kernels, 1, "VALID"))),
            "side_5/same_stride_2": float(len(convolve(five, kernels, 2, "SAME"))),
        }
        text = (
            "Where brightness changes from top to bottom the first filter answers, from left to right the second. "
            "Stride 2 halves each side. A 3x3 kernel leaves 3x3 of 5x5 pixels, and all 5x5 with a frame of zeros."
        )
        figures = {"edges": _edges(image, responses), "sliding": _sliding(), "sizes": _sizes()}
        return Findings(numbers=numbers, figures=figures, text=text)


def _edges(image, responses):
    figure, axes = chart(1, 5, width=12, height=2.9)
    axes[0].imshow(image, vmin=0, vmax=1)
    axes[0].set_title(f"Photograph, {len(image)}x{len(image)}")
    plots = iter(axes[1:])
    for stride, response in responses.items():
        for name, channel in zip(("Horizontal", "Vertical"), response.transpose(2, 0, 1), strict=True):
            plot = next(plots)
            shown = plot.imshow(channel, cmap="RdBu_r", vmin=-2.5, vmax=2.5)
            plot.set_title(f"{name}, stride {stride}")
    for plot in axes:
        plot.set(xticks=[], yticks=[])
        plot.grid(False)
    figure.colorbar(shown, ax=axes[-1], label="response", shrink=0.8)
    return figure


def _cells(axes, values, *, window: tuple[int, int, int] | None = None, title: str = "", limit: float = 3.0) -> None:
    """A matrix with its numbers; `window` (row, column, side) is framed."""
    from matplotlib.patches import Rectangle

    axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=0.6)
    for (row, place), value in np.ndenumerate(values):
        axes.text(place, row, f"{value:g}", ha="center", va="center", fontsize=8)
    if window is not None:
        row, place, side = window
        frame = Rectangle((place - 0.5, row - 0.5), side, side, fill=False, edgecolor=PALETTE[1], linewidth=2.5)
        axes.add_patch(frame)
    axes.set(xticks=[], yticks=[], title=title)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _sliding():
    image = np.zeros((7, 7), np.float32)
    image[:, 3:] = 1
    first = correlate(image, VERTICAL)
    second = correlate(first, np.float32([[1, 1, 1]] * 3) / 9)
    figure, axes = chart(1, 4, width=12, height=3.1, width_ratios=(7, 3, 5, 3))
    _cells(axes[0], image, window=(1, 1, 3), title="Image: dark, then bright")
    _cells(axes[1], VERTICAL, title="Kernel")
    _cells(axes[2], first, window=(1, 1, 1), title="Sums of products")
    _cells(axes[3], np.round(second, 2), title="Then a mean")
    return figure


def _sizes():
    """Where the kernel can stand: 5x5 pixels with and without a frame of zeros, stride 1 and 2."""
    from matplotlib.patches import Rectangle

    figure, axes = chart(1, 3, width=10, height=3.6)
    for plot, (name, padding, stride) in zip(
        axes, (("No padding: 3x3", 0, 1), ("Same, stride 1: 5x5", 1, 1), ("Same, stride 2: 3x3", 1, 2)), strict=True
    ):
        for row, column in np.ndindex(7, 7):
            inside = 1 <= row <= 5 and 1 <= column <= 5
            if inside or padding:
                style = {"facecolor": "#dbe6f3" if inside else "white", "edgecolor": SOFT, "linewidth": 0.7}
                plot.add_patch(Rectangle((column, row), 1, 1, **style))
                plot.text(column + 0.5, row + 0.5, "" if inside else "0", ha="center", va="center", color=SOFT)
        first = 2 - padding
        centres = np.arange(first, 7 - first, stride) + 0.5
        plot.scatter(*np.meshgrid(centres, centres), s=40, color=PALETTE[1], label="centres of the kernel")
        corner = first - 1
        frame = {"fill": False, "edgecolor": PALETTE[1], "linewidth": 2.2}
        plot.add_patch(Rectangle((corner, corner), 3, 3, **frame))
        plot.set(xlim=(-0.1, 7.1), ylim=(7.1, -0.1), aspect="equal", title=name)
        plot.set_axis_off()
    legend_outside(axes[0], 1)
    return figure
