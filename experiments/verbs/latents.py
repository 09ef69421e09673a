"""Looking into a latent space: where data lie in it, how it meets its prior, what its points decode to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from experiments.verbs.codes import (
    Coded,
    Coder,
    Codes,
    OnCodes,
    encode_data,
    encodes,
    open_coder,
    open_codes,
)
from experiments.verbs.opening import check_num
from gdl_jax.data.source import load
from gdl_jax.errors import UsageError
from gdl_jax.latents import plane, principal_axes
from gdl_jax.metrics.latent import (
    INACTIVE_VARIANCE,
    class_areas,
    empty_share,
    kl_to_prior,
    p_values,
    principal_component_error,
    prior_check,
    quantiles,
)
from gdl_jax.pictures.captions import captioned, histograms, short, ticked, titled
from gdl_jax.pictures.latent import scatter_image

MOST_HISTOGRAMS = 50
MOST_FITTED = 100_000_000
"""Numbers in the training images, at the most, of which principal components are taken."""


@dataclass(frozen=True, kw_only=True)
class ShowCodes(OnCodes):
    """Show images, their codes, and what the codes decode to.

    The squared error is of these images, with pixels in [0, 1]. Beside it stands that of as many principal components
    of the training images as a code has numbers: the best that a linear autoencoder can do.
    """

    num: int = 5000
    """Images to encode, as far as there are so many; of which the error is."""
    shown: int = 10
    """Of these, in the picture."""


@dataclass(frozen=True, kw_only=True)
class Scatter(OnCodes):
    """Draw the codes of the data, coloured by class, also through the prior's distribution function, and decode draws.

    With more than two latent dimensions the plot is of the two directions in which the codes vary most.
    """

    draws: int = 30
    """Points to draw and to decode."""
    draw_from: Literal["prior", "box", "normal"] | None = None
    """Where from: the prior; uniformly the codes' bounding box; or N(0, s^2), s the standard deviation of the codes in
    the mean over their dimensions (default: the prior, or the box where there is none)."""
    sampled: bool | None = None
    """Draw each code from q(z|x), as the prior describes them (default: where there is such); else take its mean."""


@dataclass(frozen=True, kw_only=True)
class LatentGrid(OnCodes):
    """Decode a grid of points of the latent plane.

    With more than two latent dimensions the plane is that in which the data's codes vary most.
    """

    side: int = 30
    """Points in each direction."""
    spacing: Literal["linear", "quantile", "box"] | None = None
    """Even steps from -extent to extent, even steps of probability under the prior, or the codes' bounding box
    (default: linear, or the box where there is no prior)."""
    extent: float = 1.0
    """Half the side of the square (with linear)."""


@dataclass(frozen=True, kw_only=True)
class CheckPrior(OnCodes):
    """Compare each dimension of the codes with N(0, 1): mean, standard deviation, KS distance, histogram."""

    sampled: bool | None = None
    """Draw each code from q(z|x), as the prior describes them (default: where there is such); else take its mean."""


def show_codes(options: ShowCodes) -> None:
    """`codes WORKDIR`."""
    check_num(options.shown, "shown")
    found = open_codes(options)
    decoded, size = found.coder.decode(found.codes), found.codes.shape[1]
    first = np.linspace(0, len(found.codes) - 1, min(options.shown, len(found.codes))).round().astype(int)
    shown = [" ".join(map(short, code[:3])) + (" ..." if size > 3 else "") for code in found.codes[first]]
    both = np.concatenate([found.images[first], decoded[first]])
    picture = captioned(both, shown + [""] * len(shown), columns=len(shown))
    found.coder.save("codes", titled(picture, f"{found.words}: originals, codes, reconstructions"))
    pairs, pixels = zip(found.images, decoded, strict=True), found.images[0].size
    error = np.mean([np.square((image.astype(np.float32) - other) / 255).sum() for image, other in pairs])
    train = load(found.coder.run.experiment.data, "train")
    chosen = np.random.default_rng(options.seed).permutation(len(train))[: MOST_FITTED // pixels]
    linear = principal_component_error(train.take(np.sort(chosen))["image"], found.images, size)
    found.coder.say(
        {
            "mean squared error, pixels in [0, 1]": error / pixels,
            "squared error of an image": error,
            f"squared error of {size} principal components": linear,
        }
    )


def scatter(options: Scatter) -> None:
    """`scatter WORKDIR`."""
    check_num(options.draws, "draws")
    found = open_codes(options, sampled=options.sampled)
    if options.draw_from == "prior" and not found.coder.has_prior:
        raise UsageError(f"{found.coder.name} has no prior to draw from; use --draw-from box or normal.")
    points, where = in_plane(found)
    words = f"{found.words}, step {found.coder.run.step:,}{where}"
    found.coder.save("latent", titled(scatter_image(points, found.labels, found.classes), words))
    axis = "component" if where else "dimension"
    numbers = {f"mean of {axis} {i}": value for i, value in enumerate(points.mean(axis=0))}
    numbers |= {f"standard deviation of {axis} {i}": value for i, value in enumerate(points.std(axis=0))}
    numbers["length of the mean code"] = np.linalg.norm(found.codes.mean(axis=0))
    numbers["mean length of a code"] = np.linalg.norm(found.codes, axis=1).mean()
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
    _draws(found, options)
    found.coder.say(numbers)


def _draws(found: Coded, options: Scatter) -> None:
    """New points among the codes, and their decodings."""
    codes, num, generator = found.codes, options.draws, np.random.default_rng(found.coder.seed)
    kind = options.draw_from or ("prior" if found.coder.has_prior else "box")
    if kind == "prior":
        drawn, origin = found.coder.draw(num, "scatter verb"), "the prior"
    elif kind == "box":
        drawn = generator.uniform(codes.min(axis=0), codes.max(axis=0), (num, codes.shape[1]))
        origin = "the codes' bounding box"
    else:
        deviation = np.sqrt(codes.var(axis=0).mean())
        drawn, origin = deviation * generator.standard_normal((num, codes.shape[1])), f"N(0, {deviation:.2f}^2)"
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
    spacing = options.spacing or ("linear" if coder.has_prior else "box")
    if encodes(coder):
        known = encode_data(coder, options.split, options.num).codes
    elif spacing == "box":
        raise UsageError(f"{coder.name} has no encoder, so its data have no codes to bound; use --spacing linear.")
    else:
        known = np.zeros((1, coder.draw(1, "size").shape[1]), np.float32)
    axes, where = _axes(known, coder)
    along = known @ axes.T
    if spacing == "box":
        x, y = (np.linspace(*ends, options.side) for ends in zip(along.min(axis=0), along.max(axis=0), strict=True))
    elif spacing == "quantile":
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
    words = f"decoded grid of {options.side} x {options.side}, {spaced[spacing]}{where}"
    coder.save(f"latent_grid_{spacing}", titled(picture, words))
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


LATENT_VERBS = {
    "codes": (ShowCodes, show_codes),
    "scatter": (Scatter, scatter),
    "latent_grid": (LatentGrid, latent_grid),
    "prior_check": (CheckPrior, check_prior),
}
