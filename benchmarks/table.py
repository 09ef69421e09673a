"""Records as text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(records: Sequence[dict[str, Any]]) -> str:
    """The steps; then, of what was measured, peers, host overhead and scaling."""
    parts = [_steps(records)]
    parts += [part for make in (_peers, _overheads, _scaling) if (part := make(records))]
    parts += [f"{record['name']}: {remark}" for record in records for remark in record["remarks"]]
    return "\n\n".join(parts)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Aligned; the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def milliseconds(measured: dict[str, Any], name: str = "step_seconds") -> str:
    """Median and quartiles: "39.2 (38.8-40.1)"."""
    low, high = measured[f"{name}_quartiles"]
    return f"{1e3 * measured[name]:.4g} ({1e3 * low:.4g} to {1e3 * high:.4g})"


def times(measured: dict[str, Any], name: str = "speedup") -> str:
    """A ratio with its quartiles."""
    low, high = measured[f"{name}_quartiles"]
    return f"{measured[name]:.2f} ({low:.2f} to {high:.2f})"


def _steps(records: Sequence[dict[str, Any]]) -> str:
    head = ["experiment", "dtype", "batch", "image", "compile s", "step ms (quartiles)", "examples/s", "per device"]
    head += ["GFLOP/step", "of peak", "MiB", "traces", "real data ms"]
    rows = [head]
    for r in records:
        batch = str(r["batch_size"]) if r["batches_per_step"] == 1 else f"{r['batches_per_step']}x{r['batch_size']}"
        flops, fraction = r["flops_per_step"], r["peak_fraction"]
        rows.append(
            [
                r["name"],
                r["dtype"],
                batch,
                "x".join(map(str, r["image_shape"])),
                f"{r['compile_seconds']:.1f}",
                milliseconds(r),
                f"{r['examples_per_second']:,.0f}",
                f"{r['examples_per_second_per_device']:,.0f}",
                f"{flops / 1e9:.3g}" if flops else "-",
                f"{fraction:.1%}" if fraction else "-",
                f"{r['peak_memory'] / 2**20:,.1f}",
                str(r["traces"]),
                milliseconds(r["real"]),
            ]
        )
    notes = [
        f"{r['name']}: peak of {p['devices']} device(s) in {p['dtype']} in the same rounds: {p['matmul']} "
        f"{p['matmul_flops_per_second'] / 1e9:,.0f} GFLOP/s, copy {p['copy_bytes_per_second'] / 1e9:,.1f} GB/s"
        for r in records
        for p in [r["peaks"]]
    ]
    return "\n".join([columns(rows), *notes])


def _peers(records: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            r["name"],
            peer,
            milliseconds(r),
            milliseconds(found),
            times(found),
            f"{found['speedup_of_fastest_rounds']:.2f}",
        ]
        for r in records
        for peer, found in r["peers"].items()
    ]
    head = ["experiment", "peer", "ours ms", "its ms", "speedup (above 1: ours is faster)", "of the fastest rounds"]
    return columns([head, *rows]) if rows else ""


def _overheads(records: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            r["name"],
            milliseconds(r["real"]),
            str(o["steps_per_call"]),
            milliseconds(o),
            milliseconds(o, "seconds_per_step"),
        ]
        for r in records
        if (o := r.get("host_overhead"))
    ]
    head = ["experiment", "step ms, 1 per call", "per call", "step ms", "host ms per step, saved"]
    return columns([head, *rows]) if rows else ""


def _scaling(records: Sequence[dict[str, Any]]) -> str:
    rows, shared = [], False
    for r in records:
        for row in r.get("scaling", ()):
            shared |= row["devices_share_cores"]
            rows.append([r["name"], str(row["devices"]), milliseconds(row), times(row), f"{row['efficiency']:.0%}"])
    if not rows:
        return ""
    text = columns([["experiment", "devices", "step ms", "speedup", "efficiency"], *rows])
    if shared:
        text += "\nthese devices share the cores: no speed-up can come; efficiency is the share of one device's speed"
    return text
