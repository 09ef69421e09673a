"""Records as text: for the terminal, and as the table of README."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import geometric_mean
from typing import Any

from gdl_jax.errors import UsageError

PEERS = {"torch_eager": "PyTorch eager", "torch_compile": "`torch.compile`"}


def table(records: Sequence[dict[str, Any]]) -> str:
    """The steps; then, of what was measured, peers, host overhead and scaling."""
    parts = [_steps(records)]
    parts += [part for make in (_peers, _overheads, _scaling) if (part := make(records))]
    parts += [f"{record['name']}: {remark}" for record in records for remark in record["remarks"]]
    return "\n\n".join(parts)


def markdown(files: Sequence[dict[str, Any]]) -> str:
    """The steps of whole records beside the peers', in the records' order, and on what each record was measured.

    Raises:
        UsageError: there is none, or one twice, where nothing but its time could say which of the two counts.
    """
    records = [r for file in files for r in file["records"]]
    if not records:
        raise UsageError("There is no record to show; give files that `benchmarks.run --json` wrote.")
    ((name, count),) = Counter(r["name"] for r in records).most_common(1)
    if count > 1:
        raise UsageError(f"There are {count} records of {name!r}; give files that have each experiment once.")
    peers = {peer: title for peer, title in PEERS.items() if any(peer in r["peers"] for r in records)}
    head = ["step", "example", "batch", "ms", "of the measured matmul peak", *peers.values()]
    rows = [head, ["---"] * len(head)]
    for r in records:
        speedups = [f"{r['peers'][peer]['speedup']:.2f}" if peer in r["peers"] else "" for peer in peers]
        peak = f"{100 * r['peak_fraction']:.0f} %" if r["peak_fraction"] else ""
        ms = 1e3 * r["step_seconds"]
        rows.append([f"`{r['name']}`", example(r), batch(r), f"{ms:,.{1 if ms < 100 else 0}f}", peak, *speedups])
    if peers:
        ratios = [[r["peers"][peer]["speedup"] for r in records if peer in r["peers"]] for peer in peers]
        rows.append(["geometric mean", "", "", "", "", *(f"{geometric_mean(each):.2f}" for each in ratios)])
    return "\n".join([*("| " + " | ".join(row) + " |" for row in rows), "", *map(_made, files)])


def _made(file: dict[str, Any]) -> str:
    device, versions = file["device"], file["versions"]
    packages = ", ".join(f"{name} {versions[name]}" for name in ("jax", "torch") if versions.get(name))
    kinds = "; ".join(sorted({f"{r['dtype']}, medians of {r['rounds']} rounds" for r in file["records"]}))
    changes = " with uncommitted changes" if file["uncommitted_changes"] else ""
    commit = f"commit {file['commit'][:8]}{changes}" if file["commit"] else "commit unknown"
    return f"{kinds}; {device['count']} x {device['kind']}, {device['cores']} cores; {packages}; {commit}."


def batch(record: dict[str, Any]) -> str:
    """Examples that a step takes: "64", or of five batches "5x64"."""
    batches = record["batches_per_step"]
    return f"{batches}x{record['batch_size']}" if batches > 1 else str(record["batch_size"])


def example(record: dict[str, Any]) -> str:
    """The first array of the data, which is what is learned, and its shape: "image 28x28x1"."""
    name, (shape, _) = next(iter(record["arrays"].items()))
    return f"{name} {'x'.join(map(str, shape))}"


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
    head = ["experiment", "dtype", "batch", "example", "compile s", "step ms (quartiles)", "examples/s", "per device"]
    head += ["GFLOP/step", "of peak", "MiB", "traces", "real data ms"]
    rows = [head]
    for r in records:
        flops, fraction = r["flops_per_step"], r["peak_fraction"]
        rows.append(
            [
                r["name"],
                r["dtype"],
                batch(r),
                example(r),
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
