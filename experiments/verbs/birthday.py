"""The verb `birthday`: how often two samples of a batch are alike, beside how often two training images are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.verbs.opening import check_num
from experiments.verbs.samples import OnSamples, open_judged, write_chart
from gdl_jax.errors import UsageError
from gdl_jax.metrics.birthday import OF_DATA, SIZES, WARNING, Support, drawn_from, sizes_for, support_size, threshold_of
from gdl_jax.metrics.neighbours import nearest
from gdl_jax.pictures.captions import captioned, titled
from gdl_jax.pictures.charts import INK, SOFT, chart, legend_outside, style
from gdl_jax.pictures.curves import PALETTE


@dataclass(frozen=True, kw_only=True)
class ShowBirthday(OnSamples):
    """Estimate how many different samples there are from how often two of a batch are alike: the birthday paradox."""

    sizes: tuple[int, ...] | None = None
    """Samples in a batch, ascending (default: 20, 50, 100, 200, 400, 800, 1600, as far as there are twice as many
    training images)."""
    batches: int = 20
    """Of each size."""
    shown: int = 20
    """Pairs in the picture."""


def show_birthday(options: ShowBirthday) -> None:
    """`birthday WORKDIR`."""
    check_num(options.batches, "batches")
    check_num(options.shown, "shown")
    sizes = options.sizes
    if sizes is not None and (not sizes or min(sizes) < 2 or list(sizes) != sorted(set(sizes))):
        raise UsageError("--sizes have to be 2 or more, and ascending.")
    judged = open_judged(options)
    sizes = sizes or sizes_for(len(judged.train)) or SIZES[:1]
    if 2 * max(sizes) > len(judged.train):
        raise UsageError(
            f"Batches of {max(sizes)} are compared with batches of training images, of which twice as many are needed; "
            f"there are {len(judged.train)}."
        )
    of_data = drawn_from(judged.known_features)
    threshold = threshold_of(of_data, max(sizes))
    found, of_training = (
        support_size(draw, threshold, sizes=sizes, batches=options.batches)
        for draw in (lambda seed, num: judged.features.of(judged.draw(num, 1 + seed)), of_data)
    )
    samples = judged.draw(max(sizes))
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
        write_chart(judged, "birthday", _collisions(found, of_training))
    numbers = {
        "sizes": sizes,
        "collisions": found.collisions,
        "collisions_of_training_images": of_training.collisions,
        "threshold": threshold,
        "threshold_is": f"the least distance in {OF_DATA:.0%} of the largest batches of training images",
        "support": found.estimate,
        "support_is": found.bound or "interpolated",
    }
    judged.write("birthday", {**judged.said, "batches": options.batches, **numbers, "warning": WARNING})
    for size, share, known in zip(sizes, found.collisions, of_training.collisions, strict=True):
        print(f"  {f'batches of {size} with a pair that is alike':<48} {share:.0%} (training images: {known:.0%})")
    print(f"  {'different samples, if all are equally likely':<48} {_said_of(found)}")
    print(f"  {WARNING}")


def _said_of(found: Support) -> str:
    return f"{found.bound or 'about'} {found.estimate:,.0f}"


def _collisions(found: Support, of_training: Support):
    figure, (axes,) = chart(width=6.4, height=3.4)
    axes.plot(
        found.sizes,
        found.collisions,
        color=PALETTE[0],
        marker="o",
        markersize=4,
        label="batches of samples with a pair",
    )
    axes.plot(found.sizes, of_training.collisions, color=SOFT, marker="o", markersize=4, label="of training images")
    axes.axhline(0.5, color=INK, linestyle=":", linewidth=1, label="half of them")
    if not found.bound:
        axes.axvline(found.half, color=PALETTE[1], linestyle="--", label=f"n = {found.half:.0f}")
    title = f"Birthday paradox: {_said_of(found)} different samples"
    axes.set(xlabel="images in a batch", ylabel="share", ylim=(-0.02, 1.02), title=title)
    legend_outside(axes, 4)
    return figure


BIRTHDAY_VERBS = {"birthday": (ShowBirthday, show_birthday)}
