"""The verbs that write down what a run has: `report` its page, `export` its networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments.verbs.opening import OnCheckpoint, OnRun, check_out, open_run
from gdl_jax.pictures.report import write_report
from gdl_jax.training.export import export as write_export


@dataclass(frozen=True, kw_only=True)
class Report(OnRun):
    """Write report.html: curves, samples over time, metrics, settings, on one page."""


@dataclass(frozen=True, kw_only=True)
class Export(OnCheckpoint):
    """Write the networks of a run into one .npz file that NumPy reads.

    That of a classifier is what `evaluate --features` takes.
    """

    out: Path | None = None
    """File to write (default: WORKDIR/export.npz)."""


def report(options: Report) -> None:
    """`report WORKDIR`."""
    print(write_report(options.workdir))


def export(options: Export) -> None:
    """`export WORKDIR`."""
    check_out(options.out, (".npz",))
    out = options.out or options.workdir / "export.npz"
    run = open_run(options.workdir, options.checkpoint, options.data.dir)
    count = write_export(out, run.state, run.saved | {"step": run.step})
    print(f"{out} ({count} arrays)")


KEEPING_VERBS = {
    "report": (Report, report),
    "export": (Export, export),
}
