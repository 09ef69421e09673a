"""What runs by its name: experiments, which train, and studies, which show something within seconds."""

from __future__ import annotations

import csv
import importlib
import inspect
import pkgutil
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar

import numpy as np
from jaxtyping import UInt8

from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError, nearest
from gdl_jax.models.model import Model
from gdl_jax.training.settings import RunSettings, check_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CATALOGUE = Path(__file__).parent / "catalogue.csv"


class Entry:
    """What experiments and studies have in common. A subclass adds settings, each with a docstring for `--help`."""

    paper: ClassVar[str] = ""
    """Where the model was published."""
    systems: ClassVar[tuple[str, ...]] = ()
    """What it covers of the catalogue."""
    recipes: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The presets that train what a text describes, by the id of the catalogue."""

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """Named settings."""
        return {}

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return inspect.getdoc(cls).splitlines()[0]


SMOKE_RUN = {
    "steps": 20,
    "batch_size": 16,
    "log_every": 5,
    "sample_every": 10,
    "evaluate_every": 20,
    "checkpoint_every": 10,
    "num_samples": 16,
}
"""The run of a preset `smoke`: seconds, in which everything happens that happens in a run."""


@dataclass(frozen=True, kw_only=True)
class Experiment(Entry, RunSettings):
    """A typed configuration that builds a model for its data. Its docstring has command, time and score.

    Every registered one has a preset "smoke", which runs in seconds with tiny networks.
    """

    monitor: ClassVar[tuple[str, Literal["min", "max"]] | None] = None
    """The measure that chooses the best checkpoint."""

    @abstractmethod
    def build(self, data: DataSpec) -> Model:
        """The model for such data."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a study found."""

    numbers: dict[str, float]
    """What was measured, by name; finite."""
    figures: dict[str, Figure | UInt8[np.ndarray, "height width channels"]]
    """Charts and pictures by name."""
    text: str
    """What one sees, in a few lines."""


@dataclass(frozen=True, kw_only=True)
class Study(Entry):
    """Typed settings of a demonstration of some seconds. Its docstring has the command, what it shows, its numbers."""

    positive: ClassVar[tuple[str, ...]] = ()
    """The numbers that have to be above 0."""
    limits: ClassVar[dict[str, tuple[float, float]]] = {}
    """The smallest and the largest value of some numbers."""
    multiples: ClassVar[dict[str, int]] = {}
    """Whose multiples some numbers have to be: a training is looked at so many times, at even distances."""

    def __post_init__(self):
        for name in self.positive:
            if not getattr(self, name) > 0:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it has to be above 0.")
        for name, (low, high) in self.limits.items():
            if not low <= getattr(self, name) <= high:
                raise UsageError(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}; it has to be from {low} to {high}."
                )
        for name, of in self.multiples.items():
            value = getattr(self, name)
            if value < of or value % of:
                raise UsageError(f"--{name.replace('_', '-')} is {value}; it has to be a multiple of {of}.")
        check_seed(getattr(self, "seed", 0))

    @abstractmethod
    def run(self) -> Findings:
        """Does it; the same settings give the same findings."""


REGISTRY: dict[str, type[Experiment]] = {}
STUDIES: dict[str, type[Study]] = {}

ROOMS = ("experiments.families", "experiments.studies")
"""Where experiments and studies are; importing a module registers what is in it."""

AnyEntry = TypeVar("AnyEntry", bound=type[Entry])


def register(
    name: str,
    *,
    paper: str,
    systems: tuple[str, ...] = (),
    recipes: Mapping[str, tuple[str, ...]] | None = None,
    monitor: tuple[str, Literal["min", "max"]] | None = None,
) -> Callable[[AnyEntry], AnyEntry]:
    """Makes an experiment or a study known under a name: to the launcher and the tests, an experiment to the benchmark.

    Args:
        name: what the launcher calls it.
        paper: where the model was published.
        systems: ids of the catalogue; none of what no text describes.
        recipes: see `Entry`.
        monitor: see `Experiment`.
    """

    def add(entry: AnyEntry) -> AnyEntry:
        if name in REGISTRY or name in STUDIES:
            raise ValueError(f"There are two experiments of the name {name!r}.")
        entry.paper, entry.systems, entry.recipes = paper, systems, recipes or {}
        if issubclass(entry, Study):
            STUDIES[name] = entry
        else:
            entry.monitor = monitor
            REGISTRY[name] = entry
        return entry

    return add


def load_all() -> dict[str, type[Experiment]]:
    """Every experiment of this tree."""
    for room in ROOMS:
        for module in pkgutil.iter_modules(importlib.import_module(room).__path__, f"{room}."):
            importlib.import_module(module.name)
    return REGISTRY


def load_studies() -> dict[str, type[Study]]:
    """Every study of this tree."""
    load_all()
    return STUDIES


def find(name: str) -> type[Experiment] | type[Study]:
    """The experiment or study of this name, or `package.module:attribute` outside the tree.

    Raises:
        UsageError: there is none.
    """
    if ":" in name:
        return _import(name)
    entries = load_all() | load_studies()
    if name not in entries:
        raise UsageError(f"There is no experiment {name!r}: {nearest(name, [*entries, *VERBS])}")
    return entries[name]


VERBS = (
    *("list", "continue", "sample", "reconstruct", "interpolate", "evaluate", "report", "export"),
    *("codes", "scatter", "latent_grid", "prior_check", "sweep", "morph", "attributes", "arithmetic"),
    *("neighbours", "modes", "birthday", "human_study", "filters", "probe", "steepness", "side_by_side"),
)
"""What the launcher does beside training; here so that a misspelt one is recognised without importing them all."""


def _import(name: str) -> type[Experiment] | type[Study]:
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), attribute)):
        raise UsageError(f"{name!r} is no name of an experiment; outside the tree it is package.module:Experiment.")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"The module {module_name!r} of {name!r} cannot be imported ({error}); "
            "run from the folder that holds it, or add it to PYTHONPATH."
        ) from error
    found: Any = getattr(module, attribute, None)
    if not _is_entry(found):
        options = [key for key, value in vars(module).items() if _is_entry(value)]
        raise UsageError(f"{module_name} has no experiment {attribute!r}: {nearest(attribute, options)}")
    return found


def _is_entry(value: Any) -> bool:
    if not (inspect.isclass(value) and issubclass(value, Experiment | Study) and is_dataclass(value)):
        return False
    method = value.build if issubclass(value, Experiment) else value.run
    return not getattr(method, "__isabstractmethod__", False)


@dataclass(frozen=True)
class System:
    """A row of the catalogue: something that a text describes."""

    id: str
    line: str
    text: str
    chapter: str
    name: str

    @property
    def author(self) -> str:
        """By whom the text is known."""
        return self.text.split(",")[0]

    @property
    def place(self) -> str:
        """Author and chapter: "Foster ch. 3"."""
        chapter = f"ch. {self.chapter}" if self.chapter[0].isdigit() else self.chapter
        return f"{self.author}, {chapter}"


def read_catalogue() -> dict[str, System]:
    """The systems of the texts by id."""
    with CATALOGUE.open(newline="") as file:
        return {row["id"]: System(**row) for row in csv.DictReader(file)}
