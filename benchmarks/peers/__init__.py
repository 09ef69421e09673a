"""The same training steps in PyTorch, written by us: to measure against, and to check our numbers with.

A peer has the layers, losses, optimiser and batch of an experiment and is built from the experiment's own networks, so
that one configuration decides over both. It is written as one writes PyTorch for speed: channels-last memory, fused
Adam, no gradient where none is needed. What our step does beside that (gradient norms, the check for values that are
not finite, meters) it leaves out.

This file imports no torch; the modules beside it do.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from gdl_jax.errors import UsageError

MODULES = ("autoencoder", "classifier", "dcgan", "gan", "vae", "wgan_gp")
"""Importing one registers what is in it."""

PEERS: dict[str, Any] = {}
"""By experiment: a function (experiment, data, device) -> `benchmarks.peers.base.Peer`."""


class NoPeer(Exception):
    """The experiment, with these settings, has no peer; the message says why."""


def peer_of(*names: str) -> Callable[[Any], Any]:
    """Makes a peer known for experiments of these names."""

    def add(builder: Any) -> Any:
        PEERS.update(dict.fromkeys(names, builder))
        return builder

    return add


def load_all() -> dict[str, Any]:
    """All peers.

    Raises:
        UsageError: PyTorch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise UsageError(
            "--peers compares with PyTorch, which is not installed; install it with: pip install '.[peers]'"
        )
    for module in MODULES:
        importlib.import_module(f"{__name__}.{module}")
    return PEERS
