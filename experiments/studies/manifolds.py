"""A study of precision and recall where the manifold of the data is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtr
from jaxtyping import Float

from experiments.registry import Findings, Study, register
from gdl_jax.data.transforms import to_uint8
from gdl_jax.data.triangles import parameters_of, render
from gdl_jax.metrics.decoder import Decoder
from gdl_jax.metrics.manifold import THRESHOLD, distances_to_generator, distances_to_triangles, scores_of
from gdl_jax.metrics.neighbours import precision_recall
from gdl_jax.pictures.charts import INK, chart, legend_outside, strips
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.random import stream_key

SIZE = 28


class Fault(NamedTuple):
    """What is wrong with a generator.

    Attributes:
        spread: of its triangles over position, size and turn; 1 is that of the data.
        hole: share of the inside that is always missing.
        wavering: 1 where that share depends on a latent number besides.
    """

    spread: float
    hole: float
    wavering: float


GENERATORS = {
    "precise, diverse": Fault(1.0, 0.0, 0.0),
    "precise, not diverse": Fault(0.6, 0.0, 0.0),
    "diverse, malformed": Fault(1.0, 0.0, 1.0),
    "neither": Fault(0.6, 1.0, 0.0),
}


def generate(fault: Fault, latents: Float[Array, "num 5"]) -> Float[Array, "num size size 1"]:
    """Triangles of five latent numbers from N(0, 1): position, size, turn, and how much of the inside is missing."""
    uniform = 0.5 + fault.spread * (ndtr(latents[:, :4]) - 0.5)
    parameters = parameters_of(uniform, jnp)
    hole = fault.hole + fault.wavering * (1 - jnp.exp(-4 * latents[:, 4] ** 2))
    inner = parameters * jnp.array([[1, 1, 0.5, 1]])
    return (render(parameters, SIZE, jnp) - hole[:, None, None] * render(inner, SIZE, jnp))[..., None]


@register(
    "manifold",
    paper="Lucic et al. 2018, Are GANs Created Equal?; Valle, Hands-On GANs with Keras, chapter 4",
    systems=("S28",),
)
@dataclass(frozen=True, kw_only=True)
class Manifold(Study):
    """Precision, recall and F1 on triangles, whose manifold is known: a precise, a diverse, a good and a bad generator.

        python -m experiments.run manifold

    Shows what four generators draw that are made to fail in known ways, how far their samples are from the nearest
    triangle, and how far triangles are from the nearest that the generator has; both are found by descent. Prints
    precision, recall and F1 of Lucic et al., and beside them precision and recall by neighbours, which know no manifold
    and serve any data.

    Of a GAN: `dcgan --data.name triangles --data.size 28`, then `evaluate WORKDIR --metrics triangles`. The text leaves
    out the brackets of TP / (TP + FP) and TP / (TP + FN).
    """

    num: int = 32
    """Samples and triangles that are judged by descent."""
    threshold: float = THRESHOLD
    """Euclidean distance below which images in [0, 1] count as the same."""
    seed: int = 0
    """Of samples and data."""

    positive: ClassVar[tuple[str, ...]] = ("num", "threshold")
    limits: ClassVar[dict[str, tuple[float, float]]] = {"num": (16, 1024)}

    def run(self) -> Findings:
        """See `Study`."""
        rng = np.random.default_rng(self.seed)
        data = to_uint8(render(parameters_of(rng.uniform(size=(500, 4))), SIZE), (0.0, 1.0))[..., None]
        numbers, drawn, distances = {}, {}, {}
        for name, fault in GENERATORS.items():
            decoder = Decoder(lambda key, num: jax.random.normal(key, (num, 5)), generate, fault)
            made = decoder.images(decoder.latents(stream_key(self.seed, "samples"), len(data)))
            drawn[name] = to_uint8(np.asarray(made), (0.0, 1.0))
            to_data = distances_to_triangles(drawn[name][: self.num], restarts=4, steps=100)
            to_samples = distances_to_generator(
                decoder, data[: self.num], starts=1024, restarts=3, steps=100, seed=self.seed
            )
            distances[name] = to_data, to_samples
            exact = scores_of((to_data < self.threshold).mean(), (to_samples < self.threshold).mean())
            by_neighbours = precision_recall(*(x.reshape(len(x), -1) / np.float32(255) for x in (data, drawn[name])))
            numbers |= {f"{name}/{key}": value for key, value in exact._asdict().items()}
            numbers |= {f"{name}/{key}_by_neighbours": getattr(by_neighbours, key) for key in ("precision", "recall")}
        text = (
            "Precision falls where samples are no triangles, recall where triangles are missing, and F1 with either: "
            "a single number such as a distance between distributions does not tell the two apart."
        )
        figures = {
            "samples": strips({"data": data[:12]} | {name: images[:12] for name, images in drawn.items()}),
            "distances": self._distances(distances),
        }
        return Findings(numbers=numbers, figures=figures, text=text)

    def _distances(self, distances: dict[str, tuple[np.ndarray, np.ndarray]]):
        figure, axes = chart(1, 2, width=10, height=3.6, sharey=True)
        share = (np.arange(self.num) + 1) / self.num
        for i, (name, found) in enumerate(distances.items()):
            for plot, values in zip(axes, found, strict=True):
                plot.step(np.sort(values), share, where="post", color=PALETTE[i], label=name)
        titles = ("From samples to the nearest triangle", "From triangles to the nearest sample there can be")
        for plot, title in zip(axes, titles, strict=True):
            plot.axvline(self.threshold, color=INK, linestyle=":", linewidth=1, label="threshold")
            plot.set(title=title, xlabel="Euclidean distance", ylim=(0, 1.02), xlim=(0, None))
        axes[0].set_ylabel("share that is nearer")
        legend_outside(axes[0], 5)
        return figure
