"""What `list` prints: the experiments and studies, and where the texts describe them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.command_line import parse
from experiments.registry import Entry, Study, System, load_all, load_studies, read_catalogue
from gdl_jax.data.source import DataSettings
from gdl_jax.errors import UsageError, nearest

VERB_SYSTEMS = {
    "sample": ("F18",),
    "reconstruct": ("F18", "LA16"),
    "codes": ("F14", "F16"),
    "scatter": ("F14", "F16"),
    "latent_grid": ("F14", "F16", "J12"),
    "prior_check": ("F16", "F18"),
    "sweep": ("LA17",),
    "attributes": ("F19",),
    "arithmetic": ("S19",),
    "morph": ("F20", "LA17"),
    "evaluate": ("S22", "S26", "S27", "S28", "L8.8"),
    "neighbours": ("S23", "F23"),
    "modes": ("S24",),
    "birthday": ("S29",),
    "human_study": ("S25",),
    "filters": ("S25",),
    "probe": ("S19",),
    "steepness": ("F26", "L7.6"),
    "side_by_side": ("F28",),
}
"""The systems of the texts that are something to do with a run."""

MODULE_SYSTEMS = {
    "experiments.search gan --over width=16:64 generator-optimizer.learning-rate=1e-5:1e-2:log": ("F22", "S35"),
    "gdl_jax.metrics.pairs REFERENCES ESTIMATES": ("LA26", "10.5"),
    "gdl_jax.metrics.texts REAL GENERATED": ("8.5",),
    "gdl_jax.pictures.sounds REFERENCES ESTIMATES --page sounds.html": ("10.6",),
}
"""Those that are something to do with files, or with many runs."""


@dataclass(frozen=True, kw_only=True)
class List:
    """Show the experiments, which train, and the studies, which show something within seconds."""

    text: str | None = None
    """Only those of one text, by chapter: foster, lanham, jiang or valle."""
    json: bool = False
    """As JSON: a list of objects with name, kind, summary, paper, systems, data, presets, recipes."""


def describe(name: str, entry: type[Entry]) -> dict[str, Any]:
    """One experiment or study as `list --json` shows it."""
    presets = entry.presets()
    settings = [getattr(default, "data", None) for default in (entry(), *presets.values())]
    data = dict.fromkeys(setting.name for setting in settings if isinstance(setting, DataSettings))
    return {
        "name": name,
        "kind": "study" if issubclass(entry, Study) else "experiment",
        "summary": entry.summary(),
        "paper": entry.paper,
        "systems": list(entry.systems),
        "data": list(data),
        "presets": list(presets),
        "recipes": {system: list(names) for system, names in entry.recipes.items()},
    }


def show(arguments: Sequence[str]) -> None:
    """`list [--text TEXT] [--json]`."""
    options = parse(List, arguments, prog="python -m experiments.run list", description=List.__doc__)
    entries, catalogue = load_all() | load_studies(), read_catalogue()
    if options.text is not None:
        authors = sorted({system.author.lower() for system in catalogue.values()})
        if options.text.lower() not in authors:
            raise UsageError(f"There is no text {options.text!r}: {nearest(options.text.lower(), authors)}")
        catalogue = {i: s for i, s in catalogue.items() if s.author.lower() == options.text.lower()}
    found = {n: e for n, e in entries.items() if options.text is None or set(e.systems) & set(catalogue)}
    if options.json:
        print(json.dumps([describe(name, entry) for name, entry in found.items()], indent=2))
    elif options.text is not None:
        print(by_chapter(catalogue.values(), found))
    else:
        print("\n\n".join(paragraph(name, entry, catalogue) for name, entry in found.items()))


def paragraph(name: str, entry: type[Entry], catalogue: dict[str, System]) -> str:
    """A few lines about one experiment or study."""
    described = describe(name, entry)
    facts = {
        "paper": described["paper"],
        "texts": "; ".join(dict.fromkeys(catalogue[i].place for i in entry.systems)),
        "data": ", ".join(described["data"]),
        "presets": ", ".join(described["presets"]),
        "study" if issubclass(entry, Study) else "train": f"python -m experiments.run {name}",
    }
    lines = [f"  {what:<8} {words}" for what, words in facts.items() if words]
    return "\n".join([f"{name}: {described['summary']}", *lines])


def by_chapter(catalogue: Iterable[System], entries: dict[str, type[Entry]]) -> str:
    """A text's systems under their chapters, each with the command that runs it."""
    chapters: dict[str, list[str]] = {}
    for system in catalogue:
        names = [words for name, entry in entries.items() for words in recipes(name, entry, system.id)]
        names += [f"{verb} WORKDIR" for verb, systems in VERB_SYSTEMS.items() if system.id in systems]
        commands = [f"python -m experiments.run {name}" for name in names]
        commands += [f"python -m {module}" for module, systems in MODULE_SYSTEMS.items() if system.id in systems]
        if not commands:
            continue
        lines = chapters.setdefault(system.place, [system.place])
        lines.append("\n        ".join([f"  {system.id:<5} {system.name}", *commands]))
    found = [line for lines in chapters.values() for line in lines]
    return "\n".join([*found, "Without --preset an experiment is smaller, and takes data that are built in."])


def recipes(name: str, entry: type[Entry], system: str) -> list[str]:
    """What follows `experiments.run` to train, or show, what a text describes; nothing where the entry has it not."""
    if system not in entry.systems:
        return []
    return [f"{name} --preset {preset}" for preset in entry.recipes.get(system, ())] or [name]
