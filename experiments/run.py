"""The launcher: `python -m experiments.run`."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from gdl_jax import runtime
from gdl_jax.errors import run_module


def _leave_at_once(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


runtime.set_defaults()

HELP = """\
Generative models in JAX.

Start here:
  python -m experiments.run dcgan            train a DCGAN on handwritten digits; pictures appear in runs/dcgan
  python -m experiments.run list             every experiment, with paper and text (--text foster, --json)
  python -m experiments.run NAME --help      all settings of an experiment
  python -m experiments.run NAME --preset paper --workdir runs/mine --steps 5000 --data.name mnist
  python -m experiments.run my_package.my_module:MyExperiment

The same command again continues a run, and so does
  python -m experiments.run continue runs/dcgan --steps 8000
What to do with one:
  sample, reconstruct, interpolate, evaluate, report, export, each with the workdir:
  python -m experiments.run sample runs/dcgan --num 64 --seed 3 --out grid.png
and with the latent space of one:
  codes, scatter, latent_grid, prior_check, sweep, morph, attributes, arithmetic
and to judge its samples:
  neighbours, modes, birthday, human_study, filters, probe, steepness, side_by_side
Many runs, with settings drawn at random and several seeds each:
  python -m experiments.search gan --over width=16:64 loss=hinge,least_squares --trials 8
"""


def main(arguments: list[str]) -> int:
    """Does what the words say.

    Returns:
        The exit code: 0, 2 for a user's mistake, 1 for a run that failed, 128 + n after signal n.
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    # While jax is imported, which takes a second, an exception would be lost in the middle of an extension module.
    before = {number: signal.signal(number, _leave_at_once) for number in (signal.SIGINT, signal.SIGTERM)}
    from experiments.launch import launch

    signal.signal(signal.SIGINT, before[signal.SIGINT])
    signal.signal(signal.SIGTERM, _leave)
    return launch(arguments)


if __name__ == "__main__":
    sys.exit(run_module(main))
