"""The experiments by name, and what an experiment is."""

from __future__ import annotations

import csv
import importlib
import inspect
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError, nearest
from gdl_jax.models.model import Model
from gdl_jax.training.settings import RunSettings

CATALOGUE = Path(__file__).parent / "catalogue.csv"


@dataclass(frozen=True, kw_only=True)
class Experiment(RunSettings):
    """A typed configuration that builds a model for its data. Its docstring has command, time and score.

    A subclass adds settings, each with a docstring that the command line shows.
    """

    paper: ClassVar[str] = ""
    """Where the model was published."""
    systems: ClassVar[tuple[str, ...]] = ()
    """What it covers of the catalogue."""
    monitor: ClassVar[tuple[str, Literal["min", "max"]] | None] = None
    """The measure that chooses the best checkpoint."""

    @abstractmethod
    def build(self, data: DataSpec) -> Model:
        """The model for such data."""

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """Named settings; "smoke", which every registered experiment has, runs in seconds with tiny networks."""
        return {}

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return inspect.getdoc(cls).splitlines()[0]


REGISTRY: dict[str, type[Experiment]] = {}

FAMILIES = ("autoencoders", "gans")
"""The modules of experiments; importing one registers what is in it."""


def register(
    name: str, *, paper: str, systems: tuple[str, ...], monitor: tuple[str, Literal["min", "max"]] | None = None
) -> Callable[[type[Experiment]], type[Experiment]]:
    """Makes an experiment known to the launcher, the tests and the benchmark under a name."""

    def add(experiment: type[Experiment]) -> type[Experiment]:
        if name in REGISTRY:
            raise ValueError(f"There are two experiments of the name {name!r}.")
        experiment.paper, experiment.systems, experiment.monitor = paper, systems, monitor
        REGISTRY[name] = experiment
        return experiment

    return add


def load_all() -> dict[str, type[Experiment]]:
    """Every experiment of this tree."""
    for family in FAMILIES:
        importlib.import_module(f"experiments.{family}")
    return REGISTRY


def find(name: str) -> type[Experiment]:
    """The experiment of this name, or `package.module:attribute` outside the tree.

    Raises:
        UsageError: there is none.
    """
    if ":" in name:
        return _import(name)
    experiments = load_all()
    if name not in experiments:
        raise UsageError(f"There is no experiment {name!r}: {nearest(name, [*experiments, *VERBS])}")
    return experiments[name]


VERBS = ("list", "sample", "reconstruct", "interpolate", "evaluate", "report", "export")
"""What the launcher does beside training; here so that a misspelt one is recognised."""


def _import(name: str) -> type[Experiment]:
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
    if not _is_experiment(found):
        options = [key for key, value in vars(module).items() if _is_experiment(value)]
        raise UsageError(f"{module_name} has no experiment {attribute!r}: {nearest(attribute, options)}")
    return found


def _is_experiment(value: Any) -> bool:
    is_class = inspect.isclass(value) and issubclass(value, Experiment) and is_dataclass(value)
    return is_class and not getattr(value.build, "__isabstractmethod__", False)


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
