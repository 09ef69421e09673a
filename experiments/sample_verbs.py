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

from experiments.evaluation import open_features
from experiments.verbs import OnCheckpoint, Shelf, check_num, check_out, check_shelf, open_run
from gdl_jax.data.source import Source, load
from gdl_jax.errors import UsageError
from gdl_jax.files import write_text
from gdl_jax.metrics.birthday import WARNING, Support, support_size, threshold_of
from gdl_jax.metrics.classifiers import default_features
from gdl_jax.metrics.features import Features
from gdl_jax.metrics.modes import class_coverage
from gdl_jax.metrics.neighbours import Neighbours, nearest
from gdl_jax.metrics.readout import area_under_curve
from gdl_jax.models.model import Samples
from gdl_jax.pictures.charts import INK, SOFT, chart, legend_outside, save_chart, style
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.pictures.human_study import human_study
from gdl_jax.pictures.latent_plane import captioned, titled
from gdl_jax.steps.random import stream_key
from gdl_jax.training.program import Sampler, make_sampler
from gdl_jax.training.sample_metrics import MAX_IMAGES
from gdl_jax.training.sharding import make_mesh

Images = UInt8[np.ndarray, "num height width channels"]


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


@dataclass(frozen=True, kw_only=True)
class ShowModes(OnSamples):
    """Count the classes of samples by a classifier, and name those that are missing."""

    num: int = MAX_IMAGES
    """Samples."""


@dataclass(frozen=True, kw_only=True)
class ShowBirthday(OnSamples):
    """Estimate how many different samples there are from how often two of a batch are alike: the birthday paradox."""

    sizes: tuple[int, ...] = (100, 200, 400, 600, 800, 1200, 1600)
    """Samples in a batch, ascending."""
    batches: int = 20
    """Of each size."""
    shown: int = 20
    """Pairs in the picture."""


@dataclass(frozen=True, kw_only=True)
class HumanStudy(OnCheckpoint):
    """Write a page on which people tell samples from test images, or rate both; it scores the answers itself."""

    num: int = 25
    """Pictures of either kind."""
    task: Literal["real_or_fake", "rating"] = "real_or_fake"
    """Ask whether a picture is real, or how good it is, from 1 to 5."""
    milliseconds: int = 250
    """How long each can be seen; 0: until the answer."""
    seed: int = 0
    """Of the samples, of the choice of test images, and of the order."""
    out: Path | None = None
    """HTML file to write (default: WORKDIR/human_study.html)."""


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
        """All training images."""
        return self.train.take(np.arange(len(self.train)))["image"]

    @cached_property
    def known_features(self) -> Float[np.ndarray, "num units"]:
        """Of them."""
        return self.features.of(self.known)

    @cached_property
    def _sampler(self) -> Sampler:
        return make_sampler(self.run.model, make_mesh(jax.devices()[:1]))

    def draw(self, num: int, number: int = 0) -> Images:
        """Samples; another number, others."""
        return self._sampler(self.run.state, stream_key(self.seed, "judged samples", number), num)

    @property
    def said(self) -> dict[str, Any]:
        """Of which run, and how, for the JSON file."""
        return {
            "run": self.run.saved["name"],
            "step": self.run.step,
            "data": self.run.experiment.data.name,
            "features": self.features.name,
            "features_description": self.features.description,
            "features_sha256": self.features.sha256,
            "seed": self.seed,
        }


def open_judged(options: OnSamples) -> Judged:
    """Reads a run whose model draws images.

    Raises:
        UsageError: it draws none, or there is no such run or network.
    """
    run = open_run(options.workdir, options.checkpoint)
    if not isinstance(run.model, Samples):
        raise UsageError(f"{run.saved['name']} draws no images that could be judged.")
    name = run.experiment.data.name
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
    of_samples = _search(judged, judged.draw(num), options.k)
    of_test = _search(judged, judged.test.take(np.arange(num))["image"], options.k)

    first = np.arange(min(options.shown, num))
    closest = of_samples.by_pixels.distances[:, 0].argsort(kind="stable")[: len(first)]
    words = f"{judged.run.saved['name']}, step {judged.run.step:,}"
    after = (
        f"beside each the {options.k} training images nearest by the mean absolute difference of pixels, then the "
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
    judged.write("neighbours", {**judged.said, "num": num, **numbers, "shown": shown})
    for by, values in numbers.items():
        for name, value in values.items():
            print(f"  {by + ': ' + name.replace('_', ' '):<64} {value:.4g}")


def _search(judged: Judged, images: Images, k: int) -> Found:
    flat, known = (x.reshape(len(x), -1).astype(np.float32) / 255 for x in (images, judged.known))
    found = nearest(flat, known, k, metric="manhattan")
    by_pixels = Neighbours(found.distances / flat.shape[1], found.indices)
    return Found(images, by_pixels, nearest(judged.features.of(images), judged.known_features, k))


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
    log_probabilities = judged.features.look(judged.draw(options.num)).log_probabilities
    if log_probabilities.shape[1] != len(classes):
        raise UsageError(f"The classifier has {log_probabilities.shape[1]} classes, and the data {len(classes)}.")
    labels = judged.train.take(np.arange(len(judged.train)))["label"]
    shares = np.bincount(labels, minlength=len(classes)) / len(labels)
    found = class_coverage(log_probabilities, shares)
    missing = [name for name, share, wanted in zip(classes, found.shares, shares, strict=True) if wanted and not share]
    words = f"missing: {', '.join(missing)}" if missing else "no class is missing"
    numbers = {"covered": found.covered, "divergence": found.divergence, "confidence": found.confidence}
    if not shares.all():
        numbers["samples_of_other_classes"] = found.outside
        words += f"; {found.outside:.0%} of the samples are of other classes than the data"
    title = f"{judged.run.saved['name']}, step {judged.run.step:,}, {options.num:,} samples: {words}"
    with style():
        _chart(judged, "modes", _bars(classes, found.shares, shares, title))
    of_classes = {
        name: {"samples": float(share), "data": float(wanted)}
        for name, share, wanted in zip(classes, found.shares, shares, strict=True)
    }
    judged.write("modes", {**judged.said, "num": options.num, **numbers, "missing": missing, "shares": of_classes})
    print(f"  {words}")
    print(f"  {'KL(samples || data), nats':<48} {found.divergence:.4g}")
    print(f"  {'mean confidence of the classifier':<48} {found.confidence:.4g}")


def _bars(classes: Sequence[str], samples: np.ndarray, data: np.ndarray, title: str):
    figure, (axes,) = chart(width=max(6.4, 0.5 * len(classes)), height=3.4)
    places = np.arange(len(classes))
    axes.bar(places - 0.2, samples, 0.4, color=PALETTE[0], label="samples")
    axes.bar(places + 0.2, data, 0.4, color=SOFT, label="data")
    axes.set(title=title, ylabel="share", ylim=(0, None))
    axes.set_xticks(places, classes, rotation=0 if max(map(len, classes)) < 4 else 45)
    axes.grid(axis="x", visible=False)
    legend_outside(axes, 2)
    return figure


def show_birthday(options: ShowBirthday) -> None:
    """`birthday WORKDIR`."""
    check_num(options.batches, "batches")
    check_num(options.shown, "shown")
    if not options.sizes or min(options.sizes) < 2 or list(options.sizes) != sorted(set(options.sizes)):
        raise UsageError("--sizes have to be 2 or more, and ascending.")
    judged = open_judged(options)
    real = judged.features.of(judged.test.take(np.arange(min(len(judged.test), MAX_IMAGES)))["image"])
    found = support_size(
        lambda seed, num: judged.features.of(judged.draw(num, 1 + seed)),
        threshold_of(real),
        sizes=options.sizes,
        batches=options.batches,
    )
    samples = judged.draw(max(options.sizes))
    seen = judged.features.of(samples)
    partners = nearest(seen, seen, 1, same=True)
    pairs = dict.fromkeys(tuple(sorted((i, partners.indices[i, 0]))) for i in partners.distances[:, 0].argsort())
    chosen = np.array(list(pairs)[: options.shown])
    known = nearest(seen[chosen[:, 0]], judged.known_features, 1).indices[:, 0]
    apart = np.linalg.norm(seen[chosen[:, 0]].astype(np.float64) - seen[chosen[:, 1]], axis=1)
    cells = np.stack([samples[chosen[:, 0]], samples[chosen[:, 1]], judged.known[known]], 1)
    words = [word for distance in apart for word in (f"{distance:.3f}", "", "train")]
    title = (
        f"{judged.run.saved['name']}, step {judged.run.step:,}: the {len(chosen)} most similar pairs of "
        f"{len(samples):,} samples with their distance by {judged.features.name}, and the nearest training image; "
        f"below {found.threshold:.3f} a pair counts as one sample twice"
    )
    judged.save("birthday_pairs", titled(captioned(cells.reshape(-1, *cells.shape[2:]), words, columns=9), title))
    with style():
        _chart(judged, "birthday", _collisions(found))
    estimate = None if np.isnan(found.estimate) else found.estimate
    numbers = {"sizes": found.sizes, "collisions": found.collisions, "threshold": found.threshold, "support": estimate}
    judged.write("birthday", {**judged.said, "batches": options.batches, **numbers, "warning": WARNING})
    for size, share in zip(found.sizes, found.collisions, strict=True):
        print(f"  {f'batches of {size} with a pair that is alike':<48} {share:.0%}")
    least = f"at least {max(options.sizes) ** 2 / (2 * np.log(2)):,.0f}, for too few batches had such a pair"
    print(f"  {'different samples, if all are equally likely':<48} {least if estimate is None else f'{estimate:,.0f}'}")
    print(f"  {WARNING}")


def _collisions(found: Support):
    figure, (axes,) = chart(width=6.4, height=3.4)
    axes.plot(found.sizes, found.collisions, color=PALETTE[0], marker="o", markersize=4, label="batches with a pair")
    axes.axhline(0.5, color=INK, linestyle=":", linewidth=1, label="half of them")
    if not np.isnan(found.half):
        axes.axvline(found.half, color=PALETTE[1], linestyle="--", label=f"n = {found.half:.0f}")
    estimate = "" if np.isnan(found.estimate) else f": about {found.estimate:,.0f} different samples"
    axes.set(xlabel="samples in a batch", ylabel="share", ylim=(-0.02, 1.02), title=f"Birthday paradox{estimate}")
    legend_outside(axes, 3)
    return figure


def make_human_study(options: HumanStudy) -> None:
    """`human_study WORKDIR`."""
    check_num(options.num)
    check_num(options.milliseconds, "milliseconds", 0)
    out = check_out(options.out or options.workdir / "human_study.html", (".html",))
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
    write_text(out, text)
    print(out)


def _chart(judged: Judged, name: str, figure: Any) -> None:
    save_chart(judged.path(name, ".png"), figure)
    print(judged.path(name, ".png"))


SAMPLE_VERBS = {
    "neighbours": (ShowNeighbours, show_neighbours),
    "modes": (ShowModes, show_modes),
    "birthday": (ShowBirthday, show_birthday),
    "human_study": (HumanStudy, make_human_study),
}
