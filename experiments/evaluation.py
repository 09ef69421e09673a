"""The verb `evaluate`: the measures taken while training, or those of `gdl_jax.metrics.suite`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from experiments.verbs import OnCheckpoint, Opened, check_num, open_export, open_run
from gdl_jax.data.source import Source, load
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.metrics.compare import inception_features
from gdl_jax.metrics.features import PIXELS, Features, network_features
from gdl_jax.metrics.suite import MEASURES, Sets, check_names, measure
from gdl_jax.models.classifier import Classifier
from gdl_jax.models.model import Samples
from gdl_jax.steps.random import stream_key
from gdl_jax.training.export import digest, variables
from gdl_jax.training.observer import MAX_IMAGES, Observer
from gdl_jax.training.sharding import make_mesh


@dataclass(frozen=True, kw_only=True)
class Evaluate(OnCheckpoint):
    """Measure the model of a run on the test set: as while training, or by the metrics that are named."""

    json: bool = False
    """Print one JSON object and nothing else."""
    features: Path | None = None
    """Run of a classifier, or what export made of one, or a file with the weights of Inception v3 (.pth, .safetensors):
    also take the Frechet distance between its features, or all metrics in them."""
    metrics: str = ""
    """Take these instead: some of fid, fid_infinity, kid, is, prdc, prd, modes, memorisation, birthday, parzen,
    ms_ssim, with commas between; "all" for all that the features allow. Without --features they see pixels."""
    num: int | None = None
    """Samples for the metrics (default: as many as test images, 10,000 at the most)."""
    images: Literal["samples", "train"] = "samples"
    """Whose metrics: of samples, or of as many training images, which is the best that samples could do."""
    seed: int = 0
    """Of the samples for the metrics."""


def open_features(path: Path) -> Features:
    """The features of a classifier, of its export or of the newest checkpoint of its run; or of Inception v3.

    Raises:
        UsageError: it is none of these, or it is damaged.
    """
    if path.suffix in (".pth", ".pt", ".safetensors"):
        return inception_features(path)
    run = open_run(path, "latest") if path.is_dir() else open_export(path)
    if not isinstance(run.model, Classifier):
        raise UsageError(f"{path} is of {run.saved['name']!r}; --features takes the run or the export of a classifier.")
    sha256 = digest(variables(run.state))
    name = f"{run.saved['name']}_{sha256[:8]}"
    return network_features(
        name,
        f"inputs of the last layer of {name} ({type(run.model.network).__name__}, {run.step} steps on "
        f"{run.experiment.data.name}; the number is the beginning of the SHA-256 of its variables)",
        partial(run.model.features, run.state),
        shape=DataSpec.from_json(run.saved["data"]).image_shape,
        image_range=run.model.image_range,
        sha256=sha256,
        log_probabilities=partial(run.model.classify, run.state),
    )


def evaluate(options: Evaluate) -> None:
    """`evaluate WORKDIR`."""
    run = open_run(options.workdir, options.checkpoint)
    data = run.experiment.data
    train, test = load(data, "train"), load(data, "test")
    features = None if options.features is None else open_features(options.features)
    if not isinstance(run.model, Samples):
        for given, said in ((features, "--features"), (options.metrics, "--metrics")):
            if given:
                raise UsageError(f"{run.saved['name']} draws no images that could be measured; leave {said} out.")
    seen = (PIXELS,) if features is None else (PIXELS, features)
    observer = Observer(run.model, train, test, run.experiment, make_mesh(jax.devices()[:1]), seen)
    title = f"{run.saved['name']}, step {run.step}, {len(test)} test examples of {data.name}"
    if options.metrics:
        found = _metrics(options, run, observer)
        _print(found if options.json else None, title, {name: result["value"] for name, result in found.items()})
        return
    values = observer.evaluate(run.state)
    found = {"name": run.saved["name"], "workdir": str(options.workdir), "step": run.step}
    found |= {"data": data.name, "num_test": len(test), "seed": run.experiment.seed}
    found |= {"metrics": values, "protocol": observer.protocol()}
    _print(found if options.json else None, title, values)


def _metrics(options: Evaluate, run: Opened, observer: Observer) -> dict[str, dict[str, Any]]:
    features = observer.features[-1]
    names = _allowed(features) if options.metrics == "all" else check_names(options.metrics.split(","))
    real = observer.test.take(np.arange(min(len(observer.test), MAX_IMAGES)))
    num = len(real["image"]) if options.num is None else options.num
    check_num(num, "num", 2)
    if options.images == "train":
        fake = _spread(observer.train, num)
    else:
        fake = observer.sample(run.state, stream_key(options.seed, "evaluate samples"), num)
    known = _spread(observer.train, len(observer.train)) if "memorisation" in names else None
    said = {
        "run": run.saved["name"],
        "workdir": str(options.workdir),
        "step": run.step,
        "images": options.images,
        "seed": options.seed,
        "data": run.experiment.data.name,
        "split": "test",
        "parameters": "averaged where the model keeps averages; batch norm by its running averages",
    }
    return measure(Sets(real["image"], fake, features, known, real.get("label")), names, said)


def _allowed(features: Features) -> tuple[str, ...]:
    """All measures but those of classes where none are told, and of images larger than most."""
    without = {"ms_ssim"} if features.log_probabilities else {"ms_ssim", "is", "modes"}
    return tuple(name for name in MEASURES if name not in without)


def _spread(source: Source, num: int) -> np.ndarray:
    """So many images, evenly spaced."""
    if num > len(source):
        raise UsageError(f"There are only {len(source)} training images; set --num to so many or fewer.")
    return source.take(np.linspace(0, len(source) - 1, num).astype(int))["image"]


def _print(found: dict[str, Any] | None, title: str, values: dict[str, float]) -> None:
    if found is not None:
        print(json.dumps(found))
        return
    print(title)
    for name, value in sorted(values.items()):
        print(f"  {name:<48} {value:.6g}")


EVALUATION_VERBS = {"evaluate": (Evaluate, evaluate)}
