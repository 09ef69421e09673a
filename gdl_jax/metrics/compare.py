"""Two folders of images compared: `python -m gdl_jax.metrics.compare DATA SAMPLES`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8

from gdl_jax.data.folder import load
from gdl_jax.data.images import with_channels
from gdl_jax.data.source import DataSettings, Split
from gdl_jax.errors import UsageError
from gdl_jax.metrics.features import PIXELS, Features, network_features
from gdl_jax.metrics.suite import MEASURES, Sets, measure
from gdl_jax.networks.inception import SIZE, InceptionV3, load_inception


def open_features(name: str) -> Features:
    """The built-in "pixels", or those of Inception v3 with the weights of a file."""
    return PIXELS if name == "pixels" else inception_features(Path(name))


def inception_features(path: Path) -> Features:
    """Those of Inception v3.

    Raises:
        UsageError: see `load_inception`.
    """
    variables, sha256 = load_inception(path)
    network = InceptionV3()
    return network_features(
        f"inception_{sha256[:8]}",
        "2,048 means of the last maps of Inception v3 in the form of the Frechet Inception distance",
        lambda images: network.apply(variables, images).features,
        log_probabilities=lambda images: jax.nn.log_softmax(network.apply(variables, images).logits),
        shape=(SIZE, SIZE, 3),
        image_range=(-1.0, 1.0),
        sha256=sha256,
    )


def read_folder(path: Path) -> UInt8[np.ndarray, "num height width channels"]:
    """Every image of a folder, which all have one size.

    Raises:
        UsageError: see `gdl_jax.data.folder`.
    """
    splits: tuple[Split, ...] = ("train", "test")
    sources = [load(DataSettings(name="folder", dir=path), split) for split in splits]
    parts = [source.take(np.arange(len(source)))["image"] for source in sources]
    channels = max(part.shape[-1] for part in parts)
    parts = [with_channels(part, channels) for part in parts]
    if parts[0].shape[1:] != parts[1].shape[1:]:
        raise UsageError(f"The images in {path} differ in size; make them one first.")
    return np.concatenate(parts)


def compare(real: Path, fake: Path, metrics: Sequence[str], features: str) -> dict[str, dict[str, Any]]:
    """See `measure`."""
    sets = Sets(read_folder(real), read_folder(fake), open_features(features))
    return measure(sets, metrics, {"real_folder": str(real), "samples_folder": str(fake)})


def main(arguments: Sequence[str]) -> None:
    """Prints a line for each value, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m gdl_jax.metrics.compare", description=__doc__)
    parser.add_argument("real", type=Path, help="folder of data")
    parser.add_argument("fake", type=Path, help="folder of samples")
    parser.add_argument("--metrics", default="fid,kid,prdc", help=f"some of {','.join(MEASURES)}")
    parser.add_argument("--features", default="pixels", help="pixels, or a file with the weights of Inception v3")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args(arguments)
    found = compare(options.real, options.fake, options.metrics.split(","), options.features)
    if options.json:
        print(json.dumps(found))
        return
    for name, result in found.items():
        print(f"{name:<40} {result['value']:.6g}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
