"""Measures feature networks, and the Frechet distance in their features: `python -m benchmarks.features`.

python -m benchmarks.features                     Inception v3 with random weights: images/s in float32 and bfloat16
python -m benchmarks.features pt_inception.pth    with the weights of a file, and so what bfloat16 changes of a distance
python -m benchmarks.features --fid-samples 0     without the Frechet distance of 28x28 images with its profile
python -m benchmarks.features --json F.json       the record as JSON
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, ClassVar, Literal

from gdl_jax import runtime

# Before jax is imported.
runtime.set_defaults()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import tyro  # noqa: E402

from benchmarks import record  # noqa: E402
from benchmarks.options import BenchmarkOptions  # noqa: E402
from benchmarks.table import columns  # noqa: E402
from experiments.command_line import parse  # noqa: E402
from gdl_jax.errors import UsageError, run_module  # noqa: E402
from gdl_jax.files import write_json  # noqa: E402
from gdl_jax.metrics.classifiers import shipped_features  # noqa: E402
from gdl_jax.metrics.feature_files import inception_features, inception_network_features  # noqa: E402
from gdl_jax.metrics.features import Features  # noqa: E402
from gdl_jax.metrics.frechet import frechet_distance, moments  # noqa: E402
from gdl_jax.metrics.order import random_order, reordered  # noqa: E402
from gdl_jax.networks.inception import FEATURES, SIZE, InceptionV3, is_inception  # noqa: E402
from gdl_jax.networks.weights import read_weights  # noqa: E402

PROGRAM = "benchmarks.features"

DATA = "mnist"
"""Whose classifier gives the features of the profile."""


@dataclass(frozen=True, kw_only=True)
class Options(BenchmarkOptions):
    """What to measure."""

    least: ClassVar[dict[str, float]] = {"num": 1, "size": 1, "fid_samples": 0, "rounds": 1}

    weights: tyro.conf.Positional[Path | None] = None
    """File with the weights of Inception v3 (default: random ones, which take as long)."""
    num: int = 256
    """Images that Inception looks at; from 2,049 on, distances in float32 and bfloat16 are compared too."""
    size: int = SIZE
    """Side of its images; others than 299 are resized."""
    dtypes: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
    """Of its computations."""
    fid_samples: int = 10_000
    """28x28 images, and as many of data, of the Frechet distance in the features of the small classifier; 0: none."""
    rounds: int = 3
    """How often everything is timed; the median counts."""

    def __post_init__(self):
        super().__post_init__()
        if 0 < self.fid_samples < 65:
            raise UsageError(f"--fid-samples is {self.fid_samples}; a covariance of 64 features needs 65 or more.")


def main(arguments: list[str]) -> int:
    """Measures and prints. Returns the exit code: 0, or 2 for a user's mistake."""
    return run_module(show, arguments)


def show(arguments: list[str]) -> None:
    """Does what the words say; see `main`."""
    options = parse(Options, arguments, prog=f"python -m {PROGRAM}", description=__doc__)
    print(table(run(options, arguments)["records"]))


def run(options: Options, command: Sequence[str]) -> dict[str, Any]:
    """One object for each dtype of Inception, one for the difference of their distances, one for the profile."""
    found = record.surroundings(command, PROGRAM)
    found["records"] = inception(options) if options.dtypes else []
    if options.fid_samples:
        found["records"].append(profile(options.fid_samples, options.rounds))
    if options.json is not None:
        write_json(options.json, found)
    return found


def inception(options: Options) -> list[dict[str, Any]]:
    """Images a second from uint8 arrays on the host to features on the host."""
    rng = np.random.default_rng(0)
    # Two sets that differ, so that their distance is not rounding alone.
    data, samples = (
        np.clip(rng.normal(mean, 60, (options.num, options.size, options.size, 3)), 0, 255).astype(np.uint8)
        for mean in (120, 140)
    )
    found, distances = [], {}
    for dtype in options.dtypes:
        features = inception_of(options.weights, dtype)
        features.of(data[:1])
        times = timed(lambda features=features: features.of(samples), options.rounds)
        found.append(
            {
                "name": f"Inception v3, {dtype}",
                "features": features.name,
                "images": options.num,
                "image_shape": f"{options.size}x{options.size}x3",
                "resize": features.treatment((options.size, options.size, 3)),
                "images_per_second": options.num / times["seconds"],
                **times,
            }
        )
        if options.num > FEATURES:
            distances[dtype] = frechet_distance(moments(features.of(samples)), moments(features.of(data)))
    if len(distances) == 2:
        change = distances["bfloat16"] / distances["float32"] - 1
        found.append({"name": "Frechet distance in both", **distances, "relative_change_by_bfloat16": change})
    return found


def inception_of(path: Path | None, dtype: str) -> Features:
    """The features of a weight file, or of random weights.

    Raises:
        UsageError: see `read_weights`; the file is of another network.
    """
    if path is not None:
        weights = read_weights(path)
        if not is_inception(weights):
            raise UsageError(f"{path} does not hold the weights of Inception v3.")
        return inception_features(path, weights, dtype=jnp.dtype(dtype))
    variables = jax.jit(InceptionV3().init)(jax.random.key(0), jnp.zeros((1, SIZE, SIZE, 3)))
    digest = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(variables))).hexdigest()
    return inception_network_features("inception_random", variables, digest, dtype=jnp.dtype(dtype))


def profile(num: int, rounds: int) -> dict[str, Any]:
    """Where the time of a Frechet distance of 28x28 images goes, in the features of the small classifier."""
    rng = np.random.default_rng(0)
    data, samples = (np.clip(rng.normal(mean, 60, (num, 28, 28, 1)), 0, 255).astype(np.uint8) for mean in (120, 140))
    features = shipped_features(DATA)
    features.of(data[:1])
    sets = [data, samples]
    seen = [features.of(images) for images in sets]
    fitted = [moments(each) for each in seen]
    parts = {
        "order": lambda: [reordered(images, random_order(images)) for images in sets],
        "network": lambda: [features.of(images) for images in sets],
        "moments": lambda: [moments(each) for each in seen],
        "distance": lambda: frechet_distance(*fitted),
    }
    times = {name: timed(part, rounds) for name, part in parts.items()}
    total = sum(each["seconds"] for each in times.values())
    return {
        "name": f"Frechet distance of {num:,} samples, 28x28",
        "features": features.name,
        "samples": num,
        "seconds": total,
        "processor_seconds": sum(each["processor_seconds"] for each in times.values()),
        "share_of_network": times["network"]["seconds"] / total,
        "parts": times,
    }


def timed(act: Callable[[], object], rounds: int) -> dict[str, Any]:
    """Medians of the seconds on the wall and of the processor in this process, and all of the former.

    What is done returns when the devices have finished, since its result is on the host.
    """
    wall, processor = [], []
    for _ in range(rounds):
        before, begun = os.times(), time.perf_counter()
        act()
        wall.append(time.perf_counter() - begun)
        after = os.times()
        processor.append(after.user + after.system - before.user - before.system)
    return {"seconds": median(wall), "processor_seconds": median(processor), "all_seconds": wall}


def table(records: Sequence[dict[str, Any]]) -> str:
    """A line for each, and for each part of the profile."""
    rows = [("", "seconds", "of the processor", "images/s", "")]
    for entry in records:
        if "seconds" not in entry:
            rows.append((entry["name"], "", "", "", f"bfloat16 {entry['relative_change_by_bfloat16']:+.2%}"))
            continue
        rate = f"{entry['images_per_second']:.4g}" if "images_per_second" in entry else ""
        share = f"{entry['share_of_network']:.0%} in the network" if "share_of_network" in entry else ""
        rows.append((entry["name"], f"{entry['seconds']:.3g}", f"{entry['processor_seconds']:.3g}", rate, share))
        for part, its in entry.get("parts", {}).items():
            rows.append((f"  {part}", f"{its['seconds']:.3g}", f"{its['processor_seconds']:.3g}", "", ""))
    return columns(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
