"""Whether samples are as they have to be: Valle, chapters 4 and 11.

Either rules that are known (`satisfied`), or such as are read off real samples: what never occurs in them is a
violation (`unseen`; Valle, Cai, Doshi 2018, arXiv:1807.04919).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Int, Num, UInt8

Predicate = Callable[[Num[np.ndarray, "n ..."]], Bool[np.ndarray, " n"]]
"""Whether each sample is as it has to be."""


def satisfied(samples: Num[np.ndarray, "n ..."], predicates: Mapping[str, Predicate]) -> dict[str, float]:
    """The share of the samples for which each predicate holds. Of real samples it is to be told too: it may be below 1.

    Raises:
        ValueError: a predicate does not give one answer per sample.
    """
    shares = {}
    for name, predicate in predicates.items():
        holds = predicate(samples)
        if holds.shape != (len(samples),):
            raise ValueError(f"{name!r} gave answers of shape {holds.shape} for {len(samples)} samples.")
        shares[name] = float(holds.mean())
    return shares


def repeated(samples: Num[np.ndarray, "n ..."]) -> float:
    """The share of the samples that are equal to an earlier one; to be told of real samples too."""
    return 1 - len(np.unique(samples.reshape(len(samples), -1), axis=0)) / len(samples)


Elements = Mapping[str, Int[np.ndarray, " elements"]]
"""What is to be met with in samples: for every kind, numbers that stand for those that occur, in any order."""


def unseen(reference: Elements, samples: Elements) -> dict[str, int]:
    """How many elements of each kind occur in the samples, again and again counted, and never in the reference.

    Real samples beside those of the reference have some too: a count means something beside theirs.

    Raises:
        ValueError: the kinds differ.
    """
    if reference.keys() != samples.keys():
        raise ValueError(f"The reference has {sorted(reference)}, and the samples have {sorted(samples)}.")
    return {kind: int((~np.isin(found, reference[kind])).sum()) for kind, found in samples.items()}


def grey_elements(images: UInt8[np.ndarray, "n height width"]) -> dict[str, Int[np.ndarray, " elements"]]:
    """Of grey images: levels, and pairs of levels side by side (256 times the left one plus the right one)."""
    levels = images.astype(np.int64)
    return {"level": levels.ravel(), "pair": (256 * levels[..., :-1] + levels[..., 1:]).ravel()}


def voice_elements(voice: Int[np.ndarray, " time"]) -> dict[str, Int[np.ndarray, " elements"]]:
    """Of a voice, a number from 0 to 127 at every moment: pitches, durations, and which pitch follows which.

    Equal numbers in a row are one note. A transition is 128 times the first pitch plus the second.

    Raises:
        ValueError: a number is not from 0 to 127.
    """
    if voice.size and not 0 <= voice.min() <= voice.max() < 128:
        raise ValueError(f"Pitches are from 0 to 127, not from {voice.min()} to {voice.max()}.")
    starts = np.flatnonzero(np.append(True, voice[1:] != voice[:-1])) if voice.size else np.zeros(0, np.int64)
    pitches = voice[starts].astype(np.int64)
    durations = np.diff(np.append(starts, len(voice)))
    return {"pitch": pitches, "duration": durations, "transition": 128 * pitches[:-1] + pitches[1:]}
