"""Measures of two sets of images, for `evaluate --metrics` and `compare`: which can be taken, and their protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from gdl_jax.errors import UsageError, nearest
from gdl_jax.metrics.features import PIXELS, Features
from gdl_jax.metrics.measures import MEASURES, Given
from gdl_jax.metrics.sets import Sets

SOME = 16
"""Images of the data, by which it is seen whether they suit a measure."""


def check(names: Sequence[str], given: Given) -> None:
    """Whether these measures, of `MEASURES`, can be taken.

    Raises:
        UsageError: an unknown name, features that do not tell the classes that are needed, too few examples, or a
            model or data that do not suit a measure.
    """
    features, classes, units = given.features, given.classes, given.units
    for name in check_names(names):
        found = MEASURES[name]
        if found.needs_classes and not features.tells_classes:
            raise UsageError(
                f"{name} needs a classifier, and the features {features.name!r} tell no classes; give one with "
                "--features."
            )
        if found.of_data_classes and not classes:
            raise UsageError(f"{name} needs the classes of the data, and they are not known.")
        if found.of_data_classes and features.num_classes != classes:
            raise UsageError(
                f"{name} needs a classifier of the {classes} classes of the data, and the features {features.name!r} "
                f"tell {features.num_classes:,} others; give one with --features."
            )
        short = shortage(name, given)
        if short:
            least = min(given.numbers.values())
            others = (other for other in suiting(features, classes) if MEASURES[other].least(units) <= least)
            known = " evaluate compares with training images too, by --split train."
            raise UsageError(
                f"{short} Of so few one can take: {','.join(others) or 'none'}."
                f"{known if 'test images' in given.numbers else ''}"
            )
        if found.suits:
            with _told_of(name):
                found.suits(given)


@contextmanager
def _told_of(name: str) -> Iterator[None]:
    """What does not suit a measure is a mistake of the user's, said of that measure."""
    try:
        yield
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error


def shortage(name: str, given: Given) -> str:
    """A sentence if there are too few examples for the measure, else ""."""
    least, reason = MEASURES[name].least(given.units), MEASURES[name].reason.format(units=given.units)
    few = ((what, num) for what, num in given.numbers.items() if num < least)
    return next((f"{name} needs {least:,} or more {what} for {reason}; there are {num:,}." for what, num in few), "")


def suiting(features: Features, classes: int) -> tuple[str, ...]:
    """All measures that suit every model, these features and data of so many classes (0: not known)."""
    return tuple(
        name
        for name, measure in MEASURES.items()
        if measure.suits is None
        and (features.tells_classes or not measure.needs_classes)
        and (0 < classes == features.num_classes or not measure.of_data_classes)
    )


def best_of(names: Sequence[str]) -> tuple[str, Literal["min", "max"]] | None:
    """The value of the first measure that a training can be judged by, and its better end; None where none is fit."""
    return next((MEASURES[name].best for name in check_names(names) if MEASURES[name].best), None)


def check_names(names: Sequence[str]) -> Sequence[str]:
    """The names, if all are of `MEASURES`.

    Raises:
        UsageError: one is not.
    """
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        raise UsageError(f"There is no metric {unknown[0]!r}: {nearest(unknown[0], MEASURES)}")
    return names


def warnings_of(name: str, sets: Sets) -> list[str]:
    """What is to be known of a value of these sets."""
    found = MEASURES[name]
    fewest = min(len(sets.real), len(sets.fake))
    few = f"{name} of {fewest} images: balls around so few cover much of the space; {found.few} of each say more."
    blind = (
        "pixels are means of 8x8 cells, which see no texture: noise of the right brightness can be as near as data. "
        "--features cifar10 sees more of coloured images."
    )
    told = (found.warning, True), (few, fewest < found.few), (blind, found.of_features and sets.features is PIXELS)
    return [sentence for sentence, holds in told if sentence and holds]


def measure(sets: Sets, names: Sequence[str], protocol: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each value with how it was measured.

    Args:
        sets: what is compared.
        names: of `MEASURES`.
        protocol: what the caller knows of the sets, for every result.

    Returns:
        name -> {"value": ..., "protocol": {...}}; some measures give several.

    Raises:
        UsageError: an unknown name, or sets that do not suit a measure.
    """
    if sets.real.shape[1:] != sets.fake.shape[1:]:
        shapes = ("x".join(map(str, images.shape[1:])) for images in (sets.real, sets.fake))
        raise UsageError("The images are of two sizes, {} and {}; --size and --channels make them one.".format(*shapes))
    check_names(names)
    numbers = {"samples": len(sets.fake), "images of data": len(sets.real)}
    classes = 0 if sets.shares is None else len(sets.shares)
    check(names, Given(sets.features, sets.real[:SOME], numbers, classes, sets.decoder is not None))
    sets = sets.shuffled()
    common = {
        "features": sets.features.name,
        "features_description": sets.features.description,
        "features_sha256": sets.features.sha256,
        "image_shape": "x".join(map(str, sets.real.shape[1:])),
        "resize": sets.features.treatment(sets.real.shape[1:]),
        "order": sets.order,
        "samples": len(sets.fake),
        "real": len(sets.real),
        **protocol,
    }
    found = {}
    for name in names:
        with _told_of(name):
            values = MEASURES[name].of(sets)
        said = {"measure": MEASURES[name].description, **common}
        if warnings := warnings_of(name, sets):
            said["warnings"] = warnings
        if name == "ppl":
            said["path"] = dataclasses.asdict(sets.path)
        found |= {key: {"value": float(value), "protocol": said} for key, value in values.items()}
    return found
