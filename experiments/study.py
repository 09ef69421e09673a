"""Doing a study: its findings on the terminal, and in a folder with numbers, figures and a page."""

from __future__ import annotations

import sys
import time

import numpy as np

from experiments import workdir
from experiments.command_line import Start, parse_entry
from experiments.registry import Findings, Study
from gdl_jax.errors import UsageError
from gdl_jax.files import write_json
from gdl_jax.pictures.charts import save_chart, style
from gdl_jax.pictures.grid import save_png
from gdl_jax.pictures.report import write_report
from gdl_jax.training.cache import keep_compiled_programs


def run_study(entry: type[Study], arguments: list[str]) -> None:
    """Does what `NAME [--setting value ...]` says; what the folder held of an earlier time is replaced."""
    name = arguments[0]
    options, study = parse_entry(name, entry, arguments[1:], Start)
    folder = options.workdir or workdir.default(name)
    workdir.check_owner(folder, name)
    if options.compile_cache:
        keep_compiled_programs()
    print(f"{name}: {study.summary()}")
    print("\n".join(aligned("settings", workdir.flatten(workdir.config_dict(study)))))
    sys.stdout.flush()
    begun = time.perf_counter()
    with style():
        findings = study.run()
        seconds = time.perf_counter() - begun
        check_finite(findings)
        # Only now, so that a mistake or an interrupt leaves the earlier findings.
        workdir.delete(folder, workdir.STUDY_CONTENTS)
        workdir.write_study(folder, name, study, arguments, findings)
        for title, figure in findings.figures.items():
            path = folder / "figures" / f"{title}.png"
            if isinstance(figure, np.ndarray):
                save_png(path, figure)
            else:
                save_chart(path, figure)
                save_chart(path.with_suffix(".svg"), figure)
    write_json(folder / "summary.json", {name: float(value) for name, value in findings.numbers.items()})
    numbers = {name: f"{value:.6g}" for name, value in findings.numbers.items()}
    print("\n".join([*aligned("numbers", numbers), "", findings.text, ""]))
    print(f"workdir: {folder} ({len(findings.figures)} figures, summary.json; {seconds:.1f} s)")
    print(f"report: {write_report(folder)}")


def aligned(title: str, values: dict[str, object]) -> list[str]:
    """A heading and one line per value, the values under each other; nothing without values."""
    width = max(map(len, values), default=0)
    return ([f"{title}:"] if values else []) + [f"  {key:<{width}}  {value}" for key, value in values.items()]


def check_finite(findings: Findings) -> None:
    """Raises UsageError where a number is none that JSON can hold: learning rates beyond all measure lead there."""
    wrong = [name for name, value in findings.numbers.items() if not np.isfinite(value)]
    if wrong:
        raise UsageError(f"With these settings numbers are not finite: {', '.join(wrong)}.")
