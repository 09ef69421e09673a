"""What a metric sees of an image: its pixels, or the features of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Float, PyTree, UInt8
from PIL import Image

from gdl_jax.data.images import with_channels
from gdl_jax.data.transforms import scale
from gdl_jax.metrics.pixels import FEATURES, pixel_features, pixel_means
from gdl_jax.metrics.spill import blocks, spilled
from gdl_jax.steps.devices import local_rows, make_mesh, put, replicated, split_along

IMAGES_PER_CALL = 256
PIXELS_PER_CALL = 64 * 299 * 299
"""The most of both in one call, so that its memory is bounded; on accelerators, for every device."""

Resize = Literal["bicubic", "bilinear", "lanczos", "nearest"]
FILTERS: Mapping[Resize, tuple[Image.Resampling, str]] = {
    "bicubic": (Image.Resampling.BICUBIC, "bicubic"),
    "bilinear": (Image.Resampling.BILINEAR, "bilinear"),
    "lanczos": (Image.Resampling.LANCZOS, "lanczos3"),
    "nearest": (Image.Resampling.NEAREST, "nearest"),
}
"""Pillow's, which are antialiased but the last, and those of `jax.image.resize`."""

Images = UInt8[np.ndarray, "num height width channels"]
FloatImages = Float[Array, "num height width channels"]


class Seen(NamedTuple):
    """Of some images.

    Attributes:
        features: of each.
        log_probabilities: of the classes; None where they are not told.
    """

    features: Float[np.ndarray, "num units"]
    log_probabilities: Float[np.ndarray, "num classes"] | None = None


@dataclass(frozen=True)
class Features:
    """Numbers that stand for an image.

    Attributes:
        name: measures are called after it; of a network it ends in the first eight digits of `sha256`.
        description: what they are, for the protocol of a metric.
        see: images, 0 to 255 -> what is seen of them, part by part and in their order.
        sha256: of the network's weights, in hexadecimal digits; "" without weights.
        num_classes: whose log-probabilities are seen too; 0 for none.
        shape: height, width and channels of the images that are looked at, into which others are made; None for any.
        resize: the filter by which they are.
        traced: images with decimals, in [0, 1] -> their features, for what looks at small differences.
    """

    name: str
    description: str
    see: Callable[[Images], Iterator[Seen]]
    sha256: str = ""
    num_classes: int = 0
    shape: tuple[int, int, int] | None = None
    resize: Resize = "bicubic"
    traced: Callable[[FloatImages], Float[Array, "num units"]] | None = None

    @property
    def tells_classes(self) -> bool:
        """Whether log-probabilities are seen."""
        return self.num_classes > 0

    def treatment(self, shape: tuple[int, int, int]) -> str:
        """What is done to images of this shape before they are looked at, for the protocol of a metric."""
        if self.shape is None or self.shape == shape:
            return "none"
        wanted = "x".join(map(str, self.shape))
        if self.shape[:2] == shape[:2]:
            return f"channels only, to {wanted}"
        how = "nearest" if self.resize == "nearest" else f"{self.resize}, antialiased"
        return f"{how}, to {wanted}, rounded to 8 bits"

    def look(self, images: Images) -> Seen:
        """At all images; the arrays lie in files, see `spilled`.

        Raises:
            ValueError: there is no image.
            OSError: the disk is full.
        """
        return Seen(*spilled(tuple(x for x in seen if x is not None) for seen in self.see(images)))

    def of(self, images: Images) -> Float[np.ndarray, "num units"]:
        """The features alone."""
        return self.look(images).features

    def count(self, shape: tuple[int, int, int]) -> int:
        """How many there are of an image of this height, width and number of channels."""
        if self.traced is None:
            return self.of(np.zeros((1, *shape), np.uint8)).shape[1]
        return jax.eval_shape(self.traced, jax.ShapeDtypeStruct((1, *shape), np.float32)).shape[1]

    @property
    def log_probabilities(self) -> Callable[[Images], Float[np.ndarray, "num classes"]] | None:
        """Images -> those of the classes alone; None where they are not told."""
        return (lambda images: self.look(images).log_probabilities) if self.tells_classes else None


def _see_pixels(images: Images) -> Iterator[Seen]:
    return (Seen(pixel_features(part)) for part in blocks(images, IMAGES_PER_CALL))


def _see_raw(images: Images) -> Iterator[Seen]:
    return (Seen(part.reshape(len(part), -1) / np.float32(255)) for part in blocks(images, IMAGES_PER_CALL))


RAW_PIXELS = Features(
    "raw_pixels", "all pixels in [0, 1]", _see_raw, traced=lambda images: images.reshape(len(images), -1)
)
PIXELS = Features(FEATURES, "8x8 cell means of the pixels in [0, 1]", _see_pixels, traced=pixel_means)


def network_features(
    name: str,
    description: str,
    network: Callable[[PyTree[Array], FloatImages], tuple[Array, Array | None]],
    variables: PyTree,
    *,
    shape: tuple[int, int, int],
    image_range: tuple[float, float],
    sha256: str = "",
    num_classes: int = 0,
    resize: Resize = "bicubic",
    mesh: Mesh | None = None,
) -> Features:
    """The features that a network gives images, in float32.

    Images go to the devices in batches of one size, split over the mesh; the last is filled up, and the filling is cut
    off again. All processes have to look at the same images.

    Args:
        name: of the features.
        description: what they are; the treatment of images of another shape is added to it.
        network: variables, images in `image_range` -> features (num, units), log-probabilities (num, classes) or None.
        variables: of the network.
        shape: height, width and channels of its images; others are made so by `fitted`.
        image_range: of its images.
        sha256: of its weights.
        num_classes: whose log-probabilities it gives; 0 for none.
        resize: filter for images of another size.
        mesh: the devices; all of them by default.
    """
    mesh = mesh or make_mesh()
    size = images_per_call(shape, mesh)
    rows = local_rows(size, mesh)
    held = put(jax.tree.map(np.asarray, variables), replicated(mesh))

    def compute(variables: PyTree[Array], images: Array) -> list[Array]:
        # An accelerator's default is less than float32, and a metric is not to depend on where it is taken.
        with jax.default_matmul_precision("float32"):
            found = network(variables, scale(images, image_range))
        return [x.astype(np.float32) for x in found if x is not None]

    def traced(images: FloatImages) -> Float[Array, "num units"]:
        low, high = image_range
        return network(held, low + (high - low) * refitted(images, shape, resize))[0]

    compiled = jax.jit(compute, out_shardings=replicated(mesh))

    def see(images: Images) -> Iterator[Seen]:
        waiting: tuple[list[Array], int] | None = None
        for part in blocks(images, size):
            filled = np.zeros((size, *shape), np.uint8)
            filled[: len(part)] = fitted(part, shape, resize)
            # The devices work on this part while the one before is read and the next one is resized.
            begun = compiled(held, put(filled[rows], split_along(mesh, 0))), len(part)
            if waiting is not None:
                yield _read(*waiting)
            waiting = begun
        if waiting is not None:
            yield _read(*waiting)

    height, width, channels = shape
    filtered = resize if resize == "nearest" else f"{resize}, antialiased"
    treatment = f"images of another shape made {height}x{width}x{channels} ({filtered}; ITU-R 601 luma)"
    return Features(name, f"{description}; {treatment}", see, sha256, num_classes, shape, resize, traced)


def _read(found: list[Array], num: int) -> Seen:
    return Seen(*(np.asarray(x)[:num] for x in found))


def images_per_call(shape: tuple[int, int, int], mesh: Mesh) -> int:
    """The rows of a batch: a multiple of the number of devices."""
    num = max(1, min(IMAGES_PER_CALL, PIXELS_PER_CALL // (shape[0] * shape[1])))
    # CPU devices share one memory and the same cores.
    num *= 1 if mesh.devices.flat[0].platform == "cpu" else mesh.size
    return -(-num // mesh.size) * mesh.size


def fitted(
    images: Images, shape: tuple[int, int, int], resize: Resize = "bicubic"
) -> UInt8[np.ndarray, "num {shape[0]} {shape[1]} {shape[2]}"]:
    """Images in another shape: resized by a filter of Pillow, made grey (ITU-R 601 luma) or RGB."""
    height, width, channels = shape
    images = with_channels(images, channels)
    if images.shape[1:3] == (height, width):
        return images
    planes = images.transpose(0, 3, 1, 2).reshape(-1, *images.shape[1:3])

    def resized(plane: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, "_height _width"]:
        return np.asarray(Image.fromarray(plane).resize((width, height), FILTERS[resize][0]))

    # Pillow lets other threads run meanwhile.
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(resized, planes))
    return np.stack(found).reshape(len(images), channels, height, width).transpose(0, 2, 3, 1)


def refitted(
    images: Float[Array, "num _height _width _channels"], shape: tuple[int, int, int], resize: Resize
) -> Float[Array, "num {shape[0]} {shape[1]} {shape[2]}"]:
    """The same of images with decimals, by the filter of `jax.image.resize`."""
    if images.shape[-1] > shape[-1]:
        images = images @ jnp.array([[0.299], [0.587], [0.114]])
    images = jnp.broadcast_to(images, (*images.shape[:3], shape[-1]))
    if images.shape[1:3] == shape[:2]:
        return images
    return jax.image.resize(images, (len(images), *shape), FILTERS[resize][1])
