"""The verbs that draw one picture of a model's images: `sample`, `reconstruct`, `interpolate`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, UInt8

from experiments.verbs.codes import check_posterior
from experiments.verbs.opening import Images, Opened, Seeded, Shelf, check_num, check_out, open_run
from gdl_jax.data.source import Split
from gdl_jax.data.transforms import to_uint8
from gdl_jax.errors import UsageError
from gdl_jax.files import write_atomically
from gdl_jax.latents import slerp
from gdl_jax.models import vae
from gdl_jax.models.gan import GAN
from gdl_jax.models.model import LatentModel, Model, Reconstructs
from gdl_jax.pictures.grid import grid, rows, save_png
from gdl_jax.steps.devices import make_mesh
from gdl_jax.steps.random import stream_key
from gdl_jax.steps.state import TrainState
from gdl_jax.training.program import SAMPLES_PER_CALL, make_reconstructor


@dataclass(frozen=True, kw_only=True)
class Sample(Seeded):
    """Draw new images from the model of a run."""

    num: int = 64
    """How many."""
    classes: tuple[str, ...] = ()
    """Of which classes of the data, by names or numbers, one after the other; of a model that draws classes (default:
    all that it was trained on)."""


@dataclass(frozen=True, kw_only=True)
class Reconstruct(Seeded):
    """Encode and decode images of the run's data: originals above, reconstructions below."""

    num: int = 10
    """How many."""
    split: Split = "test"
    """Which part of the data."""
    sampled: bool = False
    """Decode a code that is drawn from q(z|x) instead of its mean."""


@dataclass(frozen=True, kw_only=True)
class Interpolate(Seeded):
    """Walk along great circles between pairs of latent vectors, one pair per row."""

    num: int = 8
    """Pairs."""
    points: int = 10
    """Images per pair, both ends among them."""
    classes: tuple[str, ...] = ()
    """Of which classes the rows are, by names or numbers, one after the other; of a model that draws classes (default:
    all that it was trained on)."""


def _write(
    name: str,
    run: Opened,
    options: Seeded,
    images: Images,
    picture: UInt8[np.ndarray, "height width channels"],
    labels: Int[np.ndarray, " num"] | None = None,
) -> None:
    out = options.out or Shelf(run, options.workdir / "samples").path(name, ".png")
    if out.suffix == ".npz":
        more = {} if labels is None else {"label": labels}
        write_atomically(out, lambda file: np.savez_compressed(file, samples=images, **more))
    elif not out.suffix:
        out.mkdir(exist_ok=True)
        for number, image in enumerate(images):
            save_png(out / f"{number:06d}.png", image, zoom=1)
    else:
        save_png(out, picture)
    print(out)


def sample(options: Sample) -> None:
    """`sample WORKDIR`."""
    check_num(options.num)
    check_out(options.out, (".png", ".npz", ""))
    run = open_run(options.workdir, options.checkpoint, options.data.dir)
    drawn = run.drawn_classes(options.classes, "--classes")
    if drawn:
        run = dataclasses.replace(run, model=dataclasses.replace(run.model, drawn_classes=drawn))
    images = run.draw(options.num, options.seed)
    _write("sample", run, options, images, grid(images), sampled_classes(run.model, options.num))


def sampled_classes(model: Model, num: int) -> Int[np.ndarray, " {num}"] | None:
    """The labels of images that `make_sampler` draws; None for a model that draws no classes."""
    if not (isinstance(model, GAN) and model.num_classes):
        return None
    # They begin anew in every call.
    return np.resize(model.labels_in_turn(min(num, SAMPLES_PER_CALL)), num)


def reconstruct(options: Reconstruct) -> None:
    """`reconstruct WORKDIR`."""
    check_num(options.num)
    check_out(options.out, (".png", ".npz", ""))
    run = open_run(options.workdir, options.checkpoint, options.data.dir)
    if not isinstance(run.model, Reconstructs):
        raise UsageError(
            f"{run.saved['name']} makes no images of images, so it cannot reconstruct; use sample or interpolate."
        )
    model = run.model
    if options.sampled:
        check_posterior(run)
        model = SampledReconstruction(run.model, options.seed)
    images = run.examples(options.split, options.num, options.seed)["image"]
    decoded = make_reconstructor(model, make_mesh(jax.devices()[:1]))(run.state, images)
    _write("reconstruct", run, options, decoded, rows(images, decoded))


@dataclass(frozen=True)
class SampledReconstruction:
    """A variational autoencoder that reconstructs from draws of q(z|x)."""

    model: vae.VAE
    seed: int

    @property
    def image_range(self) -> tuple[float, float]:
        """See `Model`."""
        return self.model.image_range

    def reconstruct(self, state: TrainState, images: vae.Images) -> vae.Images:
        """Encoded, drawn, decoded."""
        codes = vae.reparameterize(*self.model.posterior(state, images), stream_key(self.seed, "reconstruct verb"))
        return self.model.decode(state, codes)


def interpolate(options: Interpolate) -> None:
    """`interpolate WORKDIR`."""
    check_num(options.num)
    check_num(options.points, "points", 2)
    check_out(options.out, (".png", ".npz", ""))
    run = open_run(options.workdir, options.checkpoint, options.data.dir)
    if not isinstance(run.model, LatentModel):
        raise UsageError(f"{run.saved['name']} has no latent vectors to interpolate; use sample.")
    classes = run.drawn_classes(options.classes, "--classes")
    ends = run.model.sample_latents(stream_key(options.seed, "interpolate verb"), 2 * options.num)
    start, end = ends[: options.num], ends[options.num :]
    path = jnp.stack([slerp(start, end, t) for t in np.linspace(0, 1, options.points, dtype=np.float32)], axis=1)
    labels = np.resize(np.array(classes, np.int32), options.num).repeat(options.points) if classes else None
    given = () if labels is None else (labels,)
    decoded = jax.jit(run.model.decode)(run.state, path.reshape(-1, path.shape[-1]), *given)
    images = to_uint8(np.asarray(decoded), run.model.image_range)
    _write("interpolate", run, options, images, grid(images, columns=options.points), labels)


DRAWING_VERBS = {
    "sample": (Sample, sample),
    "reconstruct": (Reconstruct, reconstruct),
    "interpolate": (Interpolate, interpolate),
}
