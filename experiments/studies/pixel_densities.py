"""A study of naive Bayes on pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, UInt8

from experiments.registry import Findings, Study, register
from gdl_jax.data import wrodl
from gdl_jax.data.avatars import COLOURS, INDEX, draw_indices
from gdl_jax.data.source import ArraySource, DataSettings, load, resident
from gdl_jax.errors import UsageError
from gdl_jax.losses.likelihood import nats_to_bits_per_dimension
from gdl_jax.metrics.specifications import repeated, satisfied
from gdl_jax.models.density import NaiveBayes
from gdl_jax.pictures.charts import INK, SOFT, chart, legend_outside, strips
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.random import stream_key

HAIR = [index for name, index in INDEX.items() if name.startswith("hair")]
CLOTHES = [index for name, index in INDEX.items() if name.startswith("clothe ")]


@register(
    "pixel_naive_bayes",
    paper="naive Bayes; Foster, Generative Deep Learning, chapter 1",
    systems=("F05", "S21"),
)
@dataclass(frozen=True, kw_only=True)
class PixelNaiveBayes(Study):
    """Naive Bayes on pixels, which fails: pixels depend on each other, and it draws each on its own.

        python -m experiments.run pixel_naive_bayes
        TFDS_DATA_DIR=... python -m experiments.run pixel_naive_bayes --data.name mnist

    Shows ten faces of Planet Pixel (32x32 pixels, each one of 256 colours) over ten samples, a part of the table of
    pixels, a report of what a face has to satisfy, and the same for handwritten digits, with one model for all and with
    one per class. Prints the shares of the report, how much neighbouring pixels differ, and of the digits bits per
    dimension on the test set and the accuracy of the classes' models as a classifier by Bayes' rule: it classifies
    well, and draws badly.
    """

    data: DataSettings = DataSettings()
    """The second data set; it needs labels."""
    num_samples: int = 200
    """Faces drawn to be judged."""
    pseudo_count: float = 0.1
    """Added to every count where unseen pixels are judged, the digits of the test set."""
    seed: int = 0
    """Of the samples."""

    positive: ClassVar[tuple[str, ...]] = ("num_samples", "pseudo_count")

    def run(self) -> Findings:
        """See `Study`."""
        faces, numbers, figures = self._faces()
        digits, more_numbers, more_figures = self._digits()
        return Findings(numbers=numbers | more_numbers, figures=figures | more_figures, text=f"{faces}\n{digits}")

    def _faces(self) -> tuple[str, dict[str, float], dict]:
        rows = wrodl.load_rows()
        real = draw_indices(rows)
        model = NaiveBayes.fit(real.reshape(len(real), -1), [256] * real[0].size)
        drawn = model.sample(stream_key(self.seed, "faces"), self.num_samples)
        sampled = np.asarray(drawn, np.uint8).reshape(-1, *real.shape[1:])

        every = draw_indices(wrodl.every_style()).reshape(-1, real[0].size)
        valid = {picture.tobytes() for picture in every}
        same = (every == every[0]).all(axis=0)
        specification = {
            "is a face of the planet": lambda x: np.array([picture.tobytes() in valid for picture in x]),
            "has what all faces have": lambda x: (x.reshape(len(x), -1)[:, same] == every[0, same]).all(axis=1),
            "hair of one colour at most": lambda x: _inks(x, HAIR) <= 1,
            "clothes of one colour": lambda x: _inks(x, CLOTHES) == 1,
        }
        shares = {"real": satisfied(real, specification), "sampled": satisfied(sampled, specification)}
        numbers = {
            f"faces/{kind}/{name.replace(' ', '_')}": share for kind in shares for name, share in shares[kind].items()
        }
        for kind, pictures in (("real", real), ("sampled", sampled)):
            numbers[f"faces/{kind}/repeated"] = repeated(pictures)
            numbers[f"faces/{kind}/neighbour_difference"] = _neighbour_difference(COLOURS[pictures])
        text = (
            f"Faces: {len(model.log_probs) * 255:,} free numbers. What is the same on all faces survives; hair, "
            f"glasses and clothes become noise, each pixel from another face. Not one of {self.num_samples} samples is "
            "a face of the planet."
            if shares["sampled"]["is a face of the planet"] == 0
            else "Faces: some samples are faces of the planet."
        )
        figures = {
            "faces": strips(
                {"Faces of the planet": COLOURS[real[:10]], "Naive Bayes on pixels": COLOURS[sampled[:10]]}
            ),
            "pixels": _pixel_table(real[:10].reshape(10, -1)),
            "specification": _specification(shares),
        }
        return text, numbers, figures

    def _digits(self) -> tuple[str, dict[str, float], dict]:
        train, test = resident(load(self.data, "train")), resident(load(self.data, "test"))
        if "label" not in train.arrays:
            raise UsageError(f"{self.data.name!r} has no labels, which this study needs; choose another --data.name.")
        shape, labels = train.spec["image"].shape, train.arrays["label"]
        sizes = [256] * int(np.prod(shape))
        train_rows, test_rows = _flat(train), jnp.asarray(_flat(test))
        classes = [train_rows[labels == label] for label in range(len(train.classes))]
        key = stream_key(self.seed, "digits")

        drawn = _pictures(NaiveBayes.fit(train_rows, sizes).sample(key, 200), shape)
        of_class = jax.vmap(lambda model: model.sample(key, 1)[0])(_together(classes[:10], sizes))

        smoothed = NaiveBayes.fit(train_rows, sizes, pseudo_count=self.pseudo_count)
        nats = float(-smoothed.log_prob(test_rows).mean())
        fits = _together(classes, sizes, pseudo_count=self.pseudo_count)
        priors = np.log([len(rows) / len(labels) for rows in classes])
        joint = np.asarray(jax.lax.map(lambda model: model.log_prob(test_rows), fits)) + priors[:, None]
        accuracy = float((joint.argmax(axis=0) == test.arrays["label"]).mean())
        numbers = {
            "digits/bits_per_dimension": nats_to_bits_per_dimension(nats, len(sizes)),
            "digits/accuracy": accuracy,
            "digits/real/neighbour_difference": _neighbour_difference(train.arrays["image"]),
            "digits/sampled/neighbour_difference": _neighbour_difference(drawn),
        }
        text = (
            f"{self.data.name}: {numbers['digits/bits_per_dimension']:.2f} bits per dimension on the test set (a fair "
            f"choice of 256 greys: 8). One model per class classifies {accuracy:.1%} of the test set rightly by Bayes' "
            "rule, and draws clouds of dots all the same."
        )
        name = self.data.name.capitalize()
        first = [train.arrays["image"][labels == label][0] for label in range(len(classes[:10]))]
        images = {
            f"{name}, one of each class": np.stack(first),
            "Naive Bayes, one for all classes": drawn[:10],
            "Naive Bayes, one for each class": _pictures(of_class, shape),
        }
        return text, numbers, {"digits": strips(images)}


def _together(classes: list[UInt8[np.ndarray, "_n pixels"]], sizes: list[int], **options: float) -> NaiveBayes:
    """A model of each class, with the classes as first axis of its arrays."""
    fits = [NaiveBayes.fit(rows, sizes, **options) for rows in classes]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *fits)


def _inks(pictures: UInt8[np.ndarray, "n height width"], inks: list[int]) -> Int[np.ndarray, " n"]:
    """How many of these inks each picture has."""
    return sum((pictures == ink).any(axis=(1, 2)).astype(int) for ink in inks)


def _neighbour_difference(images: UInt8[np.ndarray, "n height width channels"]) -> float:
    """Mean absolute difference of pixels side by side, of a range of 0 to 1."""
    values = images.astype(np.float32) / 255
    return float(np.abs(np.diff(values, axis=2)).mean())


def _flat(source: ArraySource) -> UInt8[np.ndarray, "n pixels"]:
    return source.arrays["image"].reshape(len(source), -1)


def _pictures(rows: Int[jax.Array, "n pixels"], shape: tuple[int, ...]) -> UInt8[np.ndarray, "n ..."]:
    return np.asarray(rows, np.uint8).reshape(-1, *shape)


def _pixel_table(rows: UInt8[np.ndarray, "faces pixels"], first: int = 458, count: int = 10):
    figure, (axes,) = chart(width=7, height=3.8)
    part = rows[:, first : first + count]
    axes.imshow(COLOURS[part])
    for (face, pixel), index in np.ndenumerate(part):
        ink = "white" if COLOURS[index].mean() < 110 else INK
        axes.text(pixel, face, str(index), ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(range(count), [str(first + i) for i in range(count)])
    axes.set_yticks(range(len(part)))
    axes.set(xlabel="pixel", ylabel="face", title="Colours of ten neighbouring pixels", aspect="auto")
    axes.grid(False)
    return figure


def _specification(shares: dict[str, dict[str, float]]):
    figure, (axes,) = chart(width=7, height=3.2)
    names = list(shares["real"])
    for i, (kind, values) in enumerate(shares.items()):
        places = np.arange(len(names)) + 0.36 * (i - 0.5)
        axes.barh(places, [100 * values[name] for name in names], 0.34, color=PALETTE[i], label=kind)
        for place, name in zip(places, names, strict=True):
            axes.text(100 * values[name] + 1, place, f"{values[name]:.0%}", va="center", fontsize=8, color=SOFT)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="share of the pictures in percent", xlim=(0, 112), title="What a face has to satisfy")
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    legend_outside(axes, 2)
    return figure
