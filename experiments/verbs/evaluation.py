"""The verb `evaluate`: the measures taken while training, or those of `gdl_jax.metrics.suite`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.verbs.opening import OnCheckpoint, Opened, check_num, open_run, open_trained
from gdl_jax.data.source import Source, Split, load
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError, nearest
from gdl_jax.files import json_text
from gdl_jax.metrics.classifiers import default_features
from gdl_jax.metrics.compare import lines
from gdl_jax.metrics.feature_files import BUILT_IN
from gdl_jax.metrics.feature_files import open_features as open_known_features
from gdl_jax.metrics.features import PIXELS, Features, Resize, network_features
from gdl_jax.metrics.path_length import PathSettings
from gdl_jax.models.classifier import Classifier
from gdl_jax.models.model import Samples
from gdl_jax.networks.weights import READERS
from gdl_jax.steps.devices import make_mesh, put, replicated
from gdl_jax.steps.state import TrainState
from gdl_jax.training.export import digest, variables
from gdl_jax.training.observer import Observer
from gdl_jax.training.sample_metrics import NAMES, SampleMetrics, Whose

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Evaluate(OnCheckpoint):
    """Measure the model of a run on the test set: as while training, or by the metrics that are named."""

    json: bool = False
    """Print one JSON object and nothing else."""
    features: str | None = None
    """In which features images are compared: pixels (means of 8x8 cells); raw_pixels; random (an untrained network);
    the name of a data set whose classifier comes with this library (digits, mnist, fashion_mnist, cifar10); the run of
    a classifier, or what export made of one; or a file with the weights of Inception v3, VGG-16 or VGG-19 (.pth, .h5,
    .safetensors, .npz). Default of --metrics: the classifier of the run's own data set where there is one, else pixels;
    without --metrics, as while training, pixels alone."""
    resize: Resize = "bicubic"
    """Filter for images of another size than the network's, antialiased but for nearest."""
    metrics: str = ""
    """Take these instead: some of fid, fid_infinity, kid, is, prdc, prd, modes, memorisation, birthday, parzen,
    ms_ssim, sharpness, ppl, triangles, with commas between; "all" for all that suit every model, the features and the
    number of images."""
    num: int | None = None
    """Samples for the metrics (default: as many as images of the data, 10,000 at the most)."""
    split: Split = "test"
    """Images of the data for the metrics: of the test set, or those that the model was trained on, as many published
    distances have them (CIFAR-10: all 50,000)."""
    num_real: int | None = None
    """How many of them, at random (default: all, 10,000 at the most)."""
    images: Whose = "samples"
    """Whose metrics: of samples, or of as many images of the other split, which is the best that samples could do."""
    seed: int = 0
    """Of the samples for the metrics."""
    path: PathSettings = PathSettings()
    """Of perceptual path length (ppl)."""


def open_features(name: str | Path, mesh: Mesh | None = None, resize: Resize = "bicubic") -> Features:
    """Those of `gdl_jax.metrics.feature_files`, of the export of a classifier, or of its run's newest checkpoint.

    Raises:
        UsageError: it is none of these, or it is damaged.
    """
    path = Path(name)
    run = None if str(name) in BUILT_IN else open_trained(path)
    if run is None:
        if str(name) not in BUILT_IN and not path.exists() and path.suffix not in READERS:
            raise UsageError(
                f"There is no run and no file {path}, and no features of that name: {nearest(path.name, BUILT_IN)}"
            )
        return open_known_features(str(name), mesh, resize)
    model = run.model
    if not isinstance(model, Classifier):
        raise UsageError(f"{path} is of {run.saved['name']!r}; --features takes the run or the export of a classifier.")
    data = DataSpec.from_json(run.saved["data"])
    sha256 = digest(variables(run.state))
    name = f"{run.saved['name']}_{sha256[:8]}"
    return network_features(
        name,
        f"inputs of the last layer of {name} ({type(model.network).__name__}, {run.step} steps on "
        f"{run.experiment.data.name}; the number is the beginning of the SHA-256 of its variables)",
        lambda state, images: (model.features(state, images), model.classify(state, images)),
        run.state,
        shape=data.image_shape,
        image_range=model.image_range,
        sha256=sha256,
        num_classes=len(data.classes),
        resize=resize,
        mesh=mesh,
    )


def evaluate(options: Evaluate) -> None:
    """`evaluate WORKDIR`."""
    run = open_run(options.workdir, options.checkpoint, options.data.dir)
    data = run.experiment.data
    train, test = load(data, "train"), load(data, "test")
    mesh = make_mesh()
    if not isinstance(run.model, Samples):
        for given, said in ((options.features, "--features"), (options.metrics, "--metrics")):
            if given:
                raise UsageError(f"{run.saved['name']} draws no images that could be measured; leave {said} out.")
    chosen = None if options.features is None else open_features(options.features, mesh, options.resize)
    state = put(jax.tree.map(np.asarray, run.state), replicated(mesh))
    title = f"{run.saved['name']}, step {run.step}"
    if options.metrics:
        features = chosen or default_features(data.full_name, mesh, options.resize)
        found = _metrics(options, run, state, (train, test), features, mesh)
        if options.json:
            print(json_text(found))
        else:
            said = next(iter(found.values()))["protocol"]
            compared = f"{said['samples']:,} {NAMES.get(said['images'], 'samples')} and {said['real']:,}"
            print("\n".join([f"{title}: {compared} {NAMES[said['split']]} of {data.full_name}", *lines(found)]))
        return
    seen = (PIXELS,) if chosen in (None, PIXELS) else (PIXELS, chosen)
    observer = Observer(run.model, train, test, run.experiment, mesh, seen)
    values = observer.evaluate(state)
    found = {"name": run.saved["name"], "workdir": str(options.workdir), "step": run.step}
    found |= {"data": data.full_name, "num_test": len(test), "seed": run.experiment.seed}
    found |= {"metrics": values, "protocol": observer.protocol()}
    if options.json:
        print(json_text(found))
        return
    print(f"{title}, {len(test):,} test examples of {data.full_name}")
    for sentence in observer.left_out():
        print(f"  {sentence}")
    for name, value in sorted(values.items()):
        print(f"  {name:<64} {value:.6g}")


def _metrics(
    options: Evaluate,
    run: Opened,
    state: TrainState,
    sources: tuple[Source, Source],
    features: Features,
    mesh: Mesh,
) -> dict[str, dict[str, Any]]:
    if options.num is not None:
        check_num(options.num, "num", 2)
    if options.num_real is not None:
        check_num(options.num_real, "num-real", 2)
    train, test = sources
    metrics = SampleMetrics(
        model=run.model,
        train=train,
        test=test,
        mesh=mesh,
        features=features,
        names=() if options.metrics == "all" else options.metrics.split(","),
        num=options.num,
        split=options.split,
        num_real=options.num_real,
        seed=options.seed,
        path=options.path,
    )
    if options.metrics == "all":
        metrics, refused = metrics.with_all()
        for sentence in refused:
            log.warning("%s It is left out.", sentence)
    said = {"run": run.saved["name"], "workdir": str(options.workdir), "step": run.step}
    said["data"] = run.experiment.data.full_name
    return metrics.results(state, images=options.images, protocol=said)


EVALUATION_VERBS = {"evaluate": (Evaluate, evaluate)}
