"""Measures the convolutions of `gdl_jax.layers.lowering`: `python -m benchmarks.convolutions`.

python -m benchmarks.convolutions                every shape of benchmarks/shapes.py, with lax's own form beside ours
python -m benchmarks.convolutions dcgan --peers  shapes with "dcgan" in the name, PyTorch's too (pip install '.[peers]')
python -m benchmarks.convolutions --json F.json  the record as JSON
python -m benchmarks.convolutions table F.json   a record's table; its last lines are what README says
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean
from typing import Any, ClassVar, Literal, NamedTuple

from gdl_jax import runtime

# Before jax is imported.
runtime.set_defaults()

import jax  # noqa: E402
import numpy as np  # noqa: E402
import tyro  # noqa: E402
from jax import Array  # noqa: E402

from benchmarks import record  # noqa: E402
from benchmarks.measure import Contestant, take_turns  # noqa: E402
from benchmarks.options import BenchmarkOptions  # noqa: E402
from benchmarks.shapes import SHAPES, Shape  # noqa: E402
from benchmarks.table import columns  # noqa: E402
from experiments.command_line import parse  # noqa: E402
from gdl_jax.errors import UsageError, run_module  # noqa: E402
from gdl_jax.files import write_json  # noqa: E402
from gdl_jax.layers import lowering  # noqa: E402

PROGRAM = "benchmarks.convolutions"

SLOW = 1 / 3
"""A shape is named in the summary where a rival takes less than this part of our time."""

LIMIT = 0.3
"""Seconds for one call beyond which lax's own form is timed once and not in turns."""


@dataclass(frozen=True, kw_only=True)
class Options(BenchmarkOptions):
    """What to measure."""

    least: ClassVar[dict[str, float]] = {"rounds": 1, "round_seconds": 0}

    words: tyro.conf.Positional[tuple[str, ...]] = ()
    """Parts of names: only shapes that contain one of them (default: all)."""
    peers: bool = False
    """Also PyTorch, in turns with ours."""
    lax: bool = True
    """Also lax's own forms, in turns with ours."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the arrays."""
    rounds: int = 7
    """How often everything is timed."""
    round_seconds: float = 0.03
    """The least that each of these times lasts."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A record to show."""

    file: tyro.conf.Positional[Path]
    """JSON file of a run."""


class Operation(NamedTuple):
    """One of the three functions with its operands."""

    name: str
    ours: Callable[..., Array]
    lax: Callable[..., Array]
    operands: tuple[Array, Array]


def main(arguments: list[str]) -> int:
    """Measures and prints. Returns the exit code: 0, or 2 for a user's mistake."""
    return run_module(show, arguments)


def show(arguments: list[str]) -> None:
    """Does what the words say; see `main`."""
    if arguments[:1] == ["table"]:
        prog = f"python -m {PROGRAM} table"
        print(
            table(record.read(parse(File, arguments[1:], prog=prog, description=File.__doc__).file, PROGRAM)["records"])
        )
        return
    options = parse(Options, arguments, prog=f"python -m {PROGRAM}", description=__doc__)
    print(table(run(options, arguments)["records"]))


def run(options: Options, command: Sequence[str]) -> dict[str, Any]:
    """One object per shape and operation."""
    shapes = [shape for shape in SHAPES if not options.words or any(word in shape.name for word in options.words)]
    if not shapes:
        raise UsageError(f"no shape has {' or '.join(options.words)} in its name; see benchmarks/shapes.py.")
    if options.peers and importlib.util.find_spec("torch") is None:
        raise UsageError("--peers needs PyTorch, which is not installed; install it with: pip install '.[peers]'")
    found = record.surroundings(command, PROGRAM)
    for number, shape in enumerate(shapes, 1):
        print(f"{number}/{len(shapes)} {shape.name}", file=sys.stderr, flush=True)
        found["records"] += measure(shape, options)
        if options.json is not None:
            write_json(options.json, found)
    return found


def operations(shape: Shape, dtype: str) -> list[Operation]:
    """Forward, input gradient and kernel gradient of a layer, on normal numbers."""
    g = shape.geometry
    rng = np.random.default_rng(0)
    large, small = shape.channels[:: -1 if shape.transposed else 1]
    shapes = (shape.batch, *g.size, large), (shape.batch, *g.output_size, small), (*g.kernel, large // g.groups, small)
    x, y, k = (jax.numpy.asarray(rng.standard_normal(size, np.float32), dtype) for size in shapes)
    conv = (lowering.conv, lowering.lax_conv, (x, k))
    back = (lowering.conv_transpose, lowering.lax_conv_transpose, (y, k))
    forward, input_gradient = (back, conv) if shape.transposed else (conv, back)
    return [
        Operation("forward", *forward),
        Operation("input gradient", *input_gradient),
        Operation("kernel gradient", lowering.kernel_gradient, lowering.lax_kernel_gradient, (x, y)),
    ]


def measure(shape: Shape, options: Options) -> list[dict[str, Any]]:
    """The records of a layer's three operations."""
    found = []
    for operation in operations(shape, options.dtype):
        contestants = {"ours": _contestant(operation.ours, shape, operation.operands)}
        entry: dict[str, Any] = {
            "name": shape.name,
            "systems": list(shape.systems),
            "operation": operation.name,
            "dtype": options.dtype,
            "flops": shape.flops,
        }
        if options.lax:
            lax = _contestant(operation.lax, shape, operation.operands)
            lax.advance(1)
            start = time.perf_counter()
            lax.advance(1)
            once = time.perf_counter() - start
            if once > LIMIT:
                entry["lax"] = {"seconds": once}
            else:
                contestants["lax"] = lax
        if options.peers:
            from benchmarks.peers.convolutions import contestant

            contestants["torch"] = contestant(shape, operation.name, operation.operands)
        times = take_turns(contestants, rounds=options.rounds, seconds=options.round_seconds)
        ours = times.pop("ours")
        entry |= ours.to_json("seconds") | {"flops_per_second": shape.flops / ours.median}
        for rival, theirs in times.items():
            entry[rival] = theirs.to_json("seconds") | theirs.over(ours).to_json("speedup")
        if "lax" in entry:
            entry["lax"].setdefault("speedup", entry["lax"]["seconds"] / ours.median)
        found.append(entry)
    return found


def _contestant(function: Callable[..., Array], shape: Shape, operands: tuple[Array, Array]) -> Contestant:
    compiled = jax.jit(function, static_argnums=0)

    def advance(calls: int) -> None:
        for _ in range(calls):
            # Each is awaited: the memory of several results at once is no part of the question.
            compiled(shape.geometry, *operands).block_until_ready()

    return Contestant(advance)


def table(records: Sequence[dict[str, Any]]) -> str:
    """Milliseconds of ours; how many times that the others take; what that comes to."""
    rivals = _rivals(records)
    rows = [["shape", "operation", "GFLOP", "ours ms", "GFLOP/s", *(f"{rival} / ours" for rival in rivals)]]
    for entry in records:
        numbers = [f"{entry['flops'] / 1e9:.2f}", f"{1e3 * entry['seconds']:.2f}"]
        numbers += [f"{entry['flops_per_second'] / 1e9:.0f}"]
        rows.append([entry["name"], entry["operation"], *numbers, *(f"{entry[r]['speedup']:.2f}" for r in rivals)])
    return "\n\n".join([columns(rows), *outliers(records), *summary(records)])


def outliers(records: Sequence[dict[str, Any]]) -> list[str]:
    """For each rival the operations in which it is more than three times as fast, the worst first."""
    found = []
    for rival in _rivals(records):
        slow = sorted((e for e in records if e[rival]["speedup"] < SLOW), key=lambda e: e[rival]["speedup"])
        if slow:
            rows = [[f"{e['name']}, {e['operation']}", f"{e[rival]['speedup']:.2f}"] for e in slow]
            found.append(columns([[f"{rival} takes less than a third of our time", f"{rival} / ours"], *rows]))
    return found


def summary(records: Sequence[dict[str, Any]]) -> list[str]:
    """For each rival the geometric mean of the ratios, the least, and how many are below a third."""
    found = []
    for rival in _rivals(records):
        rows = [[f"{rival} / ours", "geometric mean", "least", "below 1/3"]]
        for operation in ("forward", "input gradient", "kernel gradient", "all"):
            ratios = [e[rival]["speedup"] for e in records if operation in ("all", e["operation"])]
            below = f"{sum(ratio < SLOW for ratio in ratios)} of {len(ratios)}"
            rows.append([operation, f"{geometric_mean(ratios):.2f}", f"{min(ratios):.2f}", below])
        found.append(columns(rows))
    return found


def _rivals(records: Sequence[dict[str, Any]]) -> list[str]:
    return [name for name in ("lax", "torch") if any(name in entry for entry in records)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
