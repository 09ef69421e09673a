"""Trains the classifiers in whose features samples are compared, and writes the files that come with the library.

    python -m experiments.feature_classifiers mnist
    python -m experiments.feature_classifiers digits mnist fashion_mnist cifar10

Each is the experiment `classifier` with the settings of `RECIPES`, its run in runs/features_NAME.

| data | accuracy on the test set | CPU time | file |
|---|---|---|---|
| digits | 98.99 % (400 steps) | both | 241 KB |
| mnist | 99.27 % (2,000 steps) | 4.1 min | 241 KB |
| fashion_mnist | 91.57 % (2,000 steps) | 3.7 min | 241 KB |
| cifar10 | 71.77 % (1,200 steps) | 8.1 min | 914 KB |
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gdl_jax import runtime

if __name__ == "__main__":
    runtime.set_defaults()

import numpy as np
import tyro

from experiments import workdir
from experiments.command_line import parse
from experiments.families.classifiers import ImageClassifier
from experiments.launch import run_experiment
from experiments.verbs.opening import open_run
from gdl_jax.data.source import load
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError, nearest, run_module
from gdl_jax.metrics.classifiers import FOLDER, cnn_features, stored, write_classifier
from gdl_jax.training.export import variables

RECIPES: Mapping[str, tuple[str, ...]] = {
    "digits": (),
    "mnist": ("--preset", "mnist"),
    "fashion_mnist": ("--preset", "fashion_mnist", "--steps", "2000", "--optimizer.cosine-steps", "2000"),
    "cifar10": ("--preset", "cifar10", "--width", "28"),
}
"""The words after `classifier` for each data set. CIFAR-10's width keeps the file below 1 MB."""


@dataclass(frozen=True, kw_only=True)
class FeatureClassifiers:
    """Train the classifiers whose features are the default of `evaluate`, and write their files."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = tuple(RECIPES)
    """Data sets (default: all that have a recipe)."""
    out: Path = FOLDER
    """Folder of the files."""
    runs: Path = Path("runs")
    """Folder of the runs."""
    steps: int | None = None
    """Training steps (default: the recipe's)."""


def make(name: str, options: FeatureClassifiers) -> Path:
    """Trains one, or continues to, and writes its file."""
    folder = options.runs / f"features_{name}"
    words = ["classifier", *RECIPES[name]]
    words += [] if options.steps is None else ["--steps", str(options.steps)]
    if code := run_experiment(ImageClassifier, [*words, "--workdir", str(folder)]):
        sys.exit(code)
    run = open_run(folder, "latest")
    data = DataSpec.from_json(run.saved["data"])
    network, found = run.model.network, variables(run.state)["classifier"]
    shape, image_range = data.image_shape, run.model.image_range
    source = load(run.experiment.data, "test")
    test = source.take(np.arange(len(source)))
    features = cnn_features(name, "", network, stored(found), shape=shape, image_range=image_range)
    accuracy = (features.look(test["image"]).log_probabilities.argmax(1) == test["label"]).mean()
    path = options.out / f"{name}.safetensors"
    write_classifier(
        path,
        network,
        found,
        shape=shape,
        image_range=image_range,
        facts={
            "data": name,
            "accuracy": f"{accuracy:.2%} of {len(test['label']):,} test images",
            "steps": str(run.step),
            "command": workdir.command(words),
        },
    )
    print(f"{path}: {path.stat().st_size:,} bytes, accuracy {accuracy:.2%}")
    return path


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    options = parse(
        FeatureClassifiers,
        arguments,
        prog="python -m experiments.feature_classifiers",
        description=FeatureClassifiers.__doc__,
    )
    for name in options.names:
        if name not in RECIPES:
            raise UsageError(f"There is no recipe for {name!r}: {nearest(name, RECIPES)}")
    for name in options.names:
        make(name, options)


if __name__ == "__main__":
    sys.exit(run_module(main))
