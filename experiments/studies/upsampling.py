"""A study of how images are enlarged, and of the checkerboards that come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from experiments.registry import Findings, Study, register
from experiments.studies.compiling import quick_jit
from gdl_jax.data.source import DataSettings, load
from gdl_jax.layers.convolution import ConvTranspose
from gdl_jax.layers.resampling import UpConv, Upsampling, upsample_bilinear, upsample_nearest
from gdl_jax.networks.dcgan import Generator
from gdl_jax.pictures.charts import INK, chart
from gdl_jax.steps.random import stream_key

KERNELS = (3, 4, 5)


def coverage(size: int, kernel: int, stride: int = 2) -> Float[np.ndarray, "out out"]:
    """Into how many sums of a transposed convolution each pixel of the large image enters: ones with a kernel of ones.

    It is even inside the image exactly where the stride divides the kernel.
    """
    layer = ConvTranspose(1, (kernel, kernel), stride, use_bias=False)
    params = {"kernel": jnp.ones((kernel, kernel, 1, 1))}
    return np.asarray(layer.apply({"params": params}, jnp.ones((1, size, size, 1))))[0, :, :, 0]


def unevenness(image: Float[np.ndarray, "*batch height width"], border: int = 4) -> float:
    """Share of the variance inside the border that repeats every two pixels; of independent pixels next to nothing."""
    inner = image[..., border:-border, border:-border].astype(np.float64)
    inner = inner - inner.mean(axis=(-2, -1), keepdims=True)
    phases = np.stack([inner[..., i::2, j::2].mean(axis=(-2, -1)) for i in range(2) for j in range(2)])
    return float(np.square(phases).mean() / np.square(inner).mean())


@register(
    "upsampling",
    paper="Odena, Dumoulin, Olah 2016, distill.pub/2016/deconv-checkerboard",
    systems=("F24", "S18", "J16"),
)
@dataclass(frozen=True, kw_only=True)
class UpsamplingStudy(Study):
    """Transposed convolutions against up-sampling and convolution: who covers pixels evenly, and what one sees of it.

        python -m experiments.run upsampling

    Shows how often a transposed convolution of stride 2 covers each pixel, by kernel; a digit enlarged without
    parameters; random layers on an even image; and what untrained generators make of random latent vectors. Prints the
    counts along a row of four pixels, and the share of the variance that repeats every two pixels.

    A kernel that the stride divides (4) covers the inside evenly and need not make a checkerboard; with 3 and 5 the
    untrained layer has one, which training would have to remove. Resizing and then convolving has none.
    """

    images: int = 32
    """Latent vectors for each untrained generator."""
    seed: int = 0
    """Of the untrained layers and the latent vectors."""

    positive: ClassVar[tuple[str, ...]] = ("images",)

    def run(self) -> Findings:
        """See `Study`."""
        maps = {kernel: coverage(4, kernel) for kernel in KERNELS}
        numbers: dict[str, float] = {}
        for kernel, image in maps.items():
            row = np.sqrt(np.diag(image))
            numbers |= {f"kernel_{kernel}/pixel_{i}": float(count) for i, count in enumerate(row)}
            inside = coverage(8, kernel)[4:-4, 4:-4]
            numbers[f"kernel_{kernel}/least_inside"] = float(inside.min())
            numbers[f"kernel_{kernel}/most_inside"] = float(inside.max())
        ways: dict[str, tuple[int, Upsampling]] = {f"transposed, kernel {k}": (k, "transposed") for k in KERNELS}
        ways |= {"nearest, kernel 5": (5, "nearest"), "bilinear, kernel 5": (5, "bilinear")}
        even, made = {}, {}
        for i, (name, (kernel, way)) in enumerate(ways.items()):
            key = jax.random.fold_in(stream_key(self.seed, "upsampling"), i)
            even[name] = self._on_an_even_image(key, kernel, way)
            made[name] = self._untrained(key, kernel, way)
            numbers[f"{name}/repeats_every_two_pixels"] = unevenness(made[name])
        text = (
            "Along a row a transposed convolution with stride 2 counts 1 2 2 2 2 2 2 1 with kernel 4, and unevenly "
            "with 3 and 5. Of the variance of untrained generators' images, what repeats every two pixels is "
            + ", ".join(f"{100 * numbers[f'{name}/repeats_every_two_pixels']:.1f} % ({name})" for name in ways)
            + "."
        )
        figures = {"coverage": _coverage(maps), "enlarged": _enlarged(), "untrained": _untrained_figure(even, made)}
        return Findings(numbers=numbers, figures=figures, text=text)

    def _on_an_even_image(self, key, kernel: int, way: Upsampling) -> Float[np.ndarray, "size size"]:
        layer = UpConv(1, kernel, 2, way, use_bias=False)
        x = jnp.ones((1, 8, 8, 4))
        return np.asarray(quick_jit(lambda: layer.init_with_output(key, x)[0])())[0, :, :, 0]

    def _untrained(self, key, kernel: int, way: Upsampling) -> Float[np.ndarray, "num size size"]:
        generator = Generator(
            (8, 8, 8), (8, 1), kernels=(kernel,) * 2, strides=(2, 2), upsampling=way, norm=None, start_norm=None
        )

        @quick_jit
        def make():
            z = jax.random.normal(key, (self.images, 16))
            variables = generator.init(key, z, train=False)
            # Wider than for training, so that there is something to see.
            wide = jax.tree.map(lambda p: 10 * p, variables)
            return generator.apply(wide, z, train=False)

        return np.asarray(make())[..., 0]


def _coverage(maps):
    figure, axes = chart(1, len(maps), width=10, height=3.5)
    for plot, (kernel, image) in zip(axes, maps.items(), strict=True):
        plot.imshow(image, cmap="Blues", vmin=0, vmax=9)
        for (row, column), value in np.ndenumerate(image):
            plot.text(
                column, row, f"{value:g}", ha="center", va="center", fontsize=8, color="white" if value > 5 else INK
            )
        even = "even inside" if kernel % 2 == 0 else "uneven"
        plot.set(title=f"Kernel {kernel}, stride 2: {even}", xticks=[], yticks=[])
        plot.grid(False)
    return figure


def _enlarged():
    image = load(DataSettings(size=8), "test").take(np.array([3]))["image"].astype(np.float32) / 255
    shown = {
        "8x8": image,
        "Nearest": np.asarray(upsample_nearest(upsample_nearest(jnp.asarray(image)))),
        "Bilinear": np.asarray(upsample_bilinear(upsample_bilinear(jnp.asarray(image)))),
    }
    figure, axes = chart(1, 3, width=9, height=3.3)
    for plot, (name, picture) in zip(axes, shown.items(), strict=True):
        plot.imshow(picture[0, :, :, 0], vmin=0, vmax=1)
        plot.set(title=name, xticks=[], yticks=[])
        plot.grid(False)
    return figure


def _untrained_figure(even, made):
    figure, axes = chart(2, len(even), width=12, height=5.2)
    for place, (name, image) in enumerate(even.items()):
        for plot, picture, title in (
            (axes[place], image, name.capitalize()),
            (axes[len(even) + place], made[name][0], "Untrained generator"),
        ):
            plot.imshow(picture)
            plot.set(title=title, xticks=[], yticks=[])
            plot.grid(False)
    return figure
