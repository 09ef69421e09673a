"""Two folders of images compared: `python -m gdl_jax.metrics.compare DATA SAMPLES`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from gdl_jax import runtime
from gdl_jax.data.folder import load_whole
from gdl_jax.errors import run_module
from gdl_jax.files import json_text
from gdl_jax.metrics.feature_files import BUILT_IN, open_features
from gdl_jax.metrics.features import FILTERS, IMAGES_PER_CALL, Resize
from gdl_jax.metrics.sets import Sets
from gdl_jax.metrics.spill import blocks, spilled
from gdl_jax.metrics.suite import MEASURES, check_names, measure


def read_folder(path: Path) -> UInt8[np.ndarray, "num height width channels"]:
    """Every image of a folder, in a file; see `spilled`.

    Raises:
        UsageError: see `load_whole`.
    """
    source = load_whole(path)
    (images,) = spilled((source.take(part)["image"],) for part in blocks(np.arange(len(source)), IMAGES_PER_CALL))
    return images


def compare(
    real: Path, fake: Path, metrics: Sequence[str], features: str, resize: Resize = "bicubic"
) -> dict[str, dict[str, Any]]:
    """See `measure`."""
    check_names(metrics)
    sets = Sets(read_folder(real), read_folder(fake), open_features(features, resize=resize))
    return measure(sets, metrics, {"real_folder": str(real), "samples_folder": str(fake)})


def lines(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Values with the features in which they were taken, whose names end in the digest of their weights; warnings."""
    shown = []
    for name, result in found.items():
        said = f"{name} [{result['protocol']['features']}]"
        shown.append(f"  {said:<64} {result['value']:.6g}")
    warnings = dict.fromkeys(result["protocol"].get("warning", "") for result in found.values())
    return [*shown, *filter(None, warnings)]


def main(arguments: Sequence[str]) -> None:
    """Prints a line for each value, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m gdl_jax.metrics.compare", description=__doc__)
    parser.add_argument("real", type=Path, help="folder of data")
    parser.add_argument("fake", type=Path, help="folder of samples")
    parser.add_argument("--metrics", default="fid,kid,prdc", help=f"some of {','.join(MEASURES)}")
    parser.add_argument(
        "--features", default="pixels", help=f"{', '.join(BUILT_IN)}, or a file with the weights of Inception v3 or VGG"
    )
    parser.add_argument("--resize", choices=FILTERS, default="bicubic", help="filter to the size of a network")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args(arguments)
    found = compare(options.real, options.fake, options.metrics.split(","), options.features, options.resize)
    if options.json:
        print(json_text(found))
        return
    print("\n".join(lines(found)))


if __name__ == "__main__":
    runtime.set_defaults()
    sys.exit(run_module(main))
