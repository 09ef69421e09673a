"""What an activation is."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Array

Activation = Callable[[Array], Array]
"""Elementwise."""
