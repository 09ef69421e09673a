"""Every measure of two sets of images, by its name: a function of the sets, what it needs, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gdl_jax.metrics.birthday import OF_DATA, drawn_from, sizes_for, support_size, threshold_of
from gdl_jax.metrics.birthday import WARNING as BIRTHDAY_WARNING
from gdl_jax.metrics.curves import precision_recall_curve
from gdl_jax.metrics.features import Features
from gdl_jax.metrics.frechet import frechet_distance, frechet_infinity, moments
from gdl_jax.metrics.inception import inception_score
from gdl_jax.metrics.kernel import kernel_distance
from gdl_jax.metrics.manifold import THRESHOLD, check_triangles, manifold_scores
from gdl_jax.metrics.modes import class_coverage
from gdl_jax.metrics.neighbours import nearest as nearest_neighbours
from gdl_jax.metrics.neighbours import precision_recall
from gdl_jax.metrics.parzen import WARNING as PARZEN_WARNING
from gdl_jax.metrics.parzen import parzen_estimate
from gdl_jax.metrics.path_length import path_length
from gdl_jax.metrics.pixel_statistics import sharpness
from gdl_jax.metrics.sets import Images, Sets
from gdl_jax.metrics.similarity import ms_ssim, scales_of
from gdl_jax.metrics.spill import blocks, spilled

PAIRS = 1000
"""Of samples, whose similarity is their lack of diversity."""


Values = Mapping[str, float]


def _fid(sets: Sets) -> Values:
    return {"fid": frechet_distance(moments(sets.seen_fake), sets.moments_of_real)}


def _fid_infinity(sets: Sets) -> Values:
    return {"fid_infinity": frechet_infinity(sets.seen_fake, sets.moments_of_real)}


def _kid(sets: Sets) -> Values:
    found = kernel_distance(sets.seen_real, sets.seen_fake)
    return {"kid": found.value, "kid_standard_error": found.standard_error}


def _is(sets: Sets) -> Values:
    score = inception_score(sets.classes_of_fake)
    return {"inception_score": score.mean, "inception_score_standard_deviation": score.standard_deviation}


def _prdc(sets: Sets) -> Values:
    return precision_recall(sets.seen_real, sets.seen_fake)._asdict()


def _prd(sets: Sets) -> Values:
    curve = precision_recall_curve(sets.seen_real, sets.seen_fake)
    return {"prd_f8": curve.f_score(8), "prd_f1_8": curve.f_score(1 / 8)}


def _modes(sets: Sets) -> Values:
    found = class_coverage(sets.classes_of_fake, sets.shares)
    return {
        "classes_covered": found.covered,
        "class_divergence": found.divergence,
        "classifier_confidence": found.confidence,
        **({} if sets.shares.all() else {"samples_of_other_classes": found.outside}),
    }


def _memorisation(sets: Sets) -> Values:
    of_fake, of_real = (
        float(np.median(nearest_neighbours(seen, sets.seen_train, 1).distances))
        for seen in (sets.seen_fake, sets.seen_real)
    )
    return {"nearest_training_image": of_fake, "nearest_training_image_of_test_images": of_real}


def _birthday(sets: Sets) -> Values:
    of_data, of_fake = (drawn_from(seen) for seen in (sets.seen_real, sets.seen_fake))
    sizes = sizes_for(len(sets.seen_real), len(sets.seen_fake))
    threshold = threshold_of(of_data, sizes[-1])
    found, known = (support_size(draw, threshold, sizes=sizes) for draw in (of_fake, of_data))
    shares = {
        f"collisions_of_{n}{whose}": share
        for whose, support in (("", found), ("_data", known))
        for n, share in zip(sizes, support.collisions, strict=True)
    }
    name = "_".join(["support_size", *found.bound.split()])
    return {**shares, name: found.estimate, "collision_distance": threshold}


def _parzen(sets: Sets) -> Values:
    real, fake = (
        spilled((part.reshape(len(part), -1) / np.float32(255),) for part in blocks(images))[0]
        for images in (sets.real, sets.fake)
    )
    half = len(real) // 2
    found, width = parzen_estimate(real[half:], real[:half], fake)
    return {
        "parzen_log_likelihood": found.value,
        "parzen_standard_error": found.standard_error,
        "parzen_bandwidth": width,
    }


def _ms_ssim(sets: Sets) -> Values:
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(sets.fake))[: min(2 * PAIRS, len(sets.fake) // 2 * 2)]
    x, y = (sets.fake[part] / 255 for part in np.split(chosen, 2))
    scales = max(1, scales_of(*sets.fake.shape[1:3]))
    return {"ms_ssim_of_samples": float(ms_ssim(x, y, scales=scales).mean()), "ms_ssim_scales": scales}


def _sharpness(sets: Sets) -> Values:
    means = (
        sum(float(sharpness(part).sum()) for part in blocks(images)) / len(images) for images in (sets.fake, sets.real)
    )
    return dict(zip(("sharpness", "sharpness_of_data"), means, strict=True))


def _path_length(sets: Sets) -> Values:
    found = path_length(sets.known_decoder, sets.features.traced, settings=sets.path)
    return {"path_length": found.value, "path_length_standard_error": found.standard_error}


def _triangles(sets: Sets) -> Values:
    found = manifold_scores(sets.fake, sets.real, sets.known_decoder)
    return {f"triangle_{name}": value for name, value in found._asdict().items()}


@dataclass(frozen=True)
class Given:
    """What is known before there are samples.

    Attributes:
        features: in which images are seen.
        data: some images of the data.
        numbers: examples of each set, by what they are: {"samples": 10000, "test images": 10000}.
        classes: of the data; 0 where they are not known.
        decodes: whether samples are made of latent vectors, and of nothing else.
    """

    features: Features
    data: Images
    numbers: Mapping[str, int]
    classes: int
    decodes: bool

    @property
    def units(self) -> int:
        """How many features there are."""
        return self.features.count(self.data.shape[1:])


def _check_size(given: Given) -> None:
    height, width = given.data.shape[1:3]
    if not scales_of(height, width):
        raise ValueError(f"MS-SSIM takes images of 11 pixels a side or more, and these are {height}x{width}.")


def _check_decoder(given: Given) -> None:
    if not given.decodes:
        raise ValueError("It takes a model that makes its images of latent vectors alone, by the verb evaluate.")


def _check_path(given: Given) -> None:
    _check_decoder(given)
    if given.features.traced is None:
        raise ValueError(f"Path length needs features of images with decimals, and {given.features.name!r} have none.")


def _check_triangles(given: Given) -> None:
    _check_decoder(given)
    check_triangles(given.data)


@dataclass(frozen=True)
class Measure:
    """A function of the sets, and what is said of it.

    Attributes:
        of: of the sets; gives one value or several.
        description: for the protocol.
        best: which of the values a training can be judged by, and its better end; None where none is fit.
        needs_classes: whether the features have to tell classes.
        of_data_classes: whether they have to be those of the data.
        least: of the number of features, the examples that each of the two sets has to have.
        reason: why so many.
        warning: what is to be known of every value.
        of_features: whether it sees images by the features.
        few: how many examples of a set are so few that the value says little.
        suits: raises a ValueError where the model, the data or the features do not suit it; None: all do, and "all"
            takes it.
    """

    of: Callable[[Sets], Values]
    description: str
    best: tuple[str, Literal["min", "max"]] | None = None
    needs_classes: bool = False
    of_data_classes: bool = False
    least: Callable[[int], int] = lambda units: 2
    reason: str = "any spread"
    warning: str = ""
    of_features: bool = True
    few: int = 0
    suits: Callable[[Given], None] | None = None


COVARIANCE = "a covariance of {units:,} features that is of full rank"

MEASURES: Mapping[str, Measure] = {
    "fid": Measure(
        _fid,
        "Frechet distance between Gaussians fitted to the features (Heusel et al. 2017)",
        ("fid", "min"),
        least=lambda units: units + 1,
        reason=COVARIANCE,
    ),
    "fid_infinity": Measure(
        _fid_infinity,
        "the same, extrapolated to infinitely many samples (Chong, Forsyth 2020)",
        ("fid_infinity", "min"),
        least=lambda units: 2 * (units + 1),
        reason=f"an extrapolation from half of them, with {COVARIANCE}",
    ),
    "kid": Measure(
        _kid,
        "unbiased squared MMD of the cubic kernel (Binkowski et al. 2018), over all pairs of 10,000 images of each set "
        "at the most; standard error by the jackknife over both sets",
        ("kid", "min"),
    ),
    "is": Measure(
        _is,
        "inception score with this classifier, 10 parts (Salimans et al. 2016)",
        ("inception_score", "max"),
        needs_classes=True,
        least=lambda units: 10,
        reason="ten parts",
    ),
    "prdc": Measure(
        _prdc,
        "improved precision and recall, k = 3 (Kynkaanniemi et al. 2019); density and coverage, k = 5 (Naeem et al. "
        "2020)",
        least=lambda units: 6,
        reason="five neighbours",
        few=500,
    ),
    "prd": Measure(
        _prd,
        "F_8 and F_1/8 of the curve over 20 clusters, 10 clusterings (Sajjadi et al. 2018)",
        least=lambda units: 20,
        reason="20 clusters",
    ),
    "modes": Measure(
        _modes,
        "classes of the samples by this classifier; KL(samples || data) in nats, of the samples whose classes the data "
        "have",
        ("class_divergence", "min"),
        needs_classes=True,
        of_data_classes=True,
    ),
    "memorisation": Measure(_memorisation, "median distance to the nearest training image"),
    "birthday": Measure(
        _birthday,
        f"share of 20 batches with a pair nearer than any of {1 - OF_DATA:.0%} of the largest batches of data have; "
        "number of equally likely samples that would collide so often, a bound where all sizes collide more often than "
        "half of the time or all less (Arora et al. 2018)",
        least=lambda units: 40,
        reason="batches of 20",
        warning=BIRTHDAY_WARNING,
    ),
    "parzen": Measure(
        _parzen,
        "Parzen window on pixels in [0, 1], bandwidth from half of the data",
        least=lambda units: 4,
        reason="two halves with a spread",
        warning=PARZEN_WARNING,
        of_features=False,
    ),
    "ms_ssim": Measure(
        _ms_ssim,
        "MS-SSIM of random pairs of samples, on five scales or as many as the size allows; less is more diverse (Odena "
        "et al. 2017)",
        suits=_check_size,
        of_features=False,
    ),
    "sharpness": Measure(
        _sharpness,
        "mean over images of the variance of the Laplacian (Pech-Pacheco et al. 2000)",
        of_features=False,
    ),
    "ppl": Measure(_path_length, "perceptual path length in these features (Karras et al. 2019)", suits=_check_path),
    "triangles": Measure(
        _triangles,
        f"precision, recall and F1 on the manifold of triangles, threshold {THRESHOLD} (Lucic et al. 2018)",
        suits=_check_triangles,
        of_features=False,
    ),
}
