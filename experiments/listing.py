"""What `list` prints: the experiments, and where the texts describe them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.command_line import parse
from experiments.registry import Experiment, System, load_all, read_catalogue
from gdl_jax.errors import UsageError, nearest


@dataclass(frozen=True, kw_only=True)
class List:
    """Show the experiments."""

    text: str | None = None
    """Only those of one text, by chapter: foster, lanham, jiang or valle."""
    json: bool = False
    """As JSON: a list of objects with name, summary, paper, systems, data, presets."""


def describe(name: str, experiment: type[Experiment]) -> dict[str, Any]:
    """One experiment as `list --json` shows it."""
    presets = experiment.presets()
    data = dict.fromkeys([experiment().data.name, *(preset.data.name for preset in presets.values())])
    return {
        "name": name,
        "summary": experiment.summary(),
        "paper": experiment.paper,
        "systems": list(experiment.systems),
        "data": list(data),
        "presets": list(presets),
    }


def show(arguments: Sequence[str]) -> None:
    """`list [--text TEXT] [--json]`."""
    options = parse(List, arguments, prog="python -m experiments.run list", description=List.__doc__)
    experiments, catalogue = load_all(), read_catalogue()
    if options.text is not None:
        authors = sorted({system.author.lower() for system in catalogue.values()})
        if options.text.lower() not in authors:
            raise UsageError(f"There is no text {options.text!r}: {nearest(options.text.lower(), authors)}")
        catalogue = {i: s for i, s in catalogue.items() if s.author.lower() == options.text.lower()}
    found = {n: e for n, e in experiments.items() if options.text is None or set(e.systems) & set(catalogue)}
    if options.json:
        print(json.dumps([describe(name, experiment) for name, experiment in found.items()], indent=2))
    elif options.text is not None:
        print(by_chapter(catalogue.values(), found))
    else:
        print("\n\n".join(entry(name, experiment, catalogue) for name, experiment in found.items()))


def entry(name: str, experiment: type[Experiment], catalogue: dict[str, System]) -> str:
    """A few lines about one experiment."""
    described = describe(name, experiment)
    places = dict.fromkeys(catalogue[i].place for i in experiment.systems)
    return "\n".join(
        [
            f"{name}: {described['summary']}",
            f"  paper    {described['paper']}",
            f"  texts    {'; '.join(places)}",
            f"  data     {', '.join(described['data'])}",
            f"  presets  {', '.join(described['presets'])}",
            f"  train    python -m experiments.run {name}",
        ]
    )


def by_chapter(systems: Iterable[System], experiments: dict[str, type[Experiment]]) -> str:
    """A text's systems in order, each with the command that runs it."""
    lines, chapter = [], None
    for system in systems:
        names = [name for name, experiment in experiments.items() if system.id in experiment.systems]
        if not names:
            continue
        if system.place != chapter:
            chapter = system.place
            lines.append(chapter)
        commands = ", ".join(f"python -m experiments.run {name}" for name in names)
        lines.append(f"  {system.id:<5} {system.name}\n        {commands}")
    return "\n".join(lines)
