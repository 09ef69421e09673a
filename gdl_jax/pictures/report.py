"""One page that tells a whole run or study: `report.html`, made from its folder's other files, complete in itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from gdl_jax.errors import UsageError
from gdl_jax.files import write_text
from gdl_jax.metrics.monitor import Series, watch
from gdl_jax.pictures.curves import Number, escape, finite, short_number, svg_curves
from gdl_jax.pictures.page import data_address, page, table

MOST_FRAMES = 40
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PICTURE_NAME = re.compile(r"(?:(?P<group>.+?)[_-])?(?P<step>\d+)\.png")
LOG_RATIO = 1000  # a logarithmic axis from this ratio of the largest to the smallest value on


@dataclass
class History:
    """One metric over the run, steps increasing; NaN where it was not finite."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the folder of a run or a study holds.

    Attributes:
        config: content of config.json.
        lines: training lines of metrics.jsonl, one per step, in order.
        evaluations: its evaluation lines, likewise.
        pictures: group -> (step, file) in order.
        summary: content of summary.json, or {}.
        figures: files of figures/ that config.json names, the SVG where there is a PNG too.
    """

    config: dict[str, Any]
    lines: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    pictures: dict[str, list[tuple[int, Path]]]
    summary: dict[str, Any]
    figures: list[Path]


def write_report(workdir: Path) -> Path:
    """Write `workdir/report.html`: one page without any request to elsewhere, that replaces an older one in one go.

    Args:
        workdir: folder of a run or a study with config.json and, where they exist, metrics.jsonl, samples/*.png,
            summary.json, figures/*.

    Returns:
        Path of the page.

    Raises:
        UsageError: there is no config.json, or it or summary.json is no JSON object.
    """
    path = Path(workdir) / "report.html"
    write_text(path, render(read_run(Path(workdir))))
    return path


def read_run(workdir: Path) -> Run:
    """Read the files of a run; all but config.json may be missing.

    Raises:
        UsageError: there is no config.json, or it or summary.json is no JSON object.
    """
    if not (workdir / "config.json").is_file():
        raise UsageError(f"{workdir} holds no config.json, so it is no run: give the workdir of a run.")
    config = _json_object(workdir / "config.json")
    lines = list(_json_lines(workdir / "metrics.jsonl"))
    return Run(
        config=config,
        lines=_in_order(line for line in lines if isinstance(line.get("metrics"), dict)),
        evaluations=_in_order(line for line in lines if isinstance(line.get("evaluation"), dict)),
        pictures=_pictures(workdir / "samples"),
        summary=_json_object(workdir / "summary.json") if (workdir / "summary.json").is_file() else {},
        figures=_figures(workdir / "figures", config.get("figures") or ()),
    )


def render(run: Run) -> str:
    """The whole page as HTML."""
    config = run.config
    training, evaluation = histories(run.lines, "metrics"), histories(run.evaluations, "evaluation")
    versions = {**(config.get("versions") or {}), "git": config.get("git"), "devices": config.get("devices")}
    parts = {
        "name": escape(config.get("name", "run")),
        "summary": escape(config.get("summary", "")),
        "command": escape(config.get("command", "")),
        "status": _status(run),
        "text": escape(config.get("text", "")),
        "figures": _section("Figures", "".join(map(_figure, run.figures)), "figures"),
        "results": _section("Results", table(_flat_rows(run.summary))),
        "alarms": _section("Alarms", table(_alarms(training))),
        "pictures": _section("Pictures", "".join(player(*group) for group in run.pictures.items()), "players"),
        "training": _section("Training", _charts(training), "charts"),
        "evaluation": _section("Evaluation", _charts(evaluation), "charts"),
        "latest": _section("Latest metrics", _latest({**training, **evaluation})),
        "config": _section("Configuration", table(_flat_rows(config.get("config") or {}))),
        "versions": _section("Environment", table(_flat_rows(versions))),
    }
    return page("report", parts)


def _alarms(training: Mapping[str, History]) -> list[tuple[str, str, str]]:
    series = {name: Series(np.array(history.steps), np.array(history.values)) for name, history in training.items()}
    return [(f"step {alarm.step:,}", alarm.metric, alarm.words) for alarm in watch(series)]


def histories(lines: Iterable[Mapping[str, Any]], key: str) -> dict[str, History]:
    """Turn lines of metrics into one history per metric, in order of appearance.

    A metric that a line does not name was not measured at that step; one that is null was not finite.
    """
    result: dict[str, History] = {}
    for line in lines:
        for name, value in line[key].items():
            if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
                history = result.setdefault(name, History())
                history.steps.append(line["step"])
                history.values.append(float("nan") if value is None else float(value))
    return result


def charts_of(names: Iterable[str]) -> dict[str, list[str]]:
    """Names of metrics by chart: those that end alike share one, `*/loss` first and gradient norms last."""
    charts: dict[str, list[str]] = {}
    for name in names:
        title = "gradient norm" if re.search(r"grad(ient)?_norm", name) else name.rpartition("/")[2].replace("_", " ")
        charts.setdefault(title, []).append(name)
    rank = {"loss": 0, "gradient norm": 2}
    return dict(sorted(charts.items(), key=lambda chart: rank.get(chart[0], 1)))


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of nested dictionaries as ("a.b.c", text); text is JSON except for strings, which stand as they are.

    Example:
        >>> list(flatten({"a": {"b": 1, "c": None}, "d": "x"}))
        [('a.b', '1'), ('a.c', 'null'), ('d', 'x')]
    """
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree if isinstance(tree, str) else json.dumps(tree, ensure_ascii=False)


def evenly(items: Sequence[Any], most: int = MOST_FRAMES) -> list[Any]:
    """At most `most` of the items, evenly spaced, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[index] for index in np.linspace(0, len(items) - 1, most).round().astype(int)]


def player(group: str, pictures: Sequence[tuple[int, Path]]) -> str:
    """The pictures of one group under a slider; the last one shows, also where no script runs."""
    chosen = evenly(pictures)
    frames = "".join(
        f'<img src="{data_address(path.read_bytes(), "image/png")}" data-step="{step}" '
        f'alt="{escape(group)} at step {step}"{"" if step == chosen[-1][0] else " hidden"}>'
        for step, path in chosen
    )
    last = len(chosen) - 1
    controls = (
        '<div class="controls"><button type="button" class="play" aria-label="Play">Play</button>'
        f'<input type="range" min="0" max="{last}" value="{last}" step="1" aria-label="step of {escape(group)}"></div>'
    )
    omitted = f" · {len(chosen)} of {len(pictures)} shown" if len(chosen) < len(pictures) else ""
    return (
        f'<figure class="player"><figcaption><span>{escape(group.replace("_", " "))}{omitted}</span>'
        f"<output>step {chosen[-1][0]:,}</output></figcaption>"
        f'<div class="frames">{frames}</div>{controls if last else ""}</figure>'
    )


def _json_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is no JSON ({error}): restore it, or start the run again.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} must hold a JSON object, but holds a {type(content).__name__}.")
    return content


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Lines that are objects with a step; a killed process leaves others, at the end or, once resumed, inside."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict) and isinstance(content.get("step"), int):
            yield content


def _in_order(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per step: a run that went on from a checkpoint wrote some steps twice, and the later line counts."""
    by_step = {line["step"]: line for line in lines}
    return [by_step[step] for step in sorted(by_step)]


def _pictures(folder: Path) -> dict[str, list[tuple[int, Path]]]:
    groups: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted(folder.glob("*.png")):
        match = PICTURE_NAME.fullmatch(path.name)
        if match and _is_png(path):
            groups.setdefault(match["group"] or "samples", []).append((int(match["step"]), path))
    in_order = sorted(groups, key=lambda group: (group != "samples", group))
    return {group: sorted(groups[group]) for group in in_order}


def _figures(folder: Path, names: Iterable[str]) -> list[Path]:
    found = [[path for kind in ("svg", "png") if (path := folder / f"{name}.{kind}").is_file()] for name in names]
    return [paths[0] for paths in found if paths]


def _figure(path: Path) -> str:
    kind = "svg+xml" if path.suffix == ".svg" else "png"
    data = data_address(path.read_bytes(), f"image/{kind}")
    name = escape(path.stem.replace("_", " "))
    return f'<figure><figcaption>{name}</figcaption><img src="{data}" alt="{name}"></figure>'


def _is_png(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(PNG_SIGNATURE)) == PNG_SIGNATURE


def _section(title: str, content: str, kind: str = "") -> str:
    return f'<section class="{kind}"><h2>{title}</h2><div>{content}</div></section>' if content else ""


def _status(run: Run) -> str:
    last = run.lines[-1] if run.lines else {}
    seconds = last.get("seconds") or {}
    parameters = run.config.get("parameters") or {}
    entries = {
        "Step": f"{last['step']:,}" if last else "" if run.config.get("kind") == "study" else "none yet",
        "Epoch": _number(last.get("epoch")),
        "Training": duration(seconds.get("train")),
        "Compiling": duration(seconds.get("compile")),
        "Waiting for data": duration(seconds.get("data")),
        "Speed": _number(last.get("examples_per_second"), " examples/s"),
        **{f"Parameters, {name}": f"{count:,}" for name, count in parameters.items()},
        "Devices": str(run.config.get("devices") or ""),
        "Started": moment(str(run.config.get("started") or "")),
    }
    return "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in entries.items() if v)


def duration(seconds: Number | None) -> str:
    """Seconds as people say them: 4.2 s, 12 min, 3.4 h; nothing for None."""
    if seconds is None:
        return ""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def moment(text: str) -> str:
    """An ISO date and time to the minute, with its zone if it names one; what is no such date stays as it is."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return text


def _number(value: Number | None, unit: str = "") -> str:
    return "" if value is None else short_number(round(value, 2)) + unit


def _charts(metrics: Mapping[str, History]) -> str:
    return "".join(
        _chart(title, {name: metrics[name] for name in names}) for title, names in charts_of(metrics).items()
    )


def _chart(title: str, metrics: Mapping[str, History]) -> str:
    series = {name: (np.array(h.steps, np.float64), finite(h.values)) for name, h in metrics.items()}
    values = np.concatenate([values for _, values in series.values()])
    values = values[np.isfinite(values)]
    wide = values.size > 0 and values.min() > 0 and values.max() / LOG_RATIO > values.min()
    svg = svg_curves(series, title=title, log_y=bool(wide))
    return f'<figure class="chart">{svg}<div class="read-out" hidden></div></figure>'


def _latest(metrics: Mapping[str, History]) -> str:
    rows = []
    for name, history in metrics.items():
        values = np.array(history.values)
        known = values[np.isfinite(values)]
        extremes = [short_number(float(bound)) for bound in (known.min(), known.max())] if known.size else ["–", "–"]
        latest = short_number(history.values[-1]) if np.isfinite(history.values[-1]) else "not finite"
        rows.append((name, latest, f"{history.steps[-1]:,}", *extremes))
    return table(rows, ("metric", "latest", "at step", "lowest", "highest"))


def _flat_rows(tree: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key, text) for key, text in flatten(dict(tree)) if key and text != "null"]
