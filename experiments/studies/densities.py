"""Studies of densities that are fitted by maximum likelihood in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from experiments.registry import Findings, Study, register
from gdl_jax.data import wrodl
from gdl_jax.data.avatars import draw_avatars
from gdl_jax.data.world import is_land, land_mask, land_points
from gdl_jax.models.density import Box, FullJoint, NaiveBayes
from gdl_jax.pictures.charts import INK, SOFT, chart, legend_outside, strips
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.pictures.grid import grid
from gdl_jax.steps.random import stream_key


@register(
    "box_density",
    paper="maximum likelihood: Fisher 1922; Foster, Generative Deep Learning, chapter 1",
    systems=("F01",),
)
@dataclass(frozen=True, kw_only=True)
class BoxDensity(Study):
    """A uniform box fitted to points on the land of a world map: the framework of generative modelling.

        python -m experiments.run box_density

    Shows points of an unknown density, the box of greatest likelihood, and what it generates on the map. Prints the
    log-likelihood, and how many generated points keep rule 1 (they look like the data: they are on land) and rule 2
    (they are no copies: no point of the data is near). The text says that a density has values in [0, 1]; that is so of
    probabilities alone.
    """

    num_points: int = 80
    """Points of the data."""
    num_samples: int = 2000
    """Points that are generated to be judged."""
    least_distance: float = 2.0
    """In degrees: a generated point nearer than this to one of the data counts as a copy."""
    seed: int = 0
    """Of the data and of what is generated."""

    positive: ClassVar[tuple[str, ...]] = ("num_points", "num_samples", "least_distance")
    limits: ClassVar[dict[str, tuple[float, float]]] = {"num_points": (2, 10_000), "num_samples": (1, 100_000)}

    def run(self) -> Findings:
        """See `Study`."""
        data = land_points(self.num_points, self.seed)
        box = Box.fit(jnp.asarray(data))
        log_likelihood = float(box.log_prob(data).sum())
        left_half = Box(jnp.array([-90.0, -180.0]), jnp.array([90.0, 0.0]))

        samples = np.asarray(box.sample(stream_key(self.seed, "box"), self.num_samples))
        on_land = is_land(samples)
        distance = np.linalg.norm(samples[:, None] - data, axis=-1).min(axis=1)
        new = distance >= self.least_distance
        numbers = {
            "log_likelihood": log_likelihood,
            "log_density": log_likelihood / self.num_points,
            "left_half/likelihood": float(jnp.exp(left_half.log_prob(data).sum())),
            "left_half/points_outside": float((data[:, 1] > 0).sum()),
            "rule_1/on_land": float(on_land.mean()),
            "rule_2/no_copy": float(new.mean()),
            "both_rules": float((on_land & new).mean()),
        }
        text = (
            f"The smallest box that holds all {self.num_points} points has the greatest likelihood. A box that leaves "
            "out a single one has likelihood 0.\n"
            f"Of what it generates {on_land.mean():.0%} is on land (rule 1) and {new.mean():.0%} is no copy (rule 2): "
            "it has the extent of the data and knows nothing of their shape."
        )
        examples = {
            "A: in the sea": np.argmax(~on_land * distance),
            "B: nearly a copy": np.argmin(np.where(on_land, distance, np.inf)),
            "C: on land and new": np.argmax(on_land * distance),
        }
        figures = {
            "points_and_box": _points_and_box(data, box),
            "map": _map(data, box, {name: samples[i] for name, i in examples.items()}),
        }
        return Findings(numbers=numbers, figures=figures, text=text)


def _plane(axes, title: str) -> None:
    axes.set(xlim=(-180, 180), ylim=(-90, 90), xlabel="longitude in degrees", ylabel="latitude in degrees", title=title)
    axes.set(aspect="equal", xticks=range(-180, 181, 60), yticks=range(-90, 91, 30))


def _draw_box(axes, box: Box) -> None:
    from matplotlib.patches import Rectangle

    (low_y, low_x), (high_y, high_x) = box.low.tolist(), box.high.tolist()
    style = {"facecolor": PALETTE[1] + "22", "edgecolor": PALETTE[1], "linewidth": 1.6, "zorder": 0.5}
    axes.add_patch(Rectangle((low_x, low_y), high_x - low_x, high_y - low_y, **style))


def _points_and_box(data: Float[np.ndarray, "n 2"], box: Box):
    figure, axes = chart(1, 2, width=10, height=3.1)
    for plot, title in zip(axes, ("Points of an unknown density", "The box of greatest likelihood"), strict=True):
        _plane(plot, title)
        plot.scatter(data[:, 1], data[:, 0], s=12, color=INK)
    _draw_box(axes[1], box)
    return figure


def _map(data: Float[np.ndarray, "n 2"], box: Box, examples: dict[str, Float[np.ndarray, " 2"]]):
    figure, (axes,) = chart(width=8, height=4.8)
    land = np.where(land_mask()[..., None], np.uint8([206, 210, 204]), np.uint8(255))
    axes.imshow(land, extent=(-180, 180, -90, 90))
    _plane(axes, "The density that the points came from, and what the box generates")
    axes.grid(False)
    _draw_box(axes, box)
    axes.scatter(data[:, 1], data[:, 0], s=8, color=SOFT, label="data")
    for i, (name, (latitude, longitude)) in enumerate(examples.items()):
        axes.scatter(longitude, latitude, s=90, marker="*", color=PALETTE[(4, 3, 0)[i]], label=name, zorder=3)
    legend_outside(axes, 4)
    return figure


WORN = wrodl.encode(
    accessoriesType="Round",
    clotheColor="White",
    clotheType="ShirtScoopNeck",
    hairColor="Red",
    topType="LongHairStraight",
)
"""A style that two of the faces wear."""
NEW = np.array([1, 1, 2, 4, 3], np.int32)
"""The same in Blue01, which none wears."""
STRANGE = wrodl.encode(
    accessoriesType="Blank", clotheColor="Red", clotheType="Hoodie", hairColor="Brown", topType="LongHairCurly"
)
"""One that none wears, of values that are all rare."""


@register(
    "wrodl",
    paper="naive Bayes and additive smoothing; Foster, Generative Deep Learning, chapter 1",
    systems=("F02", "F03", "F04"),
)
@dataclass(frozen=True, kw_only=True)
class Wrodl(Study):
    """Fashion of planet Wrodl: a table of all combinations against naive Bayes, with and without smoothing.

        python -m experiments.run wrodl

    Shows the fifty faces, how often each value occurs, and ten new styles of each model. Prints log-likelihoods in
    nats, the probabilities of three styles, how many samples are new, and how well each smoothed model foresees a face
    that is left out of its fit.

    The text prints ten of the fifty rows; the others are made up so that all its counts are right. Its smoothed table
    divides by 50 + 4,031, which does not sum to 1; here it is 50 + 4,032. Its worked example names White for the number
    of Blue01, 0.00098; of White it is 0.0054.
    """

    pseudo_count: float = 1.0
    """Added to every count by the smoothed models."""
    num_samples: int = 1000
    """Styles drawn to count the new ones."""
    seed: int = 0
    """Of the samples."""

    positive: ClassVar[tuple[str, ...]] = ("pseudo_count", "num_samples")

    def run(self) -> Findings:
        """See `Study`."""
        rows = wrodl.load_rows()
        fits = {
            "full_joint": (FullJoint, 0.0),
            "full_joint_smoothed": (FullJoint, self.pseudo_count),
            "naive_bayes": (NaiveBayes, 0.0),
            "naive_bayes_smoothed": (NaiveBayes, self.pseudo_count),
        }
        every = jnp.asarray(wrodl.every_style())
        numbers, styles = {"distinct_faces": float(len(np.unique(rows, axis=0)))}, {}
        for name, (family, pseudo_count) in fits.items():
            model = family.fit(rows, wrodl.SIZES, pseudo_count=pseudo_count)
            samples = np.asarray(model.sample(stream_key(self.seed, name), self.num_samples))
            styles[name] = samples[:10]
            worn, new, strange = jnp.exp(model.log_prob(jnp.stack([WORN, NEW, STRANGE]))).tolist()
            numbers |= {
                f"{name}/log_likelihood": float(model.log_prob(jnp.asarray(rows)).sum()),
                f"{name}/p_worn_twice": worn,
                f"{name}/p_never_worn": new,
                f"{name}/p_strange": strange,
                f"{name}/possible_styles": float(jnp.isfinite(model.log_prob(every)).sum()),
                f"{name}/new_samples": float(1 - _among(samples, rows).mean()),
            }
            if pseudo_count:
                numbers[f"{name}/left_out_log_prob"] = _left_out(family, rows, pseudo_count)
        numbers["uniform/left_out_log_prob"] = -float(np.log(len(every)))
        text = (
            "Without smoothing the table of all combinations only repeats the data. Smoothed, it gives all of the "
            f"{len(every) - int(numbers['distinct_faces'])} others the same chance: what is like the data is no "
            "likelier than what is strange.\n"
            f"Naive Bayes, of 23 free numbers, makes {numbers['naive_bayes/new_samples']:.0%} new styles of values "
            "that are worn, and gives a face that it has not seen "
            f"{numbers['naive_bayes_smoothed/left_out_log_prob']:.2f} nats, the table "
            f"{numbers['full_joint_smoothed/left_out_log_prob']:.2f}, chance "
            f"{numbers['uniform/left_out_log_prob']:.2f}."
        )
        titles = {name: name.replace("_", " ").capitalize().replace("bayes", "Bayes") for name in fits}
        figures = {
            "faces": grid(draw_avatars(rows, 72), columns=10),
            "counts": _counts(rows),
            "probabilities": _probabilities(numbers, titles),
            "new_styles": strips({title: draw_avatars(styles[name], 96) for name, title in titles.items()}),
        }
        return Findings(numbers=numbers, figures=figures, text=text)


def _among(samples: Int[np.ndarray, "n variables"], rows: Int[np.ndarray, "m variables"]) -> np.ndarray:
    """Whether each sample is one of the rows."""
    return (samples[:, None] == rows).all(axis=2).any(axis=1)


def _left_out(family: type[NaiveBayes | FullJoint], rows: Int[np.ndarray, "n variables"], pseudo_count: float) -> float:
    """Mean log-probability of each row under a fit to the others, in nats."""
    others = [np.delete(rows, i, axis=0) for i in range(len(rows))]
    fits = [family.fit(kept, wrodl.SIZES, pseudo_count=pseudo_count) for kept in others]
    return float(np.mean([fit.log_prob(jnp.asarray(row[None])) for fit, row in zip(fits, rows, strict=True)]))


def _counts(rows: Int[np.ndarray, "n 5"]):
    sizes = list(wrodl.SIZES)
    figure, axes = chart(2, 3, width=9, height=5)
    axes[-1].set_axis_off()
    for plot, (name, values), size, column in zip(axes, wrodl.ATTRIBUTES.items(), sizes, rows.T, strict=False):
        counts = np.bincount(column, minlength=size)
        plot.barh(values, counts, color=PALETTE[0], height=0.7)
        for place, count in enumerate(counts):
            plot.text(count + 0.4, place, str(count), va="center", fontsize=8, color=SOFT)
        plot.set(title=name, xlabel="faces of 50", xlim=(0, 27))
        plot.invert_yaxis()
        plot.grid(False)
    return figure


def _probabilities(numbers: dict[str, float], titles: dict[str, str]):
    styles = {
        "p_worn_twice": "worn twice (White)",
        "p_never_worn": "never worn (Blue01)",
        "p_strange": "never worn, all values rare",
    }
    figure, (axes,) = chart(width=7.5, height=3.8)
    smallest = 1e-8
    for i, (key, name) in enumerate(styles.items()):
        values = np.array([numbers[f"{model}/{key}"] for model in titles])
        places = np.arange(len(titles)) + 0.26 * (i - 1)
        axes.bar(places, np.maximum(values, smallest), 0.24, color=PALETTE[i], label=name)
        for place, value in zip(places, values, strict=True):
            axes.text(place, max(value, smallest) * 1.2, f"{value:.2g}", ha="center", fontsize=6.5, color=SOFT)
    axes.set(yscale="log", ylim=(smallest, 1), ylabel="probability of the style", title="Three styles, four models")
    axes.set_xticks(range(len(titles)), [title.replace(" smoothed", "\nsmoothed") for title in titles.values()])
    axes.grid(axis="x", visible=False)
    legend_outside(axes, 3)
    return figure
