"""A study of what tells generated images from real ones, though eyes are deceived: statistics of pixels."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import jax
import numpy as np
from jaxtyping import Float

from experiments.families.free_gan import Output
from experiments.launch import run_experiment
from experiments.registry import Findings, Study, find, register
from experiments.verbs.opening import open_run
from experiments.workdir import short_names
from gdl_jax.data.source import DataSettings, Split, load
from gdl_jax.data.spec import DataSpec
from gdl_jax.data.transforms import to_uint8
from gdl_jax.errors import UsageError
from gdl_jax.losses.classification import fast_gradient_sign
from gdl_jax.metrics.classifiers import shipped_classifier
from gdl_jax.metrics.divergences import jensen_shannon
from gdl_jax.metrics.pixel_statistics import column_centroids, moments, slopes
from gdl_jax.metrics.specifications import grey_elements, unseen
from gdl_jax.metrics.two_sample import distribution_function, kolmogorov_smirnov
from gdl_jax.models.model import Samples
from gdl_jax.pictures.charts import INK, SOFT, chart, strips
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.random import stream_key

BINS = 100
ZOOM = (0.11, 0.88)
AT_ONCE = 500
GANS = {
    "lsgan": ("--loss", "least_squares"),
    "wgan_gp": (
        *(
            "--loss",
            "wasserstein",
            "--penalty",
            "gradient",
            "--discriminator-norm",
            "False",
            "--discriminator-repeats",
            "5",
        ),
        *("--generator-optimizer.learning-rate", "1e-4", "--generator-optimizer.b2", "0.9"),
        *("--discriminator-optimizer.learning-rate", "1e-4", "--discriminator-optimizer.b2", "0.9"),
    ),
}
"""What the two that are trained here have after `gan --architecture valle_digits`."""

Images = Float[np.ndarray, "n height width"]


@register(
    "tequila",
    paper="Valle, Cai, Doshi 2018, arXiv:1807.04919; Goodfellow, Shlens, Szegedy 2015, arXiv:1412.6572",
    systems=("11.1", "11.2", "11.3", "11.4", "11.5", "11.6", "11.7"),
)
@dataclass(frozen=True, kw_only=True)
class Tequila(Study):
    """Samples of GANs are told from digits by the statistics of their pixels, and so are adversarial examples.

        python -m experiments.run tequila
        TFDS_DATA_DIR=... python -m experiments.run tequila --preset paper

    Against training images: test images, samples of an LSGAN and a WGAN-GP (trained first, as runs of their own, or
    those of --runs), test images that the fast gradient sign method has changed, with and without cutting them to [0,
    1], and pixels drawn at random. Prints for each the distance of Kolmogorov and Smirnov between all pixels (ks) and
    between pixels rounded to 8 bits (ks_rounded), the Jensen-Shannon divergence of 100-bin histograms in nats (jsd),
    the share of pixels that are 0, those of columns' centroids and their slopes, and how many grey levels and pairs of
    neighbours in 1,000 pixels occur in no training image. Shows histograms, distribution functions, and centroids.

    `tequila --data mnist` (seed 0; two minutes of CPU; the digits of the two GANs, 16 channels wide and 400 steps old,
    are still blots), and in front of it what the text has:

                          text: ks    jsd       ks   ks_rounded      p      jsd    zeros
        train                0.000  0.000    0.000        0.000      1    0.000    0.809
        test                 0.003  0.000    0.004        0.004  2e-44    0.000    0.807
        lsgan                0.808  0.014    0.809        0.809      0    0.520    0.000
        wgan_gp              0.702  0.015    0.809        0.735      0    0.325    0.000
        adversarial          0.419  0.582    0.434        0.434      0    0.581    0.000
        adversarial, cut                     0.434        0.434      0    0.203    0.387
        random pixels        0.131  0.079    0.123        0.123      0    0.055    0.870

    That table misleads in three places, and both readings are here. p-values: of millions of pixels test images are
    rejected too; what counts is the distance beside that of test images. ks: 81 % of the pixels are exactly 0, and a
    generator's are hardly ever, which alone makes up the 0.81: blots have it as good samples have; how much of it is a
    matter of the last bits tells ks_rounded. The divergence is what these blots and the text's samples differ in.
    Adversarial examples: only without the cut, which a picture file would need, is their divergence 0.58.
    """

    data: Literal["digits", "mnist", "fashion_mnist"] = "digits"
    """Which images, at 28x28; those of which a classifier comes with this library."""
    num: int = 10_000
    """Images in each set, at the most."""
    runs: tuple[Path, ...] = ()
    """Runs whose samples are looked at; none: those of `gans` are trained."""
    gans: tuple[Literal["lsgan", "wgan_gp"], ...] = ("lsgan", "wgan_gp")
    """Those that are."""
    steps: int = 400
    """Of the GANs that are trained."""
    width: int = 16
    """Of their networks; the paper's have 64."""
    output: Output = "tanh"
    """What their generators end in; see `gan --help`."""
    binarised: bool = False
    """All digits in black and white, cut at the middle, and GANs of such."""
    folder: Path | None = None
    """Where their runs are kept and, if they are there already, continued: tequila_DATA_lsgan and so on (default:
    nowhere)."""
    epsilon: float = 0.1
    """How far the fast gradient sign method moves every pixel, which are in [0, 1]."""
    seed: int = 0
    """Of the GANs, their samples and the random pixels."""

    positive: ClassVar[tuple[str, ...]] = ("num", "steps", "width", "epsilon")

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """See `Study`."""
        return {
            "smoke": cls(num=100, gans=("lsgan",), steps=2, width=4),
            "paper": cls(data="mnist", steps=3000, width=64),
        }

    def run(self) -> Findings:
        """See `Study`."""
        sets = self._sets()
        reference = sets["train"]
        numbers, lines = {}, []
        elements = grey_elements(_rounded(reference))
        curves = {name: _curves(images) for name, images in sets.items()}
        for name, images in sets.items():
            found = compared(images, reference)
            for kind, values in curves[name].items():
                test = kolmogorov_smirnov(values, curves["train"][kind])
                histograms = [_histogram(v, _span(curves["train"][kind])) for v in (values, curves["train"][kind])]
                found |= {f"{kind}_ks": test.statistic, f"{kind}_jsd": jensen_shannon(*histograms)}
                found |= {f"{kind}_{moment}": value for moment, value in moments(values).items()}
            pixels = images.size
            for kind, count in unseen(elements, grey_elements(_rounded(images))).items():
                found[f"unseen_{kind}s_per_1000"] = 1000 * count / pixels
            numbers |= {f"{name}/{what}": value for what, value in found.items()}
            lines.append(
                f"{name:<22} {found['ks']:8.4f} {found['ks_rounded']:11.4f} {found['p']:8.2g} {found['jsd']:9.5f} "
                f"{found['zeros']:7.3f} {found['slope_ks']:9.4f} {found['unseen_pairs_per_1000']:12.1f}"
            )
        heading = f"{'against train':<22} {'ks':>8} {'ks_rounded':>11} {'p':>8} {'jsd':>9} {'zeros':>7} {'slope_ks':>9}"
        floor, threshold = numbers["test/ks"], numbers["test/ks_threshold"]
        text = "\n".join(
            [
                f"{heading} {'unseen pairs':>12}",
                *lines,
                "",
                f"Two halves of one set would be told apart at the 5 % level beyond {threshold:.2g}; test images are "
                f"{floor:.2g} away. Of the distances, compare those of generated images with that.",
            ]
        )
        figures = {
            "images": strips({name: to_uint8(images[:12, ..., None], (0.0, 1.0)) for name, images in sets.items()}),
            "histograms": _histograms(sets),
            "distributions": _distributions(sets),
            "centroids": _centroids(sets),
        }
        return Findings(numbers=numbers, figures=figures, text=text)

    def _sets(self) -> dict[str, Images]:
        """All images, in [0, 1]."""
        train, test = self._images("train"), self._images("test")
        if self.runs:
            drawn = {name: self._samples(path) for path, name in short_names(self.runs).items()}
        else:
            with tempfile.TemporaryDirectory() as nowhere:
                drawn = {name: self._samples(self._train(name, self.folder or Path(nowhere))) for name in self.gans}
        classifier = shipped_classifier(self.data)
        low, high = classifier.image_range

        @jax.jit
        def attack(images, labels):
            def classify(x):
                return classifier.network.apply(classifier.variables, low + (high - low) * x, train=False)

            return fast_gradient_sign(classify, images, labels, self.epsilon)

        images, labels = test
        parts = range(0, len(images), AT_ONCE)
        adversarial = np.concatenate(
            [attack(images[i : i + AT_ONCE, ..., None], labels[i : i + AT_ONCE])[..., 0] for i in parts]
        )
        random = np.random.default_rng(self.seed)
        noise = (random.random((self.num, *images.shape[1:])) < train[0].mean()).astype(np.float32)
        return {
            "train": train[0],
            "test": images,
            **drawn,
            "adversarial": adversarial,
            "adversarial, cut": np.clip(adversarial, 0, 1),
            "random pixels": noise[: len(train[0])],
        }

    def _images(self, split: Split) -> tuple[Images, np.ndarray]:
        source = load(DataSettings(name=self.data, size=28), split)
        arrays = source.take(np.arange(min(self.num, len(source))))
        images = arrays["image"][..., 0].astype(np.float32) / 255
        return (images > 0.5).astype(np.float32) if self.binarised else images, arrays["label"]

    def _train(self, name: str, folder: Path) -> Path:
        """One of `GANS`, or what is left to do of it."""
        kind = [self.data, name, *([self.output] if self.output != "tanh" else []), *["binarised"] * self.binarised]
        run = folder / "_".join(["tequila", *kind])
        words = ["gan", "--architecture", "valle_digits", *GANS[name], "--data.name", self.data, "--data.size", "28"]
        words += ["--latent-size", "100", "--ema-decay", "None", "--output", self.output]
        words += ["--grey-levels", "two" if self.binarised else "given"]
        words += ["--width", str(self.width), "--steps", str(self.steps), "--seed", str(self.seed)]
        if code := run_experiment(find("gan"), [*words, "--workdir", str(run)]):
            sys.exit(code)
        return run

    def _samples(self, path: Path) -> Images:
        """Unrounded, as the generator gives them."""
        run = open_run(path, "latest")
        if not isinstance(run.model, Samples) or DataSpec.from_json(run.saved["data"]).image_shape != (28, 28, 1):
            raise UsageError(f"{path} draws no grey images of 28x28 pixels, which are compared here.")
        draw = jax.jit(lambda key: run.model.sample(run.state, key, AT_ONCE))
        low, high = run.model.image_range
        keys = jax.random.split(stream_key(self.seed, "tequila"), -(-self.num // AT_ONCE))
        images = np.concatenate([draw(key)[..., 0] for key in keys])[: self.num]
        return (images - low) / (high - low)


def compared(images: Images, reference: Images) -> dict[str, float]:
    """What tells two sets of images in [0, 1] apart, pixel by pixel."""
    test = kolmogorov_smirnov(images, reference)
    in_levels = [_rounded(x) for x in (images, reference)]
    rounded = kolmogorov_smirnov(*in_levels)
    return {
        "ks": test.statistic,
        "ks_rounded": rounded.statistic,
        "ks_threshold": test.threshold,
        "p": test.p_value,
        "jsd": jensen_shannon(_histogram(images), _histogram(reference)),
        "jsd_rounded": jensen_shannon(*(_histogram(x / 255) for x in in_levels)),
        "zeros": float((images == 0).mean()),
    }


def _rounded(images: Images) -> np.ndarray:
    return to_uint8(images, (0.0, 1.0))


def _curves(images: Images) -> dict[str, np.ndarray]:
    """Without the columns that are empty. Of pixels below 0 there is no centroid; they count as 0."""
    centroids = column_centroids(np.maximum(images, 0))
    return {"centroid": centroids[centroids > 0], "slope": slopes(centroids).ravel()}


def _span(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _histogram(values: np.ndarray, span: tuple[float, float] = (0.0, 1.0)) -> np.ndarray:
    """What lies outside is not counted, as in the text."""
    return np.histogram(values, BINS, span)[0]


def _histograms(sets: dict[str, Images]):
    figure, axes = chart(2, len(sets), width=2.3 * len(sets), height=4.6)
    for i, (name, images) in enumerate(sets.items()):
        for plot, span in ((axes[i], (0.0, 1.0)), (axes[len(sets) + i], ZOOM)):
            inside = images[(images > span[0]) & (images < span[1])] if span == ZOOM else images
            edges = np.linspace(*span, BINS + 1)
            plot.stairs(_histogram(inside, span), edges, fill=True, color=PALETTE[i % len(PALETTE)])
            plot.set(xlim=span, title=name if span != ZOOM else "", yticks=())
        axes[i].set(yscale="log", ylim=(0.5, 2 * images.size))
    axes[0].set_ylabel("pixels, log scale")
    axes[len(sets)].set_ylabel("between 0.11 and 0.88")
    return figure


def _distributions(sets: dict[str, Images]):
    figure, axes = chart(1, len(sets), width=2.3 * len(sets), height=2.7, sharey=True)
    at = np.linspace(0, 1, 50)
    reference = distribution_function(sets["train"], at)
    for i, (plot, (name, images)) in enumerate(zip(axes, sets.items(), strict=True)):
        plot.step(at, reference, where="post", color=INK, linewidth=1, linestyle=":", label="train")
        plot.step(at, distribution_function(images, at), where="post", color=PALETTE[i % len(PALETTE)], label=name)
        plot.set(title=name, xlabel="pixel", ylim=(0, 1.02))
    axes[0].set_ylabel("share up to")
    return figure


def _centroids(sets: dict[str, Images]):
    shown = {name: images[:4] for name, images in sets.items() if name not in ("adversarial", "random pixels")}
    figure, axes = chart(len(shown), 4, width=9, height=1.9 * len(shown), sharex=True)
    for row, (name, images) in zip(axes.reshape(len(shown), 4), shown.items(), strict=True):
        centroids = column_centroids(images)
        for plot, image, centroid, slope in zip(row, images, centroids, slopes(centroids), strict=True):
            plot.imshow(1 - image, vmin=0, vmax=1, aspect="auto", alpha=0.45)
            plot.plot(np.where(centroid > 0, centroid, np.nan), color=PALETTE[0], label="centroid")
            plot.plot(np.arange(len(slope)) + 3, 14 - 4 * slope, color=PALETTE[1], linewidth=1, label="slope, times 4")
            plot.axhline(14, color=SOFT, linewidth=0.5)
            plot.set(yticks=(), ylim=(27.5, -0.5))
            plot.grid(False)
        row[0].set_ylabel(name)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
