"""Two records side by side, and what became worse by more than the spread."""

from __future__ import annotations

from typing import Any

from benchmarks.table import columns
from gdl_jax.errors import UsageError

TOLERANCE = 0.01
"""By which a figure without spread (arithmetic, memory) may grow; no time is compared closer than this either."""

SETTINGS = ("dtype", "batch_size", "batches_per_step", "arrays", "devices")


def compare(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, list[str]]:
    """A table of ratios after : before, and one line for every figure that fell.

    Raises:
        UsageError: the two have no experiment in common.
    """
    olds = {record["name"]: record for record in before["records"]}
    pairs = [(olds[record["name"]], record) for record in after["records"] if record["name"] in olds]
    if not pairs:
        raise UsageError("The two records have no experiment in common; run both with the same NAMES.")
    rows, falls = [["experiment", "figure", "before", "after", "ratio", "spread", ""]], []
    for old, new in pairs:
        for figure, a, b, spread, fell in _figures(old, new):
            ratio = f"{b / a:.3f}" if a else "-"
            allowed = "-" if spread is None else f"{spread / a:.3f}"
            rows.append([new["name"], figure, f"{a:.4g}", f"{b:.4g}", ratio, allowed, "FELL" if fell else ""])
            if fell:
                falls.append(f"{new['name']}: {figure} went from {a:.4g} to {b:.4g}, a ratio of {ratio}")
    return "\n".join([columns(rows), *_differences(before, after, pairs)]), falls


def _figures(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, float, float, float | None, bool]]:
    """(figure, before, after, spread of the difference, whether it fell) of one experiment."""
    places = {"": (old, new), "real ": (old.get("real", {}), new.get("real", {}))}
    found = []
    for place, (a, b) in places.items():
        found += _timed(f"{place}step_seconds", "step_seconds", a, b, worse=1)
        if "examples_per_second" in a and "examples_per_second" in b:
            slower = bool(found) and found[-1][-1]
            found.append(
                (f"{place}examples_per_second", a["examples_per_second"], b["examples_per_second"], None, slower)
            )
    for peer in old["peers"].keys() & new["peers"].keys():
        found += _timed(f"speedup over {peer}", "speedup", old["peers"][peer], new["peers"][peer], worse=-1)
    for figure in ("flops_per_step", "peak_memory", "traces"):
        a, b = old.get(figure), new.get(figure)
        if a is not None and b is not None:
            found.append((figure, a, b, None, b > a * (1 + TOLERANCE)))
    # One measurement has no spread, so that nothing can be said of a difference.
    found.append(("compile_seconds", old["compile_seconds"], new["compile_seconds"], None, False))
    return found


def _timed(
    figure: str, key: str, a: dict[str, Any], b: dict[str, Any], *, worse: int
) -> list[tuple[str, float, float, float | None, bool]]:
    """A figure fell if its median moved the wrong way by more than both interquartile ranges together."""
    if key not in a or key not in b:
        return []
    spread = sum(high - low for low, high in (a[f"{key}_quartiles"], b[f"{key}_quartiles"]))
    spread = max(spread, TOLERANCE * a[key])
    return [(figure, a[key], b[key], spread, worse * (b[key] - a[key]) > spread)]


def _differences(before: dict[str, Any], after: dict[str, Any], pairs: list[tuple[dict, dict]]) -> list[str]:
    """One line for everything beside the code that is not the same."""
    lines = []
    for old, new in pairs:
        settings = {key: (old["config"].get(key), new["config"].get(key)) for key in old["config"] | new["config"]}
        settings |= {key: (old[key], new[key]) for key in SETTINGS}
        lines += [f"{new['name']}: {key} was {a} and is {b}" for key, (a, b) in settings.items() if a != b]
    for place in ("device", "versions", "environment"):
        a, b = before[place], after[place]
        lines += [f"{place}: {key} was {a.get(key)} and is {b.get(key)}" for key in a | b if a.get(key) != b.get(key)]
    lines.append(f"commit: {before['commit']} and {after['commit']}")
    missing = {record["name"] for record in before["records"]} ^ {record["name"] for record in after["records"]}
    return lines + [f"{name} is in one of the two only" for name in sorted(missing)]
