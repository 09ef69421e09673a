"""From words on the command line to frozen settings, and one sentence for what is wrong with them."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from experiments.registry import Entry, Experiment
from gdl_jax.data.source import DataSettings
from gdl_jax.errors import UsageError, nearest
from gdl_jax.training.processes import Hosts

Settings = TypeVar("Settings")
AnyEntry = TypeVar("AnyEntry", bound=Entry)
AnyStart = TypeVar("AnyStart", bound="Start")

CONFIG = (tyro.conf.FlagCreatePairsOff, tyro.conf.HelptextFromCommentsOff)

TYRO_ERROR = 2
"""Its exit code; any other is of `--help`, or of a signal."""

registry = tyro.constructors.ConstructorRegistry()


@registry.primitive_rule
def boolean(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec[bool] | None:
    """Settings take true or false in small letters."""
    if info.type is not bool:
        return None
    words = {"true": True, "false": False}

    def parse(arguments: list[str]) -> bool:
        if arguments[0].lower() not in words:
            raise ValueError(f"expected true or false, not {arguments[0]!r}")
        return words[arguments[0].lower()]

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="{true,false}",
        instance_from_str=parse,
        is_instance=lambda value: isinstance(value, bool),
        str_from_instance=lambda value: [str(value).lower()],
    )


@dataclass(frozen=True, kw_only=True)
class Start:
    """How and where to start; none of it changes what is computed."""

    workdir: Path | None = None
    """Folder of the run (default: runs/NAME)."""
    preset: str | None = None
    """Named settings to start from, as `list` shows them; the settings given beside it come on top."""
    compile_cache: bool = True
    """Compile anew, and keep no compiled program for the next start."""


@dataclass(frozen=True, kw_only=True)
class Launch(Hosts, Start):
    """How and where to train."""

    restart: bool = False
    """Delete the run in the workdir and start anew."""
    dry_run: bool = False
    """Print settings, parameters, FLOPs, memory and disk, and stop."""
    profile: bool = False
    """Write a jax.profiler trace of a few steps to WORKDIR/profile."""


def parse_training(name: str, experiment: type[Experiment], arguments: Sequence[str]) -> tuple[Launch, Experiment]:
    """The settings of `NAME [--setting value ...]` for an experiment; see `parse_entry`."""
    return parse_entry(name, experiment, arguments, Launch)


def parse_entry(
    name: str, entry: type[AnyEntry], arguments: Sequence[str], launch: type[AnyStart]
) -> tuple[AnyStart, AnyEntry]:
    """The settings of `NAME [--setting value ...]`, on top of the preset's, and those of the launch.

    Raises:
        UsageError: an unknown preset or setting, or a value of the wrong type.
    """
    default = entry()
    preset = _given(arguments, "--preset")
    if preset is not None:
        presets = entry.presets()
        if preset not in presets:
            raise UsageError(f"{name} has no preset {preset!r}: {nearest(preset, presets)}")
        default = presets[preset]
    default = _for_data(default, entry(), _given(arguments, "--data.name"))
    together = dataclasses.make_dataclass(
        "Together",
        [
            ("launch", Annotated[launch, tyro.conf.arg(name="")], dataclasses.field(default=launch())),
            (
                "entry",
                Annotated[entry, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff],
                dataclasses.field(default=default),
            ),
        ],
    )
    found = parse(together, arguments, prog=f"python -m experiments.run {name}", description=entry.__doc__)
    return found.launch, found.entry


def _given(arguments: Sequence[str], option: str) -> str | None:
    """The last value of an option; None where it is not given."""
    found = [value for word, value in pairwise(arguments) if word == option]
    found += [word.removeprefix(f"{option}=") for word in arguments if word.startswith(f"{option}=")]
    return found[-1] if found else None


def _for_data(default: AnyEntry, built_in: AnyEntry, name: str | None) -> AnyEntry:
    """The settings to start from where another data set is named than an experiment's own.

    The size of its own (digits of 16 pixels) would shrink any other without a word. That of a preset's data is the one
    that the preset's networks are for, and stays.
    """
    data = getattr(default, "data", None)
    if not isinstance(data, DataSettings) or data != built_in.data or name in (None, data.name):
        return default
    return dataclasses.replace(default, data=dataclasses.replace(data, size=None))


def parse_experiment(name: str, experiment: type[Experiment], arguments: Sequence[str]) -> Experiment:
    """The settings alone, without those of the launch.

    Raises:
        UsageError: an unknown setting, or a value of the wrong type.
    """
    return parse(Annotated[experiment, tyro.conf.FlagConversionOff], arguments, prog=name, description=None)


def parse(settings: type[Settings], arguments: Sequence[str], *, prog: str, description: str | None) -> Settings:
    """Any dataclass from its words; `--help` prints and exits.

    Raises:
        UsageError: an unknown option, or a value of the wrong type.
    """
    said = io.StringIO()
    wants_help = any(word in ("-h", "--help") for word in arguments)
    quiet = contextlib.nullcontext() if wants_help else contextlib.redirect_stderr(said)
    try:
        with registry, quiet:
            found, unknown = tyro.cli(
                settings,
                args=list(arguments),
                prog=prog,
                description=description,
                return_unknown_args=True,
                config=CONFIG,
            )
    except SystemExit as end:
        if end.code != TYRO_ERROR:
            raise
        raise UsageError(f"{_sentence(said.getvalue())} See {prog} --help.") from end
    if unknown:
        options = [word for word in unknown if word.startswith("--")]
        known = ["--" + path for path in _option_names(found)]
        if options:
            option = options[0].split("=")[0]
            raise UsageError(f"There is no setting {option}: {nearest(option.replace('_', '-'), known)}")
        raise UsageError(f"{unknown[0]!r} is not expected here; settings are written --name value. See {prog} --help.")
    return found


def _option_names(settings: Any, prefix: str = "") -> list[str]:
    names = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        name = "" if field.name in ("launch", "entry") else f"{prefix}{field.name.replace('_', '-')}"
        if dataclasses.is_dataclass(value):
            names += _option_names(value, f"{name}." if name else "")
        elif isinstance(settings, Start) and value is True:
            # A flag, which says the contrary of its default.
            names.append(f"no-{name}")
        else:
            names.append(name)
    return names


def _sentence(box: str) -> str:
    """The message in the box that tyro draws, on one line."""
    lines = [re.sub(r"^[│|]\s?|\s*[│|]$", "", line).strip() for line in box.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("╭", "╰"))]
    # Where stdout is not UTF-8 tyro draws a title over a rule in place of the box.
    lines = lines[2:] if re.fullmatch("-+", "".join(lines[1:2])) else lines
    message = []
    for line in lines:
        if re.fullmatch(r"[─-]+", line):
            break
        message.append(line)
    text = " ".join(message).strip() or "The settings could not be read."
    text = _in_plain_words(_placed(text))
    return text if text.endswith((".", "?")) else text + "."


PLAIN_WORDS = (
    (r"Missing from .*: PATH Folder of a run.*", "Give the folder of a run, such as runs/dcgan."),
    (r"Missing value for argument '(\S+)'.*", r"\1 needs a value."),
    (r"no type matching (\S+) could be instantiated from \['(.*?)'\].*", r"expected \1, not '\2'"),
    (r"invalid literal for int\(\) with base 10: (.*)", r"expected INT, not \1"),
    (r"could not convert string to float: (.*)", r"expected FLOAT, not \1"),
    (r"Error parsing (--\S+): expected (.*), not ('.*')", r"\1 is \3; it has to be \2"),
    (r"Error parsing (?=--)", ""),
    (r"\{None\}\|(.*)", r"\1 or None"),
    (r"\bINT\b", "a whole number"),
    (r"\bFLOAT\b", "a number"),
)
"""What tyro says, and how we say it; one after the other."""

SETTINGS_OF = {
    "wgan": "--loss wasserstein",
    "wgan-gp": "--loss wasserstein --penalty gradient",
    "lsgan": "--loss least_squares",
    "bgan": "--loss boundary_seeking",
    "rgan": "--loss relativistic",
    "ragan": "--loss relativistic_average",
}
"""What losses are called elsewhere."""


def _in_plain_words(text: str) -> str:
    found = re.match(r"invalid choice '(.*)' for argument '(--\S+)'\. Expected one of \((.*)\)", text)
    if found is not None:
        value, setting, choices = found[1], found[2], re.findall(r"'(.*?)'", found[3])
        known = SETTINGS_OF.get(value.lower().replace("_", "-")) if setting == "--loss" else None
        return f"{setting} is {value!r}: " + (f"write {known}." if known else nearest(value, choices))
    for pattern, words in PLAIN_WORDS:
        text = re.sub(pattern, words, text)
    return text


def _placed(text: str) -> str:
    """Of one of our own checks what it says, each setting under its whole name; tyro says where it stands."""
    # Settings that stand in no field of ours are said to stand in their class.
    found = re.match(r"Error parsing (?:(?:entry|launch|[A-Z]\w*)\b\.?)?([\w.-]*): (?=--)", text)
    if found is None:
        return text
    place = f"{found[1]}." if found[1] else ""
    return re.sub(rf"(?<![\w-])--(?=\w)(?!{re.escape(place)})", f"--{place}", text[found.end() :])


def to_arguments(config: dict[str, Any], prefix: str = "") -> list[str]:
    """The words that say a saved configuration again: {"data": {"name": "mnist"}} -> --data.name mnist."""
    words = []
    for key, value in config.items():
        option = f"{prefix}{key}".replace("_", "-")
        if isinstance(value, dict):
            words += to_arguments(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            words += [f"--{option}", *map(str, value)]
        else:
            words += [f"--{option}", str(value).lower() if isinstance(value, bool) else str(value)]
    return words
