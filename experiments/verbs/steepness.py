"""The verb `steepness`: whether a critic is as steep as it may be, at images and between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.verbs.opening import OnCheckpoint, Shelf, check_num, check_shelf, open_run
from gdl_jax.data.transforms import scale
from gdl_jax.metrics.lipschitz import Steepness, steepness
from gdl_jax.pictures.charts import INK, chart, save_chart, style
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.steps.random import stream_key

PLACES = {
    "real": "at test images",
    "fake": "at samples",
    "between": "between the two",
    "ratios": "differences of pairs",
}


@dataclass(frozen=True, kw_only=True)
class ShowSteepness(OnCheckpoint):
    """Measure how steep the discriminator of a GAN is at test images, at samples, and at points between the two.

    |grad D|, Euclidean, of logits in evaluation mode and images in the model's range, and |D(x) - D(y)| / |x - y| of
    random pairs; the largest of all is a lower bound of the Lipschitz constant, which a critic of the Wasserstein
    distance is to keep at 1 (Gulrajani et al. 2017).
    """

    num: int = 250
    """Test images, and as many samples."""
    seed: int = 0
    """Of the choice of test images, the samples, the points between, and the pairs."""
    out: Path | None = None
    """Folder of the chart and the JSON file (default: WORKDIR/samples)."""


def show_steepness(options: ShowSteepness) -> None:
    """`steepness WORKDIR`."""
    check_num(options.num)
    run = open_run(options.workdir, options.checkpoint, options.data.dir)
    shelf = Shelf(run, check_shelf(options.out, options.workdir))
    name, model = run.saved["name"], run.judging_gan()
    real = scale(run.examples("test", options.num, options.seed)["image"], model.image_range)
    key = stream_key(options.seed, "steepness verb")

    @jax.jit
    def look(state) -> Steepness:
        variables = state.networks["discriminator"].variables()

        def judge(images: Array) -> Float[Array, " batch"]:
            return model.discriminator.apply(variables, images, train=False).reshape(len(images), -1).mean(axis=1)

        return steepness(judge, real, model.sample(state, jax.random.fold_in(key, 1), len(real)), key)

    found = jax.device_get(look(run.state))
    values = {place: getattr(found, place) for place in PLACES}
    numbers = {"num": len(real), "largest": float(jnp.asarray(found.largest()))}
    for place, slopes in values.items():
        numbers |= {place: {"mean": float(slopes.mean()), "largest": float(slopes.max())}}
    print(f"{name}, step {run.step:,}: the discriminator's Lipschitz constant is {numbers['largest']:.3g} at least")
    for place, words in PLACES.items():
        print(f"  {words:<22} mean {numbers[place]['mean']:.3g}, largest {numbers[place]['largest']:.3g}")
    shelf.write("steepness", numbers)
    with style():
        save_chart(shelf.path("steepness", ".png"), _histograms(values))
    print(shelf.path("steepness", ".png"))


def _histograms(values: dict[str, Float[np.ndarray, " n"]]):
    figure, axes = chart(1, len(values), width=11, height=2.8, sharex=True)
    bins = np.linspace(0, max(1.1, *(float(slopes.max()) for slopes in values.values())), 41)
    for i, (plot, (place, slopes)) in enumerate(zip(axes, values.items(), strict=True)):
        plot.hist(slopes, bins=bins, color=PALETTE[i])
        plot.axvline(1, color=INK, linestyle=":", linewidth=1.2)
        kind = "ratio" if place == "ratios" else "slope"
        plot.set(title=PLACES[place].capitalize(), xlabel=f"{kind}, at most {slopes.max():.3g}")
    return figure


CRITIC_VERBS = {"steepness": (ShowSteepness, show_steepness)}
