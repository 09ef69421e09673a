"""All verbs of the launcher by their names, and how one is done."""

from __future__ import annotations

from collections.abc import Sequence

from experiments import workdir
from experiments.command_line import parse
from experiments.verbs.attributes import ATTRIBUTE_VERBS
from experiments.verbs.birthday import BIRTHDAY_VERBS
from experiments.verbs.drawing import DRAWING_VERBS
from experiments.verbs.evaluation import EVALUATION_VERBS
from experiments.verbs.filters import FILTER_VERBS
from experiments.verbs.keeping import KEEPING_VERBS
from experiments.verbs.latents import LATENT_VERBS
from experiments.verbs.probe import PROBE_VERBS
from experiments.verbs.samples import SAMPLE_VERBS
from experiments.verbs.side_by_side import SIDE_BY_SIDE_VERBS
from experiments.verbs.steepness import CRITIC_VERBS
from experiments.verbs.walks import WALK_VERBS
from gdl_jax.training.settings import check_seed

ON_CODES = LATENT_VERBS | WALK_VERBS | ATTRIBUTE_VERBS
ON_SAMPLES = SAMPLE_VERBS | BIRTHDAY_VERBS | SIDE_BY_SIDE_VERBS
ON_NETWORKS = FILTER_VERBS | PROBE_VERBS | CRITIC_VERBS
EVERY_VERB = DRAWING_VERBS | KEEPING_VERBS | EVALUATION_VERBS | ON_CODES | ON_SAMPLES | ON_NETWORKS


def run_verb(name: str, arguments: Sequence[str]) -> None:
    """Parses the words after a verb, and does it."""
    settings, act = EVERY_VERB[name]
    options = parse(settings, arguments, prog=f"python -m experiments.run {name}", description=settings.__doc__)
    workdir.read(options.workdir)
    if hasattr(options, "seed"):
        check_seed(options.seed)
    act(options)
