"""What can be done with a run: every verb reads the model's options from the workdir, never from flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Int, UInt8

from experiments import workdir as workdirs
from experiments.registry import Experiment
from gdl_jax.data.source import Split, class_numbers, load
from gdl_jax.data.spec import DataSpec
from gdl_jax.data.transforms import to_uint8
from gdl_jax.errors import UsageError
from gdl_jax.files import write_atomically, write_json
from gdl_jax.latents import slerp
from gdl_jax.metrics.suite import best_of
from gdl_jax.models.gan import GAN
from gdl_jax.models.model import LatentModel, Model, Reconstructs, Samples
from gdl_jax.models.vae import VAE, Images, reparameterize
from gdl_jax.pictures.grid import grid, rows, save_png
from gdl_jax.pictures.report import write_report
from gdl_jax.steps.devices import make_mesh
from gdl_jax.steps.random import stream_key
from gdl_jax.steps.state import TrainState
from gdl_jax.training.checkpoint import Checkpoints
from gdl_jax.training.export import export as write_export
from gdl_jax.training.export import load_export, state_of
from gdl_jax.training.program import SAMPLES_PER_CALL, abstract_carry, make_reconstructor, make_sampler

Workdir = Annotated[Path, tyro.conf.Positional]


@dataclass(frozen=True, kw_only=True)
class OnRun:
    """What every verb takes."""

    workdir: Workdir
    """Folder of a run, such as runs/dcgan."""


@dataclass(frozen=True, kw_only=True)
class OnCheckpoint(OnRun):
    """A verb that needs the model's parameters."""

    checkpoint: str = "latest"
    """Which one: latest, best, or a step."""


@dataclass(frozen=True, kw_only=True)
class Seeded(OnCheckpoint):
    """A verb that draws random numbers and writes a file."""

    seed: int = 0
    """Of the random numbers."""
    out: Path | None = None
    """One picture of all (.png); or .npz with the array "samples", uint8 (num, height, width, channels), and "label",
    int32 (num,), of a model that draws classes; or, with no suffix, a new folder for a PNG of each. What compare takes
    is the last two (default: WORKDIR/samples/VERB_STEP.png)."""


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


@dataclass(frozen=True, kw_only=True)
class Report(OnRun):
    """Write report.html: curves, samples over time, metrics, settings, on one page."""


@dataclass(frozen=True, kw_only=True)
class Export(OnCheckpoint):
    """Write the networks of a run into one .npz file that NumPy reads.

    That of a classifier is what `evaluate --features` takes.
    """

    out: Path | None = None
    """File to write (default: WORKDIR/export.npz)."""


@dataclass(frozen=True)
class Opened:
    """A run that has been read."""

    saved: dict[str, Any]
    experiment: Experiment
    model: Model
    step: int
    state: TrainState

    def test_images(self, num: int) -> UInt8[np.ndarray, "num height width channels"]:
        """The first so many test images of the run's data, as far as there are so many."""
        source = load(self.experiment.data, "test")
        return source.take(np.arange(min(num, len(source))))["image"]


def open_run(workdir: Path, checkpoint: str) -> Opened:
    """Reads settings and state of a run.

    Raises:
        UsageError: there is no such run or checkpoint, or it is damaged.
    """
    saved = workdirs.read(workdir)
    experiment = workdirs.load_experiment(saved)
    data = DataSpec.from_json(saved["data"])
    model = experiment.build(data)
    best = best_of(experiment.eval.metrics.split(",")) if experiment.eval.every else None
    best = best or experiment.monitor
    higher = best is not None and best[1] == "max"
    checkpoints = Checkpoints(workdir / "checkpoints", higher_is_better=higher, read_only=True)
    abstract = abstract_carry(model, data.arrays, experiment.batch_size, make_mesh(jax.devices()[:1]))
    restored = checkpoints.restore(abstract, _step_of(checkpoint, checkpoints, workdir))
    if restored is None:
        raise UsageError(f"The run in {workdir} has no checkpoint yet; train it first.")
    return Opened(saved, experiment, model, restored.step, restored.tree.state)


def open_export(path: Path) -> Opened:
    """Reads settings and networks of an export.

    Raises:
        UsageError: it is none, or it is damaged.
    """
    networks, saved = load_export(path)
    experiment = workdirs.load_experiment(saved)
    model = experiment.build(DataSpec.from_json(saved["data"]))
    return Opened(saved, experiment, model, saved["step"], state_of(networks))


def _step_of(checkpoint: str, checkpoints: Checkpoints, workdir: Path) -> int | None:
    steps = checkpoints.steps()
    if checkpoint == "latest":
        return None
    if checkpoint == "best":
        best = checkpoints.best()
        if best is None:
            raise UsageError(
                f"No checkpoint in {workdir} has been evaluated, so none is best; use --checkpoint latest."
            )
        return best
    if not checkpoint.isdigit() or int(checkpoint) not in steps:
        there = ", ".join(map(str, steps)) or "none"
        raise UsageError(f"There is no checkpoint {checkpoint!r} in {workdir}; there are latest, best and {there}.")
    return int(checkpoint)


def _write(
    name: str,
    run: Opened,
    options: Seeded,
    images: UInt8[np.ndarray, "num height width channels"],
    picture: UInt8[np.ndarray, "height width channels"],
    **more: Int[np.ndarray, " num"],
) -> None:
    out = options.out or Shelf(run, options.workdir / "samples").path(name, ".png")
    if out.suffix == ".npz":
        write_atomically(out, lambda file: np.savez_compressed(file, samples=images, **more))
    elif not out.suffix:
        out.mkdir(exist_ok=True)
        for number, image in enumerate(images):
            save_png(out / f"{number:06d}.png", image, zoom=1)
    else:
        save_png(out, picture)
    print(out)


@dataclass(frozen=True, eq=False)
class Shelf:
    """Where a verb puts several pictures of one checkpoint, and the numbers that go with them.

    Attributes:
        run: that was read.
        folder: of the pictures.
    """

    run: Opened
    folder: Path

    def path(self, name: str, suffix: str) -> Path:
        """Where a file goes: its name and the step, as the report expects it of pictures."""
        return self.folder / f"{name}_{self.run.step:06d}{suffix}"

    def save(self, name: str, picture: UInt8[np.ndarray, "height width channels"], *, zoom: int | None = 1) -> None:
        """Writes a picture, and says where."""
        save_png(self.path(name, ".png"), picture, zoom=zoom)
        print(self.path(name, ".png"))

    def write(self, name: str, numbers: Mapping[str, Any]) -> None:
        """Writes numbers as JSON, and says where."""
        write_json(self.path(name, ".json"), numbers)
        print(self.path(name, ".json"))


def check_shelf(out: Path | None, workdir: Path) -> Path:
    """The folder of the option --out; WORKDIR/samples, where the report finds pictures, if it is not given.

    Raises:
        UsageError: there is no such folder.
    """
    if out is not None and not out.is_dir():
        raise UsageError(f"There is no folder {out} for --out; make it first.")
    return out or workdir / "samples"


def check_out(out: Path | None, suffixes: tuple[str, ...]) -> None:
    """Before any work is done, whether the result can be kept where --out says, if it does."""
    if out is None:
        return
    if out.suffix not in suffixes:
        named = " or ".join(filter(None, suffixes)) + (", or in nothing, for a folder" if "" in suffixes else "")
        raise UsageError(f"--out {out} has to end in {named}.")
    if not out.suffix and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out {out} exists already; a folder of images has to be new or empty.")
    if not out.parent.is_dir():
        raise UsageError(f"The folder {out.parent} of --out does not exist; make it first.")


def check_num(num: int, option: str = "num", least: int = 1) -> None:
    """Raises a UsageError for a number that is too small."""
    if num < least:
        raise UsageError(f"--{option} is {num}; it has to be {least} or more.")


def sample(options: Sample) -> None:
    """`sample WORKDIR`."""
    check_num(options.num)
    check_out(options.out, (".png", ".npz", ""))
    run = open_run(options.workdir, options.checkpoint)
    if not isinstance(run.model, Samples):
        raise UsageError(f"{run.saved['name']} draws no images; use evaluate.")
    model = of_classes(run, options.classes) if options.classes else run.model
    draw = make_sampler(model, make_mesh(jax.devices()[:1]))
    images = draw(run.state, stream_key(options.seed, "sample verb"), options.num)
    labels = sampled_classes(model, options.num)
    _write("sample", run, options, images, grid(images), **({} if labels is None else {"label": labels}))


def of_classes(run: Opened, wanted: Sequence[str]) -> GAN:
    """The model, drawing images of these classes alone.

    Raises:
        UsageError: it draws none, or there is no such class, or it never saw one.
    """
    if not (isinstance(run.model, GAN) and run.model.num_classes):
        raise UsageError(f"{run.saved['name']} draws images of no class that could be asked for; leave --classes out.")
    names = run.saved["data"]["classes"]
    numbers = class_numbers(wanted, names, "--classes")
    unseen = [names[number] for number in numbers if number not in (run.model.drawn_classes or numbers)]
    if unseen:
        raise UsageError(f"The run was trained without the class {unseen[0]!r} (--data.classes); ask for others.")
    return dataclasses.replace(run.model, drawn_classes=numbers)


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
    run = open_run(options.workdir, options.checkpoint)
    if not isinstance(run.model, Reconstructs):
        raise UsageError(
            f"{run.saved['name']} makes no images of images, so it cannot reconstruct; use sample or interpolate."
        )
    model = SampledReconstruction(run.model, options.seed) if options.sampled else run.model
    if options.sampled and not callable(getattr(run.model, "posterior", None)):
        raise UsageError(f"A code of {run.saved['name']} has no noise, so none can be drawn; leave --sampled out.")
    source = load(run.experiment.data, options.split)
    generator = np.random.default_rng(options.seed)
    chosen = np.sort(generator.choice(len(source), min(options.num, len(source)), replace=False))
    images = source.take(chosen)["image"]
    decoded = make_reconstructor(model, make_mesh(jax.devices()[:1]))(run.state, images)
    _write("reconstruct", run, options, decoded, rows(images, decoded))


@dataclass(frozen=True)
class SampledReconstruction:
    """A variational autoencoder that reconstructs from draws of q(z|x)."""

    model: VAE
    seed: int

    @property
    def image_range(self) -> tuple[float, float]:
        """See `Model`."""
        return self.model.image_range

    def reconstruct(self, state: TrainState, images: Images) -> Images:
        """Encoded, drawn, decoded."""
        codes = reparameterize(*self.model.posterior(state, images), stream_key(self.seed, "reconstruct verb"))
        return self.model.decode(state, codes)


def interpolate(options: Interpolate) -> None:
    """`interpolate WORKDIR`."""
    check_num(options.num)
    check_num(options.points, "points", 2)
    check_out(options.out, (".png", ".npz", ""))
    run = open_run(options.workdir, options.checkpoint)
    if not isinstance(run.model, LatentModel):
        raise UsageError(f"{run.saved['name']} has no latent vectors to interpolate; use sample.")
    ends = run.model.sample_latents(stream_key(options.seed, "interpolate verb"), 2 * options.num)
    start, end = ends[: options.num], ends[options.num :]
    path = jnp.stack([slerp(start, end, t) for t in np.linspace(0, 1, options.points, dtype=np.float32)], axis=1)
    decoded = jax.jit(run.model.decode)(run.state, path.reshape(-1, path.shape[-1]))
    images = to_uint8(np.asarray(decoded), run.model.image_range)
    _write("interpolate", run, options, images, grid(images, columns=options.points))


def report(options: Report) -> None:
    """`report WORKDIR`."""
    print(write_report(options.workdir))


def export(options: Export) -> None:
    """`export WORKDIR`."""
    check_out(options.out, (".npz",))
    out = options.out or options.workdir / "export.npz"
    run = open_run(options.workdir, options.checkpoint)
    count = write_export(out, run.state, run.saved | {"step": run.step})
    print(f"{out} ({count} arrays)")


VERBS = {
    "sample": (Sample, sample),
    "reconstruct": (Reconstruct, reconstruct),
    "interpolate": (Interpolate, interpolate),
    "report": (Report, report),
    "export": (Export, export),
}
