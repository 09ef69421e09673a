"""Looking into a latent space: where data lie in it, how it meets its prior, what directions and paths decode to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from experiments.latent_codes import (
    Coded,
    Coder,
    Codes,
    Images,
    OnCodes,
    OnDecoder,
    chosen_images,
    encode_data,
    encodes,
    open_coder,
    open_codes,
)
from experiments.verbs import check_num
from gdl_jax.data.source import Split, load
from gdl_jax.errors import UsageError
from gdl_jax.metrics.latent import (
    INACTIVE_VARIANCE,
    class_areas,
    empty_share,
    kl_to_prior,
    p_values,
    prior_check,
    quantiles,
)
from gdl_jax.metrics.neighbours import nearest
from gdl_jax.models.latents import lerp, plane, principal_axes, slerp
from gdl_jax.models.model import LatentModel
from gdl_jax.pictures.grid import save_gif, strip
from gdl_jax.pictures.latent import scatter_image
from gdl_jax.pictures.latent_plane import captioned, histograms, named_rows, short, ticked, titled

MOST_DIMENSIONS = 10
MOST_HISTOGRAMS = 50
MOST_TEST_IMAGES = 5000
PRIOR_MEANS = (-2.0, -1.0, 0.0, 1.0, 2.0)
PRIOR_STDS = (0.75, 0.85, 0.95, 1.05, 1.15, 1.25, 1.35, 1.45)
"""The grid of Lanham's figure 3-19."""
PATHS: dict[str, Callable] = {"linear": lerp, "slerp": slerp}


@dataclass(frozen=True, kw_only=True)
class ShowCodes(OnCodes):
    """Show images, their codes, and what the codes decode to."""

    num: int = 10
    """How many."""


@dataclass(frozen=True, kw_only=True)
class Scatter(OnCodes):
    """Draw the codes of the data, coloured by class, also through the prior's distribution function, and decode draws.

    With more than two latent dimensions the plot is of the two directions in which the codes vary most.
    """

    draws: int = 30
    """Points to draw from the prior (from the codes' bounding box where there is none) and to decode."""
    sampled: bool | None = None
    """Draw each code from q(z|x), as the prior describes them (default: where there is such); else take its mean."""


@dataclass(frozen=True, kw_only=True)
class LatentGrid(OnCodes):
    """Decode a grid of points of the latent plane.

    With more than two latent dimensions the plane is that in which the data's codes vary most.
    """

    side: int = 30
    """Points in each direction."""
    spacing: Literal["linear", "quantile", "box"] = "linear"
    """Even steps from -extent to extent, even steps of probability under the prior, or the codes' bounding box."""
    extent: float = 1.0
    """Half the side of the square (with linear)."""


@dataclass(frozen=True, kw_only=True)
class CheckPrior(OnCodes):
    """Compare each dimension of the codes with N(0, 1): mean, standard deviation, KS distance, histogram."""

    sampled: bool | None = None
    """Draw each code from q(z|x), as the prior describes them (default: where there is such); else take its mean."""


@dataclass(frozen=True, kw_only=True)
class Sweep(OnDecoder):
    """Decode along single dimensions, or draws from a prior of another mean and standard deviation."""

    over: Literal["dimensions", "prior"] = "dimensions"
    """What changes."""
    dimensions: tuple[int, ...] = ()
    """Which, from 0 on (default: the ten in which the codes vary most)."""
    image: int | None = None
    """Number of a test image to start from (default: the middle of the prior, or the mean code)."""
    extent: float = 3.0
    """Each dimension goes from minus to plus so many."""
    points: int = 10
    """Images in a row."""


@dataclass(frozen=True, kw_only=True)
class Morph(OnDecoder):
    """Walk from one image to another along the straight line and the great circle: a picture, and two animations."""

    start: tuple[int, ...] = (0,)
    """Numbers of the images to start from."""
    end: tuple[int, ...] = (1,)
    """Numbers of the images to end at, as many."""
    points: int = 11
    """Images of each walk, both ends among them."""
    split: Split = "test"
    """Which part of the data."""


def show_codes(options: ShowCodes) -> None:
    """`codes WORKDIR`."""
    found = open_codes(options)
    decoded = found.coder.decode(found.codes)
    shown = [" ".join(short(value) for value in code[:3]) + (" ..." if len(code) > 3 else "") for code in found.codes]
    both = np.concatenate([found.images, decoded])
    picture = captioned(both, shown + [""] * len(shown), columns=len(shown))
    found.coder.save("codes", titled(picture, f"{found.words}: originals, codes, reconstructions"))
    error = (found.images.astype(np.float64) - decoded) / 255
    found.coder.say({"mean squared error, pixels in [0, 1]": np.square(error).mean()})


def scatter(options: Scatter) -> None:
    """`scatter WORKDIR`."""
    check_num(options.draws, "draws")
    found = open_codes(options, sampled=options.sampled)
    points, where = in_plane(found)
    words = f"{found.words}, step {found.coder.run.step:,}{where}"
    found.coder.save("latent", titled(scatter_image(points, found.labels, found.classes), words))
    axis = "component" if where else "dimension"
    numbers = {f"mean of {axis} {i}": value for i, value in enumerate(points.mean(axis=0))}
    numbers |= {f"standard deviation of {axis} {i}": value for i, value in enumerate(points.std(axis=0))}
    low, high = points.min(axis=0), points.max(axis=0)
    area = "the codes' bounding box"
    if found.coder.has_prior:
        numbers["KL of their normal to the prior, nats"] = kl_to_prior(found.codes)
        inside = p_values(points)
        picture = scatter_image(inside, found.labels, found.classes)
        found.coder.save("latent_p_values", titled(picture, f"p-values under N(0, 1): {words}"))
        points, low, high, area = inside, np.zeros(2), np.ones(2), "the square of p-values"
    else:
        print(f"{found.coder.name} has no prior, so its codes have no p-values.")
    numbers[f"empty cells of 20 x 20 in {area}"] = empty_share(points, low=low, high=high)
    shares = class_areas(points, found.labels, len(found.classes), low=low, high=high)
    if len(shares) > 1:
        numbers |= {f"share of {area}: {name}": share for name, share in zip(found.classes, shares, strict=True)}
    _draws(found, options.draws)
    found.coder.say(numbers)


def _draws(found: Coded, num: int) -> None:
    """New points among the codes, and their decodings."""
    low, high = found.codes.min(axis=0), found.codes.max(axis=0)
    uniform = np.random.default_rng(found.coder.seed).uniform(low, high, (num, len(low)))
    drawn = found.coder.draw(num, "scatter verb") if found.coder.has_prior else uniform
    origin = "the prior" if found.coder.has_prior else "the codes' bounding box"
    points, where = in_plane(found)
    of_drawn = drawn if drawn.shape[1] == 2 else drawn @ principal_axes(found.codes)[0].T
    both = np.concatenate([points, of_drawn.astype(points.dtype)])
    kinds = np.concatenate([np.zeros(len(points), int), np.ones(num, int)])
    words = f"{num} points drawn from {origin}, among {found.words}{where}"
    found.coder.save("latent_draws", titled(scatter_image(both, kinds, ("codes", "drawn")), words))
    shown = [f"{short(x)}, {short(y)}" for x, y in of_drawn]
    found.coder.save("latent_draws_decoded", titled(captioned(found.coder.decode(drawn), shown, 10), words))


def latent_grid(options: LatentGrid) -> None:
    """`latent_grid WORKDIR`."""
    check_num(options.side, "side", 2)
    if options.extent <= 0:
        raise UsageError(f"--extent is {options.extent}; it has to be above 0.")
    coder = open_coder(options)
    if encodes(coder):
        known = encode_data(coder, options.split, options.num).codes
    elif options.spacing == "box":
        raise UsageError(f"{coder.name} has no encoder, so its data have no codes to bound; use --spacing linear.")
    else:
        known = np.zeros((1, coder.draw(1, "size").shape[1]), np.float32)
    axes, where = _axes(known, coder)
    along = known @ axes.T
    if options.spacing == "box":
        x, y = (np.linspace(*ends, options.side) for ends in zip(along.min(axis=0), along.max(axis=0), strict=True))
    elif options.spacing == "quantile":
        x = y = quantiles(np.linspace(0.01, 0.99, options.side))
    else:
        x = y = np.linspace(-options.extent, options.extent, options.side)
    # Where there is a prior its middle is 0; else what is not shown stays at its mean.
    centre = np.zeros(known.shape[1]) if coder.has_prior else known.mean(axis=0) - along.mean(axis=0) @ axes
    codes = plane(centre, axes, x, y)
    images = coder.decode(codes.reshape(-1, codes.shape[-1]))
    names = ("z[0]", "z[1]") if not where else ("first direction", "second direction")
    picture = ticked(images.reshape(options.side, options.side, *images.shape[1:]), x, y, names)
    spaced = {"linear": "even steps", "quantile": "even steps of the prior's probability", "box": "the codes' box"}
    words = f"decoded grid of {options.side} x {options.side}, {spaced[options.spacing]}{where}"
    coder.save(f"latent_grid_{options.spacing}", titled(picture, words))
    if coder.has_prior:
        share = np.prod(np.diff(p_values(np.array([[x[0], y[0]], [x[-1], y[-1]]])), axis=0))
        coder.say({"share of the prior that the square holds": float(share)})


def check_prior(options: CheckPrior) -> None:
    """`prior_check WORKDIR`."""
    found = open_codes(options, sampled=options.sampled)
    check = prior_check(found.codes)
    shown = min(len(check.mean), MOST_HISTOGRAMS)
    names = [f"{i}: {check.mean[i]:.2f} ± {check.std[i]:.2f}" for i in range(shown)]
    words = f"{found.words} against N(0, 1)" + (
        f", first {shown} of {len(check.mean)}" if shown < len(check.mean) else ""
    )
    found.coder.save("prior_check", titled(histograms(found.codes[:, :shown], names), words))
    print(f"{found.words}\n  dimension      mean       std        KS")
    for i, (mean, std, ks) in enumerate(zip(check.mean, check.std, check.ks, strict=True)):
        print(f"  {i:>9} {mean:>9.3f} {std:>9.3f} {ks:>9.3f}")
    means = found.coder.encode(found.images) if found.sampled else found.codes
    found.coder.say(
        {
            "largest KS distance": check.ks.max(),
            "under it are 95 % of samples of N(0, 1)": 1.36 / np.sqrt(len(found.codes)),
            "KL of their normal to the prior, nats": kl_to_prior(found.codes),
            f"dimensions without content (variance < {INACTIVE_VARIANCE})": (
                means.var(axis=0) < INACTIVE_VARIANCE
            ).sum(),
        }
    )


def sweep(options: Sweep) -> None:
    """`sweep WORKDIR`."""
    check_num(options.points, "points", 2)
    coder = open_coder(options)
    if options.over == "prior":
        _sweep_prior(coder, options.points)
    else:
        _sweep_dimensions(coder, options)


def _sweep_dimensions(coder: Coder, options: Sweep) -> None:
    if encodes(coder):
        codes = coder.encode(_test_images(coder))
        middle, spread = (np.zeros(codes.shape[1]) if coder.has_prior else codes.mean(axis=0)), codes.std(axis=0)
    else:
        middle = np.zeros(coder.draw(1, "size").shape[1])
        spread = np.ones(len(middle))
    if options.image is not None:
        middle = coder.encode(chosen_images(coder, "test", (options.image,)))[0]
    wrong = [i for i in options.dimensions if not 0 <= i < len(middle)]
    if wrong:
        raise UsageError(f"There is no dimension {wrong[0]}; the codes have 0 to {len(middle) - 1}.")
    chosen = options.dimensions or np.argsort(-spread, kind="stable")[:MOST_DIMENSIONS].tolist()
    steps = np.linspace(-options.extent, options.extent, options.points)
    walks = np.broadcast_to(middle, (len(chosen), options.points, len(middle))).copy()
    for row, i in enumerate(chosen):
        # Without a prior the codes have a scale of their own.
        walks[row, :, i] = steps if coder.has_prior else middle[i] + steps * spread[i]
    images = coder.decode(walks.reshape(-1, len(middle)))
    images = images.reshape(len(chosen), options.points, *images.shape[1:])
    unit = "" if coder.has_prior else " standard deviations round the mean code"
    words = f"single dimensions from {-options.extent:g} to {options.extent:g}{unit}, step {coder.run.step:,}"
    coder.save("sweep_dimensions", titled(named_rows(images, [f"z[{i}]" for i in chosen]), words))
    change = np.abs(images[:, -1].astype(float) - images[:, 0]).mean(axis=(1, 2, 3))
    coder.say(
        {f"mean change of a pixel from end to end, z[{i}]": value for i, value in zip(chosen, change, strict=True)}
    )


def _sweep_prior(coder: Coder, points: int) -> None:
    if not isinstance(coder.run.model, LatentModel):
        raise UsageError(f"{coder.name} has no prior to change; use --over dimensions.")
    pairs = [(std, mean) for std in PRIOR_STDS for mean in PRIOR_MEANS]
    # The same draws in every row, so that only mean and deviation differ.
    noise = coder.draw(points, "sweep verb")
    images = coder.decode(np.concatenate([mean + std * noise for std, mean in pairs]))
    grouped = images.reshape(len(pairs), points, *images.shape[1:])
    names = [f"mean {mean:g}, std {std:g}" for std, mean in pairs]
    coder.save("sweep_prior", titled(named_rows(grouped, names), f"draws from N(mean, std^2), step {coder.run.step:,}"))
    known = _test_images(coder)
    flat, reference = (batch.reshape(len(batch), -1).astype(np.float32) for batch in (images, known))
    distance = nearest(flat, reference, 1).distances[:, 0] / np.sqrt(flat.shape[1])
    distance = distance.reshape(len(PRIOR_STDS), len(PRIOR_MEANS), points)
    print("root mean square distance to the nearest test image, 0 to 255, by mean (across) and std (down)")
    print(" " * 6 + "".join(f"{mean:>8g}" for mean in PRIOR_MEANS))
    for std, line in zip(PRIOR_STDS, distance.mean(axis=2), strict=True):
        print(f"{std:>6g}" + "".join(f"{value:>8.1f}" for value in line))


def morph(options: Morph) -> None:
    """`morph WORKDIR`."""
    check_num(options.points, "points", 2)
    if len(options.start) != len(options.end) or not options.start:
        raise UsageError("--start and --end need equally many images, at least one.")
    coder = open_coder(options)
    images = chosen_images(coder, options.split, options.start + options.end)
    ends = jnp.asarray(coder.encode(images))
    start, end = ends[: len(options.start)], ends[len(options.start) :]
    first, last = images[: len(options.start)], images[len(options.start) :]
    lines, numbers = [], {}
    for name, path in PATHS.items():
        walk = np.stack([np.asarray(path(start, end, float(t))) for t in np.linspace(0, 1, options.points)], axis=1)
        decoded = coder.decode(walk.reshape(-1, walk.shape[-1])).reshape(*walk.shape[:2], *images.shape[1:])
        lines.append(np.concatenate([first[:, None], decoded, last[:, None]], axis=1))
        frames = np.stack([strip(decoded[:, t]) for t in (*range(options.points), *range(options.points - 2, 0, -1))])
        save_gif(coder.path(f"morph_{name}", ".gif"), frames)
        print(coder.path(f"morph_{name}", ".gif"))
        lengths = np.linalg.norm(walk, axis=-1)
        moved = np.abs(np.diff(decoded.astype(float), axis=1)).mean(axis=(0, 2, 3, 4))
        numbers[f"{name}: length of the middle code / mean of the ends"] = (
            lengths[:, options.points // 2] / np.maximum(lengths[:, [0, -1]].mean(axis=1), 1e-9)
        ).mean()
        numbers[f"{name}: largest step / mean step in pixels"] = moved.max() / max(moved.mean(), 1e-9)
    names = [f"{name} {a} to {b}" for name in PATHS for a, b in zip(options.start, options.end, strict=True)]
    picture = named_rows(np.concatenate(lines), names)
    coder.save("morph", titled(picture, "original, decoded walk, original"))
    coder.say(numbers)


def in_plane(found: Coded) -> tuple[Float[np.ndarray, "num 2"], str]:
    """The codes in the plane of a plot, and what a title says of it.

    Raises:
        UsageError: they have one dimension.
    """
    axes, where = _axes(found.codes, found.coder)
    return (found.codes @ axes.T if where else found.codes), where


def _axes(codes: Codes, coder: Coder) -> tuple[Float[np.ndarray, "2 latent"], str]:
    size = codes.shape[1]
    if size < 2:
        raise UsageError(f"The codes of {coder.name} have one dimension, and a plane needs two; use sweep.")
    if size == 2 or len(codes) < 2:
        return np.eye(2, size), "" if size == 2 else f", first two of {size} dimensions"
    axes, share = principal_axes(codes)
    return axes, f", first two principal components of {size} dimensions ({share:.0%} of the variance)"


def _test_images(coder: Coder) -> Images:
    source = load(coder.run.experiment.data, "test")
    return source.take(np.arange(min(MOST_TEST_IMAGES, len(source))))["image"]


LATENT_VERBS = {
    "codes": (ShowCodes, show_codes),
    "scatter": (Scatter, scatter),
    "latent_grid": (LatentGrid, latent_grid),
    "prior_check": (CheckPrior, check_prior),
    "sweep": (Sweep, sweep),
    "morph": (Morph, morph),
}
