"""Looking at samples beside the data: what they may have copied, what they leave out, how often they repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Float, Int, UInt8

from experiments.verbs.evaluation import open_features
from experiments.verbs.opening import Images, OnCheckpoint, Shelf, check_num, check_out, check_shelf, open_run
from gdl_jax.data.source import Source, load
from gdl_jax.errors import UsageError
from gdl_jax.files import write_text
from gdl_jax.metrics.classifiers import default_features
from gdl_jax.metrics.features import Features
from gdl_jax.metrics.modes import class_coverage
from gdl_jax.metrics.neighbours import Neighbours, nearest
from gdl_jax.metrics.order import some_of
from gdl_jax.metrics.readout import area_under_curve
from gdl_jax.metrics.spill import blocks, spilled
from gdl_jax.models.model import Samples
from gdl_jax.pictures.captions import captioned, titled
from gdl_jax.pictures.charts import SOFT, chart, legend_outside, save_chart, style
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.pictures.human_study import Task, human_study
from gdl_jax.steps.devices import make_mesh
from gdl_jax.steps.random import stream_key
from gdl_jax.training.program import Sampler, make_sampler
from gdl_jax.training.sample_metrics import MAX_IMAGES, drawing, said_of_samples, taken


@dataclass(frozen=True, kw_only=True)
class OnSamples(OnCheckpoint):
    """A verb that judges samples, and writes pictures and a JSON file."""

    features: str | None = None
    """In which images are compared; see evaluate."""
    seed: int = 0
    """Of the samples."""
    out: Path | None = None
    """Folder of the pictures and of the JSON file (default: WORKDIR/samples, where the report finds pictures)."""


@dataclass(frozen=True, kw_only=True)
class ShowNeighbours(OnSamples):
    """Find the training images nearest to samples, by pixels and by features, and those nearest to test images.

    Whoever memorises draws samples that are nearer to training images than test images are. By pixels a copy that is
    shifted is not found; by features it is.
    """

    num: int = 500
    """Samples, and test images, that are judged."""
    shown: int = 8
    """How many of them are in a picture."""
    k: int = 4
    """Training images beside each."""
    pixels: Literal["l1", "l2"] = "l1"
    """How pixels are compared: by the mean absolute difference, or by the root of the mean squared one."""


@dataclass(frozen=True, kw_only=True)
class ShowModes(OnSamples):
    """Count the classes of samples by a classifier, and name those that are missing."""

    num: int = MAX_IMAGES
    """Samples."""


@dataclass(frozen=True, kw_only=True)
class HumanStudy(OnCheckpoint):
    """Write a page on which people tell samples from test images, or rate both; it scores the answers itself."""

    num: int = 25
    """Pictures of either kind."""
    task: Task = "real_or_fake"
    """Ask whether a picture is real, how good it is, from 1 to 5, or of pairs of a real and a generated one which."""
    milliseconds: int = 250
    """How long each can be seen; 0: until the answer."""
    seed: int = 0
    """Of the samples, of the choice of test images, and of the order."""
    out: Path | None = None
    """HTML file to write (default: WORKDIR/samples/human_study_STEP.html)."""


@dataclass(frozen=True, eq=False)
class Judged(Shelf):
    """A run whose samples are judged.

    Attributes:
        features: in which images are compared.
        seed: of the samples.
    """

    features: Features
    seed: int

    @cached_property
    def train(self) -> Source:
        """The images that the model was trained on."""
        return load(self.run.experiment.data, "train")

    @cached_property
    def test(self) -> Source:
        """Images that it was not trained on."""
        return load(self.run.experiment.data, "test")

    @cached_property
    def known(self) -> Images:
        """All training images, in a file; see `spilled`."""
        return taken(self.train, np.arange(len(self.train)))

    @cached_property
    def known_pixels(self) -> Float[np.ndarray, "num units"]:
        """Theirs, in [0, 1], in a file too."""
        return _pixels(self.known)

    @cached_property
    def known_features(self) -> Float[np.ndarray, "num units"]:
        """Of them."""
        return self.features.of(self.known)

    @cached_property
    def _drawn(self) -> Samples:
        return drawing(self.run.model, self.train)

    @cached_property
    def _sampler(self) -> Sampler:
        return make_sampler(self._drawn, make_mesh(jax.devices()[:1]))

    def draw(self, num: int, number: int = 0) -> Images:
        """Samples; another number, others."""
        return self._sampler(self.run.state, stream_key(self.seed, "judged samples", number), num)

    @property
    def said(self) -> dict[str, Any]:
        """Of which run, and how, for the JSON file."""
        return {
            "run": self.run.saved["name"],
            "step": self.run.step,
            "data": self.run.experiment.data.full_name,
            "features": self.features.name,
            "features_description": self.features.description,
            "features_sha256": self.features.sha256,
            "seed": self.seed,
            **said_of_samples(self._drawn, self.run.state),
        }


def open_judged(options: OnSamples) -> Judged:
    """Reads a run whose model draws images.

    Raises:
        UsageError: it draws none, or there is no such run or network.
    """
    run = open_run(options.workdir, options.checkpoint, options.data.dir)
    if not isinstance(run.model, Samples):
        raise UsageError(f"{run.saved['name']} draws no images that could be judged.")
    name = run.experiment.data.full_name
    features = default_features(name) if options.features is None else open_features(options.features)
    return Judged(run, check_shelf(options.out, options.workdir), features, options.seed)


@dataclass(frozen=True, eq=False)
class Found:
    """Images, and the training images that are nearest to each, by pixels and by features."""

    images: Images
    by_pixels: Neighbours
    by_features: Neighbours

    def numbers(self, chosen: Int[np.ndarray, " shown"]) -> list[dict[str, Any]]:
        """Indices and distances, of those that a picture shows."""
        return [
            {
                by: {"indices": found.indices[i].tolist(), "distances": found.distances[i].tolist()}
                for by, found in (("pixels", self.by_pixels), ("features", self.by_features))
            }
            for i in chosen
        ]


def show_neighbours(options: ShowNeighbours) -> None:
    """`neighbours WORKDIR`."""
    for option, least in (("num", 2), ("shown", 1), ("k", 1)):
        check_num(getattr(options, option), option, least)
    judged = open_judged(options)
    if options.k > len(judged.train):
        raise UsageError(f"--k is {options.k}, but there are only {len(judged.train)} training images.")
    num = min(options.num, len(judged.test))
    of_samples = _search(judged, judged.draw(num), options)
    of_test = _search(judged, judged.test.take(some_of(len(judged.test), num))["image"], options)

    first = np.arange(min(options.shown, num))
    closest = of_samples.by_pixels.distances[:, 0].argsort(kind="stable")[: len(first)]
    words = f"{judged.run.saved['name']}, step {judged.run.step:,}"
    after = (
        f"beside each the {options.k} training images nearest by {DIFFERENCES[options.pixels]} of pixels, then the "
        f"{options.k} nearest by {judged.features.name}, with their distances"
    )
    sheets = {
        "neighbours": (of_samples, first, "samples"),
        "neighbours_closest": (of_samples, closest, f"the samples of {num} that are nearest to training images"),
        "neighbours_of_test_images": (of_test, first, "test images, for comparison"),
    }
    for name, (found, chosen, what) in sheets.items():
        judged.save(name, titled(_sheet(found, chosen, judged.known), f"{words}: {what}; {after}"))

    numbers = {
        by: _compared(*(getattr(found, f"by_{by}").distances[:, 0] for found in (of_samples, of_test)))
        for by in ("pixels", "features")
    }
    shown = {name: found.numbers(chosen) for name, (found, chosen, _) in sheets.items()}
    judged.write(
        "neighbours",
        {**judged.said, "num": num, "pixel_distance": DIFFERENCES[options.pixels], **numbers, "shown": shown},
    )
    for by, values in numbers.items():
        for name, value in values.items():
            print(f"  {by + ': ' + name.replace('_', ' '):<64} {value:.4g}")


DIFFERENCES = {"l1": "the mean absolute difference", "l2": "the root of the mean squared difference"}


def _search(judged: Judged, images: Images, options: ShowNeighbours) -> Found:
    flat = _pixels(images)
    found = nearest(flat, judged.known_pixels, options.k, metric="manhattan" if options.pixels == "l1" else "euclidean")
    units = flat.shape[1] if options.pixels == "l1" else np.sqrt(flat.shape[1])
    by_pixels = Neighbours(found.distances / units, found.indices)
    return Found(images, by_pixels, nearest(judged.features.of(images), judged.known_features, options.k))


def _pixels(images: Images) -> Float[np.ndarray, "num units"]:
    (found,) = spilled((part.reshape(len(part), -1) / np.float32(255),) for part in blocks(images))
    return found


def _sheet(found: Found, chosen: Int[np.ndarray, " shown"], known: Images) -> UInt8[np.ndarray, "height width 3"]:
    cells, words = [], []
    for i in chosen:
        of_pixels, of_features = found.by_pixels.indices[i], found.by_features.indices[i]
        cells.append(np.concatenate([found.images[i : i + 1], known[of_pixels], known[of_features]]))
        distances = (*found.by_pixels.distances[i], *found.by_features.distances[i])
        words += [f"{i}", *(f"{distance:.3f}" for distance in distances)]
    return captioned(np.concatenate(cells), words, columns=len(cells[0]))


def _compared(samples: Float[np.ndarray, " num"], test: Float[np.ndarray, " num"]) -> dict[str, float]:
    """Distances to the nearest training image, of samples and of test images."""
    is_sample = np.repeat([True, False], [len(samples), len(test)])
    return {
        "median_of_samples": float(np.median(samples)),
        "median_of_test_images": float(np.median(test)),
        "least_of_samples": float(samples.min()),
        "least_of_test_images": float(test.min()),
        "share_of_samples_nearer_than_99_percent_of_test_images": float((samples < np.quantile(test, 0.01)).mean()),
        "probability_that_a_sample_is_nearer_than_a_test_image": area_under_curve(
            -np.concatenate([samples, test]), is_sample
        ),
    }


def show_modes(options: ShowModes) -> None:
    """`modes WORKDIR`."""
    check_num(options.num)
    judged = open_judged(options)
    classes = judged.test.classes
    if not judged.features.tells_classes:
        raise UsageError("Modes need a classifier; give its run or export with --features.")
    if not classes:
        raise UsageError(f"The data set {judged.run.experiment.data.name!r} has no classes.")
    if judged.features.num_classes != len(classes):
        raise UsageError(f"The classifier has {judged.features.num_classes} classes, and the data {len(classes)}.")
    log_probabilities = judged.features.look(judged.draw(options.num)).log_probabilities
    labels = judged.train.labels
    shares = np.bincount(labels, minlength=len(classes)) / len(labels)
    found = class_coverage(log_probabilities, shares)
    missing = [name for name, share, wanted in zip(classes, found.shares, shares, strict=True) if wanted and not share]
    listed = (
        f"missing: {', '.join(missing)}" if len(classes) <= MOST_NAMED else f"{len(missing)} of {len(classes)} missing"
    )
    words = listed if missing else "no class is missing"
    numbers = {"covered": found.covered, "divergence": found.divergence, "confidence": found.confidence}
    if not shares.all():
        numbers["samples_of_other_classes"] = found.outside
        words += f"; {found.outside:.0%} of the samples are of other classes than the data"
    title = f"{judged.run.saved['name']}, step {judged.run.step:,}, {options.num:,} samples: {words}"
    with style():
        write_chart(judged, "modes", _bars(classes, found.shares, shares, title))
    of_classes = {
        name: {"samples": float(share), "data": float(wanted)}
        for name, share, wanted in zip(classes, found.shares, shares, strict=True)
    }
    judged.write("modes", {**judged.said, "num": options.num, **numbers, "missing": missing, "shares": of_classes})
    print(f"  {words}")
    print(f"  {'KL(samples || data), nats':<48} {found.divergence:.4g}")
    print(f"  {'mean confidence of the classifier':<48} {found.confidence:.4g}")


MOST_NAMED = 40
"""Classes, in a chart and in its title."""


def _bars(classes: Sequence[str], samples: np.ndarray, data: np.ndarray, title: str):
    if len(classes) > MOST_NAMED:
        figure, (axes,) = chart(width=6.4, height=3.4)
        for shares, colour, label in ((samples, PALETTE[0], "samples"), (data, SOFT, "data")):
            axes.plot(np.sort(shares)[::-1], color=colour, label=label)
        axes.set(title=title, ylabel="share", xlabel="classes, the most frequent first", ylim=(0, None))
        legend_outside(axes, 2)
        return figure
    figure, (axes,) = chart(width=max(6.4, 0.5 * len(classes)), height=3.4)
    places = np.arange(len(classes))
    axes.bar(places - 0.2, samples, 0.4, color=PALETTE[0], label="samples")
    axes.bar(places + 0.2, data, 0.4, color=SOFT, label="data")
    axes.set(title=title, ylabel="share", ylim=(0, None))
    axes.set_xticks(places, classes, rotation=0 if max(map(len, classes)) < 4 else 45)
    axes.grid(axis="x", visible=False)
    legend_outside(axes, 2)
    return figure


def make_human_study(options: HumanStudy) -> None:
    """`human_study WORKDIR`."""
    check_num(options.num)
    check_num(options.milliseconds, "milliseconds", 0)
    check_out(options.out, (".html",))
    judged = open_judged(OnSamples(workdir=options.workdir, checkpoint=options.checkpoint, seed=options.seed))
    num = min(options.num, len(judged.test))
    chosen = np.random.default_rng(options.seed).choice(len(judged.test), num, replace=False)
    text = human_study(
        judged.test.take(chosen)["image"],
        judged.draw(num),
        name=f"{judged.run.saved['name']}_{judged.run.step:06d}",
        task=options.task,
        milliseconds=options.milliseconds,
        seed=options.seed,
    )
    out = options.out or judged.path("human_study", ".html")
    write_text(out, text)
    print(out)


def write_chart(judged: Judged, name: str, figure: Any) -> None:
    """Writes a chart, and says where."""
    save_chart(judged.path(name, ".png"), figure)
    print(judged.path(name, ".png"))


SAMPLE_VERBS = {
    "neighbours": (ShowNeighbours, show_neighbours),
    "modes": (ShowModes, show_modes),
    "human_study": (HumanStudy, make_human_study),
}
