"""How every verb opens a run: the model's options are read from the workdir, never from flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from jaxtyping import UInt8

from experiments import workdir as workdirs
from experiments.registry import Experiment
from gdl_jax.data.source import Split, class_numbers, load
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.files import write_json
from gdl_jax.metrics.order import some_of
from gdl_jax.metrics.suite import best_of
from gdl_jax.models.gan import GAN
from gdl_jax.models.model import Model, Samples
from gdl_jax.pictures.grid import save_png
from gdl_jax.steps.devices import make_mesh
from gdl_jax.steps.random import stream_key
from gdl_jax.steps.state import TrainState
from gdl_jax.training.checkpoint import Checkpoints
from gdl_jax.training.export import is_export, load_export, state_of
from gdl_jax.training.program import abstract_carry, make_sampler

Workdir = Annotated[Path, tyro.conf.Positional]

Images = UInt8[np.ndarray, "num height width channels"]


@dataclass(frozen=True, kw_only=True)
class OnRun:
    """What every verb takes."""

    workdir: Workdir
    """Folder of a run, such as runs/dcgan."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the run's data are now."""

    dir: Path | None = None
    """For verbs that look at the run's data: their folder, if it is no longer where it was in training."""


@dataclass(frozen=True, kw_only=True)
class OnCheckpoint(OnRun):
    """A verb that needs the model's parameters."""

    checkpoint: str = "latest"
    """Which one: latest, best, or a step."""
    data: Place = Place()


@dataclass(frozen=True, kw_only=True)
class Seeded(OnCheckpoint):
    """A verb that draws random numbers and writes a file."""

    seed: int = 0
    """Of the random numbers."""
    out: Path | None = None
    """One picture of all (.png); or .npz with the array "samples", uint8 (num, height, width, channels), and "label",
    int32 (num,), of a model that draws classes; or, with no suffix, a new folder for a PNG of each. What compare takes
    is the last two (default: WORKDIR/samples/VERB_STEP.png)."""


@dataclass(frozen=True)
class Opened:
    """A run that has been read: in a notebook `open_run("runs/dcgan").draw(16)`."""

    saved: dict[str, Any]
    experiment: Experiment
    model: Model
    step: int
    state: TrainState

    def examples(self, split: Split, num: int, seed: int = 0) -> dict[str, np.ndarray]:
        """So many of the run's data at random, or all where there are fewer."""
        source = load(self.experiment.data, split)
        return source.take(some_of(len(source), min(num, len(source)), seed))

    def draw(self, num: int, seed: int = 0) -> Images:
        """New images, those of the verb `sample`.

        Raises:
            UsageError: the model draws none.
        """
        if not isinstance(self.model, Samples):
            raise UsageError(f"{self.saved['name']} draws no images; use evaluate.")
        sampler = make_sampler(self.model, make_mesh(jax.devices()[:1]))
        return sampler(self.state, stream_key(seed, "sample verb"), num)

    def drawn_classes(self, wanted: Sequence[str], option: str) -> tuple[int, ...]:
        """Of a model that is given classes: those that an option names, or all that it draws where it names none.

        Returns:
            Their numbers; () of a model that is given none.

        Raises:
            UsageError: the model is given none, or there is no such class, or it never saw one.
        """
        if not (isinstance(self.model, GAN) and self.model.num_classes):
            if wanted:
                name = self.saved["name"]
                raise UsageError(f"{name} draws images of no class that could be asked for; leave {option} out.")
            return ()
        seen = self.model.drawn_classes or tuple(range(self.model.num_classes))
        names = DataSpec.from_json(self.saved["data"]).classes
        numbers = class_numbers(wanted, names, option) or seen
        unseen = [names[number] for number in numbers if number not in seen]
        if unseen:
            raise UsageError(f"The run was trained without the class {unseen[0]!r} (--data.classes); ask for others.")
        return numbers

    def judging_gan(self) -> GAN:
        """The model, whose discriminator judges images by themselves.

        Raises:
            UsageError: it has none.
        """
        if not isinstance(self.model, GAN) or self.model.num_classes:
            name = self.saved["name"]
            raise UsageError(
                f"{name} has no discriminator that judges images by themselves; take dcgan, wgan_gp or gan."
            )
        return self.model


def open_run(workdir: str | Path, checkpoint: str = "latest", data_dir: Path | None = None) -> Opened:
    """Reads settings and state of a run.

    Args:
        workdir: its folder.
        checkpoint: "latest", "best", or a step.
        data_dir: where its data are now; None: where they were.

    Raises:
        UsageError: there is no such run or checkpoint, or it is damaged; or its data are drawn, and lie nowhere.
    """
    workdir = Path(workdir)
    saved = workdirs.read(workdir)
    experiment = workdirs.load_experiment(saved)
    if data_dir is not None:
        experiment = replace(experiment, data=replace(experiment.data, dir=data_dir))
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


def open_trained(path: Path) -> Opened | None:
    """A run, by its newest checkpoint, or what `export` made of one; None of any other path.

    Raises:
        UsageError: the run or the export is damaged.
    """
    if path.is_dir():
        return open_run(path, "latest")
    return open_export(path) if is_export(path) else None


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
    if not checkpoint.isdecimal() or int(checkpoint) not in steps:
        there = ", ".join(map(str, steps)) or "none"
        raise UsageError(f"There is no checkpoint {checkpoint!r} in {workdir}; there are latest, best and {there}.")
    return int(checkpoint)


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
