"""Generated texts against real ones by their n-grams: `python -m gdl_jax.metrics.texts REAL GENERATED`.

Gulrajani et al. 2017 (arXiv:1704.00028), section 5.2: the Jensen-Shannon divergence of n-grams, here for n = 1 to 4. A
line is a text. What two parts of the real texts have between themselves is told beside it, for it is not 0.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gdl_jax.errors import UsageError, run_module
from gdl_jax.files import json_text
from gdl_jax.metrics.similarity import ngram_divergence

LENGTHS = (1, 2, 3, 4)
BATCHES = 10
"""Parts of the real texts that are held out, one after the other, for the floor."""

Unit = Literal["characters", "words"]


def compare_texts(
    real: Sequence[Sequence[str]], generated: Sequence[Sequence[str]], *, seed: int = 0
) -> dict[str, float]:
    """Divergences in bits from the real texts, of the generated ones and of held-out real ones, for each n.

    Args:
        real: texts as characters or words.
        generated: likewise.
        seed: of the choice of held-out texts; ten batches, each as large as the generated set, or as a half of the real
            one where that is smaller.

    Raises:
        ValueError: fewer than two real texts, or a set without a sequence of some n.
    """
    if len(real) < 2:
        raise ValueError("The floor needs two real texts or more.")
    rng = np.random.default_rng(seed)
    num = min(len(generated), len(real) // 2)
    splits = [np.split(rng.permutation(len(real)), [num]) for _ in range(BATCHES)]
    found = {}
    for n in LENGTHS:
        found[f"js_{n}"] = ngram_divergence(generated, real, n)
        floors = [ngram_divergence([real[i] for i in held], [real[i] for i in rest], n) for held, rest in splits]
        found[f"js_{n}_of_held_out_texts"] = float(np.mean(floors))
    return found


def read_texts(path: Path, unit: Unit) -> list[Sequence[str]]:
    """The lines of a file that are not empty.

    Raises:
        UsageError: there is no such file, or it is no text in UTF-8, or empty.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8; convert it first.") from error
    lines = [line for line in lines if line]
    if not lines:
        raise UsageError(f"{path} holds no line of text.")
    return lines if unit == "characters" else [line.split() for line in lines]


def main(arguments: Sequence[str]) -> None:
    """Prints a line for each value, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m gdl_jax.metrics.texts", description=__doc__.splitlines()[0])
    parser.add_argument("real", type=Path, help="file of real texts, one a line")
    parser.add_argument("generated", type=Path, help="file of generated texts, one a line")
    parser.add_argument("--unit", choices=("characters", "words"), default="characters", help="of the n-grams")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of held-out texts")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args(arguments)
    real, generated = (read_texts(path, options.unit) for path in (options.real, options.generated))
    try:
        values = compare_texts(real, generated, seed=options.seed)
    except ValueError as error:
        raise UsageError(str(error)) from error
    said: dict[str, Any] = {
        "measure": "Jensen-Shannon divergence of n-grams from those of the real texts, in bits",
        "unit": options.unit,
        "real": len(real),
        "generated": len(generated),
        "batches_of_held_out_texts": BATCHES,
        "seed": options.seed,
    }
    if options.json:
        print(json_text({name: {"value": value, "protocol": said} for name, value in values.items()}))
        return
    for name, value in values.items():
        print(f"{name:<40} {value:.6g}")


if __name__ == "__main__":
    sys.exit(run_module(main))
