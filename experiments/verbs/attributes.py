"""Directions of a latent space that change an attribute, and arithmetic with what images have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from experiments.verbs.codes import Coded, OnCodes, encode_data, encodes, open_coder, open_codes
from experiments.verbs.opening import Images, check_num
from gdl_jax.data.source import Split
from gdl_jax.errors import UsageError, nearest
from gdl_jax.latents import attribute_vector
from gdl_jax.metrics.latent import share_of_nearest
from gdl_jax.metrics.readout import area_under_curve, fit_readout
from gdl_jax.pictures.captions import captioned, named_rows, titled

FEWEST = 2
"""Images with an attribute, and without it, that a direction needs."""

MOST, FITTED = 10, 2000
"""Attributes where none is named, and images to which their read-out is fitted."""

GROUPS = ("first", "minus", "plus")

SHEET = 64
"""Images from which a user of a model without an encoder chooses."""

Flags = dict[str, Bool[np.ndarray, " num"]]


@dataclass(frozen=True, kw_only=True)
class Attributes(OnCodes):
    """Find the direction of each attribute (mean code with it minus mean code without) and add it to codes of images.

    How far the decoded images have the attribute is measured twice, from their pixels: by the best linear function of
    pixels, fitted to the data's own images and attributes (the area under its curve on the test images says how far to
    trust it), and by the attribute's share among the nearest images of the data. Both should rise along the direction.
    """

    split: Split = "train"
    """Which part of the data gives the directions; they are added to codes of the test set."""
    names: tuple[str, ...] = ()
    """Attributes or classes, as the data name them (default: all, at most ten)."""
    alphas: tuple[float, ...] = (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0)
    """Multiples of the direction that are added."""
    normalize: bool = False
    """Scale each direction to length 1."""
    images: int = 5
    """Rows of a picture."""
    measured: int = 100
    """Test images that lack the attribute, and that have it, over which the effect is averaged."""
    neighbours: int = 5
    """Nearest images that are asked."""


@dataclass(frozen=True, kw_only=True)
class Arithmetic(OnCodes):
    """Decode the mean code of one group minus that of a second plus that of a third, with eight neighbours.

    Each group is a few images that have some attributes: `--first smiling hat --minus hat --plus eyeglasses`. Where a
    model has no encoder the groups are numbers of the images on the sheet that this verb draws without any group.
    Radford et al. 2016, section 6.3.2.
    """

    split: Split = "train"
    """Which part of the data has the images."""
    first: tuple[str, ...] = ()
    """Attributes of the first group (not_NAME for the lack of one), or numbers."""
    minus: tuple[str, ...] = ()
    """Of the group that is taken away."""
    plus: tuple[str, ...] = ()
    """Of the group that is added."""
    exemplars: int = 3
    """Images of each group."""
    noise: float = 0.25
    """The neighbours differ by uniform noise from minus to plus so much."""


def attribute_values(found: Coded) -> dict[str, np.ndarray]:
    """The different values of each attribute that images have."""
    names = getattr(found.source, "attribute_names", ())
    columns = found.examples["attributes"].T if names else ()
    return {name: np.unique(values) for name, values in zip(names, columns, strict=True)}


def flags_of(found: Coded, known: dict[str, np.ndarray]) -> Flags:
    """Which images have which attribute or class.

    Args:
        found: the images.
        known: the values of each attribute that count; each is a flag of its own where there are more than two.

    Raises:
        UsageError: the data have neither.
    """
    flags = {name: found.examples["label"] == index for index, name in enumerate(found.source.classes)}
    for column, (name, different) in enumerate(known.items()):
        values = found.examples["attributes"][:, column]
        if len(different) <= 2:
            flags[name] = values > 0
        else:
            flags |= {f"{name}_{value}": values == value for value in different}
    if not flags:
        data = found.coder.run.experiment.data.name
        raise UsageError(f"The images of {data} have neither classes nor attributes; train on data that do.")
    return flags


def _check_names(names: tuple[str, ...], flags: Flags) -> None:
    for name in names:
        if name.removeprefix("not_") not in flags and name not in flags:
            raise UsageError(f"The data have no attribute {name!r}: {nearest(name, flags)}")


def attributes(options: Attributes) -> None:
    """`attributes WORKDIR`."""
    for option in ("images", "measured", "neighbours"):
        check_num(getattr(options, option), option)
    known = open_codes(options)
    values = attribute_values(known)
    flags = flags_of(known, values)
    _check_names(options.names, flags)
    enough = {name: flag for name, flag in flags.items() if FEWEST <= flag.sum() <= len(flag) - FEWEST}
    scarce = [name for name in options.names if name not in enough]
    if scarce:
        raise UsageError(f"Of {len(known.images)} images too few have, or lack, {scarce[0]!r}; raise --num.")
    names = options.names or tuple(enough)[:MOST]
    generator = np.random.default_rng(options.seed)
    fitted = generator.permutation(len(known.images))[:FITTED]
    readout = fit_readout(known.images[fitted], np.stack([enough[name][fitted] for name in names], axis=1))
    test = encode_data(known.coder, "test", options.num)
    scores, flags_of_test = readout(test.images), flags_of(test, values)
    alphas = np.array(options.alphas, np.float32)
    for column, name in enumerate(names):
        vector, wanted = attribute_vector(known.codes, enough[name], normalize=options.normalize), flags_of_test[name]
        _show(test, name, vector, alphas, options.images)
        print(f"{name}: {enough[name].sum()} of {len(known.images)} images, length {np.linalg.norm(vector):.3f}")
        if 0 < wanted.sum() < len(wanted):
            area = area_under_curve(scores[:, column], wanted)
            print(f"  area under the curve of the read-out, test images: {area:.3f}")
        for words, chosen in (("without", np.flatnonzero(~wanted)), ("with", np.flatnonzero(wanted))):
            codes = test.codes[generator.permutation(chosen)[: options.measured]]
            if len(codes):
                decoded = [known.coder.decode(codes + alpha * vector) for alpha in alphas]
                read = [readout(images)[:, column].mean() for images in decoded]
                shares = [
                    share_of_nearest(images, known.images, enough[name], options.neighbours).mean()
                    for images in decoded
                ]
                print(f"  images {words:<8} read-out       {_along(alphas, read)}")
                print(f"  images {words:<8} nearest images {_along(alphas, shares)}")


def _along(alphas: np.ndarray, values: list[float]) -> str:
    return "  ".join(f"{alpha:+g}: {value:.2f}" for alpha, value in zip(alphas, values, strict=True))


def _show(test: Coded, name: str, vector: np.ndarray, alphas: np.ndarray, count: int) -> None:
    # Evenly spaced, for neighbours may be of one person.
    rows = np.linspace(0, len(test.images) - 1, count).round().astype(int)
    codes, images = test.codes[rows], test.images[rows]
    walks = codes[:, None] + alphas[None, :, None] * vector
    decoded = test.coder.decode(walks.reshape(-1, walks.shape[-1])).reshape(*walks.shape[:2], *images.shape[1:])
    lines = np.concatenate([images[:, None], decoded], axis=1)
    words = f"original, then {name} times {', '.join(f'{alpha:g}' for alpha in alphas)} added"
    picture = named_rows(lines, [str(row) for row in range(len(lines))])
    test.coder.save(f"attribute_{name.replace(' ', '_')}", titled(picture, words))


def arithmetic(options: Arithmetic) -> None:
    """`arithmetic WORKDIR`."""
    check_num(options.exemplars, "exemplars")
    if options.noise < 0:
        raise UsageError(f"--noise is {options.noise}; it has to be 0 or more.")
    coder = open_coder(options)
    groups = {name: getattr(options, name) for name in GROUPS}
    if encodes(coder):
        found = encode_data(coder, options.split, options.num)
        images, codes, flags = found.images, found.codes, flags_of(found, attribute_values(found))
        _check_groups(groups, "name the attributes that the images of each group have")
        chosen = {name: _exemplars(name, words, flags, options) for name, words in groups.items()}
    else:
        codes = coder.draw(SHEET, "arithmetic verb")
        images, flags = coder.decode(codes), {}
        numbered = captioned(images, [str(i) for i in range(SHEET)], columns=8)
        coder.save("arithmetic_sheet", titled(numbered, "choose the images of the groups by their numbers"))
        _check_groups(groups, "give the numbers of the images of each group on the sheet")
        chosen = {name: _numbers(name, words) for name, words in groups.items()}

    means = {name: codes[indices].mean(axis=0) for name, indices in chosen.items()}
    result = means["first"] - means["minus"] + means["plus"]
    noise = np.random.default_rng(options.seed).uniform(-options.noise, options.noise, (9, len(result)))
    noise[0] = 0
    decoded = coder.decode(result + noise.astype(np.float32))
    of_means = coder.decode(np.stack(list(means.values())))
    lines = [np.concatenate([images[i], of_means[k : k + 1]]) for k, i in enumerate(chosen.values())]
    lines.append(decoded)
    names = [" ".join((name, *words)) for name, words in groups.items()]
    filled = np.stack([_filled(line, max(map(len, lines))) for line in lines])
    picture = named_rows(filled, [*names, "result, neighbours"])
    coder.save("arithmetic", titled(picture, "images of each group and their mean code; first - minus + plus"))
    words = [word if word in flags else word.removeprefix("not_") for group in groups.values() for word in group]
    named = {word: flags[word] for word in words if word in flags}
    if named:
        fitted = np.random.default_rng(options.seed).permutation(len(images))[:FITTED]
        of_fitted = {word: flag[fitted] for word, flag in named.items()}
        coder.say(_measured(of_fitted, images[fitted], of_means[:1], decoded))


def _check_groups(groups: dict[str, tuple[str, ...]], advice: str) -> None:
    missing = [name for name, words in groups.items() if not words]
    if missing:
        raise UsageError(f"--{missing[0]} is missing: {advice}.")


def _numbers(name: str, words: tuple[str, ...]) -> np.ndarray:
    wrong = [word for word in words if not (word.isdigit() and int(word) < SHEET)]
    if wrong:
        raise UsageError(f"--{name} takes numbers from 0 to {SHEET - 1}, as on the sheet, not {wrong[0]!r}.")
    return np.array([int(word) for word in words])


def _exemplars(name: str, words: tuple[str, ...], flags: Flags, options: Arithmetic) -> np.ndarray:
    _check_names(words, flags)
    every = np.logical_and.reduce([flags[w] if w in flags else ~flags[w.removeprefix("not_")] for w in words])
    if every.sum() < options.exemplars:
        raise UsageError(f"Only {every.sum()} images are {' and '.join(words)}; --{name} needs {options.exemplars}.")
    # Another stream for each group, so that groups of the same words are of other images.
    generator = np.random.default_rng([options.seed, GROUPS.index(name)])
    return np.sort(generator.choice(np.flatnonzero(every), options.exemplars, replace=False))


def _filled(images: Images, width: int) -> Images:
    """White images after the last."""
    white = np.full((width - len(images), *images.shape[1:]), 255, np.uint8)
    return np.concatenate([images, white])


def _measured(flags: Flags, known: Images, first: Images, decoded: Images) -> dict[str, float]:
    """How far the mean of the first group, and the result, have each attribute; see `fit_readout`."""
    readout = fit_readout(known, np.stack(list(flags.values()), axis=1))
    before, after = (readout(images).mean(axis=0) for images in (first, decoded))
    read = {f"{name}: read-out of the first group's mean": value for name, value in zip(flags, before, strict=True)}
    return read | {f"{name}: read-out of the result": value for name, value in zip(flags, after, strict=True)}


ATTRIBUTE_VERBS = {"attributes": (Attributes, attributes), "arithmetic": (Arithmetic, arithmetic)}
