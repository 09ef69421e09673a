r"""Random search over an experiment's settings, each with several seeds: Lucic et al. 2018, Are GANs Created Equal?

    python -m experiments.search gan --trials 12 --seeds 0 1 2 \
        --over generator-optimizer.learning-rate=1e-5:1e-2:log width=16:64 loss=hinge,least_squares -- --steps 2000

What follows `--` are settings of every run. The first trial is those alone, so that one sees whether a search was worth
it; of the others each setting that is searched over is drawn from its range: LOW:HIGH evenly, whole numbers if both
are; LOW:HIGH:log evenly by the logarithm; A,B,C one of them. Trials are a function of --seed and their number: the same
command again goes on where it was, with more --trials or --seeds too.

The folder gets the runs, search.json, and search.png: the measure by each setting, and what the best of fewer trials
would have been to expect, without which two searches of unequal length cannot be compared. Runs that diverge are
counted and left out of means and pictures; trials with such runs come last.
"""

from __future__ import annotations

import json
import math
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from jaxtyping import Float

from experiments.command_line import parse, parse_training
from experiments.registry import Experiment, find
from gdl_jax.errors import UsageError, run_module
from gdl_jax.files import write_json
from gdl_jax.metrics.suite import best_of
from gdl_jax.pictures.charts import INK, SOFT, chart, save_chart, style
from gdl_jax.pictures.curves import PALETTE
from gdl_jax.training.settings import check_seed

RECORD = "search.json"
LAUNCHER = (sys.executable, "-m", "experiments.run")
DIVERGED = "was not finite"
"""In what the launcher says of a run that did; with any other failure nothing is to be hoped of the next run."""

End = Literal["min", "max"]
Trial = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Search:
    """Train an experiment with settings drawn at random, each with several seeds, and say which are best."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """Of the experiment."""
    over: tuple[str, ...]
    """SETTING=RANGE: LOW:HIGH, LOW:HIGH:log or A,B,C."""
    trials: int = 8
    """Draws of the settings, beside the first trial, which has them as they are."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One run each, of every trial."""
    seed: int = 0
    """Of the draws."""
    measure: str | None = None
    """By what is judged, at the end of a run, as its log names it; the end of a name is enough (default: what chooses
    the best checkpoint)."""
    better: End = "min"
    """Which end of --measure is the better one."""
    workdir: Path | None = None
    """Folder of the runs (default: runs/search_NAME)."""

    def __post_init__(self):
        if self.trials < 1 or not self.seeds or not self.over:
            raise UsageError("A search needs one of --trials, of --seeds and of --over, or more.")
        for seed in (self.seed, *self.seeds):
            check_seed(seed)


@dataclass(frozen=True)
class Axis:
    """A setting and its range.

    Attributes:
        setting: as on the command line, without dashes.
        choices: one of them is drawn; () where there are bounds.
        bounds: smallest and largest value.
        log: even by the logarithm.
        whole: only whole numbers.
    """

    setting: str
    choices: tuple[str, ...] = ()
    bounds: tuple[float, float] = (0.0, 0.0)
    log: bool = False
    whole: bool = False

    @classmethod
    def of(cls, text: str) -> Axis:
        """Reads SETTING=RANGE.

        Raises:
            UsageError: it is none.
        """
        setting, _, written = text.removeprefix("--").partition("=")
        if not (setting and written):
            raise UsageError(f"--over {text}: expected SETTING=LOW:HIGH, SETTING=LOW:HIGH:log or SETTING=A,B,C.")
        parts = written.split(":")
        if len(parts) == 1:
            return cls(setting, choices=tuple(written.split(",")))
        log = parts[2:] == ["log"]
        try:
            low, high = map(float, parts[:2])
        except ValueError:
            low = high = math.nan
        if parts[2:] not in ([], ["log"]) or not -math.inf < low < high < math.inf or (log and low <= 0):
            raise UsageError(
                f"--over {text}: expected LOW:HIGH or LOW:HIGH:log, LOW below HIGH, and above 0 for a logarithm."
            )
        whole = all(part.lstrip("+-").isdigit() for part in parts[:2])
        return cls(setting, bounds=(low, high), log=log, whole=whole)

    def draw(self, rng: np.random.Generator) -> str:
        """A value, as it stands on the command line."""
        if self.choices:
            return self.choices[rng.integers(len(self.choices))]
        # Rounded, so that every whole number has an equal part of the range, the two at its ends as well.
        low, high = (self.bounds[0] - 0.5, self.bounds[1] + 0.5) if self.whole else self.bounds
        if self.log:
            value = math.exp(rng.uniform(math.log(low), math.log(high)))
        else:
            value = rng.uniform(low, high)
        return str(int(np.clip(round(value), *self.bounds))) if self.whole else f"{value:.4g}"


def draws(axes: Sequence[Axis], trials: int, seed: int) -> list[dict[str, str]]:
    """Settings of every trial, the first of which has none; what was drawn twice is there once."""
    found: list[dict[str, str]] = [{}]
    for number in range(trials):
        rng = np.random.default_rng((seed, number))
        drawn = {axis.setting: axis.draw(rng) for axis in axes}
        if drawn not in found:
            found.append(drawn)
    return found


def expected_best(
    values: Float[np.ndarray, " n"], better: End = "min", most: int | None = None
) -> Float[np.ndarray, " k"]:
    """E[the best of k of them, drawn with repetition] for k = 1, 2, ... n: Dodge et al. 2019 (arXiv:1909.03004), eq. 5.

    Args:
        values: of trials.
        better: which end.
        most: the largest k (default: as many as there are values).
    """
    n = len(values)
    order = np.sort(values) if better == "min" else np.sort(values)[::-1]
    k = np.arange(1, (most or n) + 1)[:, None]
    # P(the best is worse than the i best ones) = (1 - i / n)^k
    worse = (1 - np.arange(n + 1) / n) ** k
    return (worse[:, :-1] - worse[:, 1:]) @ order


def search(options: Search, words: Sequence[str]) -> list[Trial]:
    """Trains what is not trained yet, and writes the folder.

    Args:
        options: of the search.
        words: settings of every run.

    Returns:
        The trials, the best one first.

    Raises:
        UsageError: a setting is wrong, or the folder holds another search.
    """
    entry = find(options.name)
    if not issubclass(entry, Experiment):
        raise UsageError(f"{options.name} is a study, which trains nothing that could be judged.")
    axes = [Axis.of(text) for text in options.over]
    settings = draws(axes, options.trials, options.seed)
    # All of them before the first run, so that a mistake is told at once.
    experiments = [parse_training(options.name, entry, [*words, *_words(drawn)])[1] for drawn in settings]
    measure, better = _judged_by(options, experiments[0])
    folder = options.workdir or Path("runs") / f"search_{options.name.rpartition(':')[2]}"
    asked = {"experiment": options.name, "over": list(options.over), "words": list(words), "seed": options.seed}
    known = _known(folder, asked)
    trials = []
    for number, drawn in enumerate(settings):
        words_of_trial = [options.name, *words, *_words(drawn)]
        values = next((t["values"] for t in known if t["settings"] == drawn and t["measure"] == measure), {})
        trial = {"settings": drawn, "measure": measure, "values": values, "command": _command(words_of_trial)}
        trials.append(trial)
        for seed in options.seeds:
            if str(seed) not in values:
                workdir = folder / f"trial_{number:03d}_seed_{seed}"
                values[str(seed)] = _run([*words_of_trial, "--seed", str(seed), "--workdir", str(workdir)], measure)
                folder.mkdir(parents=True, exist_ok=True)
                write_json(folder / RECORD, {**asked, "trials": trials + known[len(trials) :]})
            print(f"trial {number}, seed {seed}: {measure} {_said(values[str(seed)])}  {_short(drawn)}", flush=True)
    ranked = sorted(trials, key=lambda trial: _rank(trial, better))
    with style():
        save_chart(folder / "search.png", _figure(axes, ranked, better))
    print("\n".join(_table(ranked)))
    print(f"best: {ranked[0]['command']}")
    print(f"{folder / RECORD}, {folder / 'search.png'}")
    return ranked


def _judged_by(options: Search, experiment: Experiment) -> tuple[str, End]:
    if options.measure is not None:
        return options.measure, options.better
    of_samples = best_of(experiment.eval.metrics.split(",")) if experiment.eval.every else None
    found = of_samples or experiment.monitor
    if found is None:
        raise UsageError(f"{options.name} has no measure that chooses a checkpoint; name one with --measure.")
    return found


def _known(folder: Path, asked: dict[str, Any]) -> list[Trial]:
    """What an earlier search in the folder has measured."""
    path = folder / RECORD
    if not path.exists():
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} holds something that is no search; choose another --workdir.")
        return []
    try:
        record = json.loads(path.read_text())
        changed = [key for key, value in asked.items() if record[key] != value]
        trials = record["trials"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({error!r}); choose another --workdir.") from error
    if changed:
        listed = ", ".join(f"{key} was {record[key]} and is {asked[key]}" for key in changed)
        raise UsageError(f"{folder} holds another search ({listed}); choose another --workdir.")
    return trials


def _run(words: Sequence[str], measure: str) -> float | None:
    """What is measured at the end of a run; None of one that diverged."""
    done = _launch(words)
    if done.returncode and DIVERGED in done.stderr:
        return None
    if done.returncode:
        raise UsageError(f"`{_command(words)}` ended with exit code {done.returncode}: {done.stderr.strip()[-300:]}")
    workdir = Path(words[-1])
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    evaluations = [line["evaluation"] for line in lines if "evaluation" in line]
    last = evaluations[-1] if evaluations else {}
    found = [name for name in last if name == measure or name.endswith(f"/{measure}")]
    if len(found) != 1:
        raise UsageError(
            f"--measure {measure} has to be one of what {workdir} measured: {', '.join(last) or 'nothing'}."
        )
    # A value that is not finite is null in JSON.
    return last[found[0]]


def _launch(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LAUNCHER, *words], capture_output=True, text=True, check=False)


def _words(settings: dict[str, str]) -> list[str]:
    return [word for setting, value in settings.items() for word in (f"--{setting}", value)]


def _command(words: Sequence[str]) -> str:
    return shlex.join(["python", "-m", "experiments.run", *words])


def _finite(trial: Trial) -> Float[np.ndarray, " runs"]:
    return np.array([value for value in trial["values"].values() if value is not None])


def _rank(trial: Trial, better: End) -> tuple[float, float]:
    """Trials with fewer failed runs come first."""
    values = _finite(trial)
    mean = values.mean() if len(values) else math.inf
    return len(trial["values"]) - len(values), mean if better == "min" else -mean


def _said(value: float | None) -> str:
    return "failed" if value is None else f"{value:.5g}"


def _short(settings: dict[str, str]) -> str:
    return ", ".join(f"{setting} {value}" for setting, value in settings.items()) or "as it is"


def _table(ranked: Sequence[Trial]) -> list[str]:
    lines = [f"{ranked[0]['measure']}: mean and standard deviation of the seeds"]
    for trial in ranked:
        values = _finite(trial)
        spread = f" +- {values.std(ddof=1):.2g}" if len(values) > 1 else ""
        said = f"{values.mean():.4g}{spread}" if len(values) else "-"
        failed = len(trial["values"]) - len(values)
        lines.append(f"  {said:<22} {_short(trial['settings'])}" + (f"  ({failed} failed)" if failed else ""))
    return lines


def _figure(axes: Sequence[Axis], ranked: Sequence[Trial], better: End):
    figure, plots = chart(1, len(axes) + 1, width=3.2 * (len(axes) + 1), height=3.3)
    measure, first = ranked[0]["measure"], next(trial for trial in ranked if not trial["settings"])
    for plot, axis in zip(plots, axes, strict=False):
        for trial in ranked:
            values = _finite(trial)
            if not trial["settings"] or not len(values):
                continue
            written = trial["settings"][axis.setting]
            place = axis.choices.index(written) if axis.choices else float(written)
            plot.scatter([place] * len(values), values, s=10, color=SOFT, alpha=0.6, linewidths=0)
            plot.scatter(place, values.mean(), s=26, color=PALETTE[0])
        if len(values := _finite(first)):
            plot.axhline(values.mean(), color=INK, linestyle=":", linewidth=1)
        if axis.choices:
            num = len(axis.choices)
            plot.set(xticks=range(num), xticklabels=axis.choices, xlim=(-0.5, num - 0.5))
        elif axis.log:
            plot.set_xscale("log")
        plot.set(xlabel=axis.setting, title=f"By {axis.setting.rpartition('.')[2].replace('-', ' ')}")
    plots[0].set_ylabel(measure)
    means = np.array([values.mean() for trial in ranked if trial["settings"] and len(values := _finite(trial))])
    if len(means):
        plots[-1].plot(np.arange(1, len(means) + 1), expected_best(means, better), color=PALETTE[0], marker=".")
    if len(values := _finite(first)):
        plots[-1].axhline(values.mean(), color=INK, linestyle=":", linewidth=1, label="settings as they are")
        plots[-1].legend()
    plots[-1].xaxis.get_major_locator().set_params(integer=True)
    plots[-1].set(title="Expected best of k trials", xlabel="k")
    return figure


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    at = list(arguments).index("--") if "--" in arguments else len(arguments)
    options = parse(Search, arguments[:at], prog="python -m experiments.search", description=__doc__)
    search(options, arguments[at + 1 :])


if __name__ == "__main__":
    sys.exit(run_module(main))
