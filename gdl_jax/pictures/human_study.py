"""A page on which a person judges real and generated pictures: Borji 2018 (arXiv:1802.03446), section 2.2."""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from gdl_jax.pictures.curves import escape
from gdl_jax.pictures.page import page, png_address

Images = UInt8[np.ndarray, "num height width channels"]
Task = Literal["real_or_fake", "rating", "pairs"]

PAUSE = 400
"""Milliseconds between an answer and the next picture."""

CHOICES = {
    "real_or_fake": [("Real", 1, "r"), ("Generated", 0, "g")],
    "pairs": [("Left", 1, "l"), ("Right", 0, "r")],
    "rating": [(label, i, str(i)) for i, label in enumerate(("bad", "poor", "fair", "good", "excellent"), 1)],
}
QUESTIONS = {
    "real_or_fake": "Say of each picture whether it is real or generated.",
    "rating": "Say of each picture how good it is.",
    "pairs": "Say of each two pictures which is real, or looks better.",
}


def human_study(
    real: Images, fake: Images, *, name: str, task: Task = "real_or_fake", milliseconds: int = 250, seed: int = 0
) -> str:
    """The page, which needs nothing else: pictures in random order, each for a given time, then the scores.

    "real_or_fake" is rapid scene categorisation: the share of right answers (a half is chance) and of either kind that
    is taken for the other, with Wilson's 95 % intervals. "rating" asks for 1 to 5, and gives the mean opinion score of
    either kind. "pairs" ranks a real and a generated picture that stand side by side, at random sides: where people
    cannot tell, either is chosen half of the time. Every answer with its time can be saved as CSV; nothing leaves the
    page.

    Args:
        real: pictures of the data.
        fake: samples, of the same size; for pairs the first of both, as many as there are of either.
        name: of the study, in the CSV file.
        task: what is asked.
        milliseconds: how long a picture can be seen; 0 until the answer.
        seed: of the order.
    """
    rng = np.random.default_rng(seed)
    if task == "pairs":
        num = min(len(real), len(fake))
        kinds = [
            (bool(left), i) for left, i in zip(rng.permutation(num) % 2, rng.permutation(num).tolist(), strict=True)
        ]
        shown = {(left, i): _side_by_side(real[i], fake[i], left) for left, i in kinds}
    else:
        shown = {(True, i): image for i, image in enumerate(real)} | {(False, i): image for i, image in enumerate(fake)}
        kinds = [list(shown)[place] for place in rng.permutation(len(shown))]
    items = [{"image": png_address(shown[kind]), "real": kind[0], "index": kind[1]} for kind in kinds]
    choices = [{"label": label, "value": value, "key": key} for label, value, key in CHOICES[task]]
    study = {
        "name": name,
        "task": task,
        "milliseconds": milliseconds,
        "pause": PAUSE,
        "choices": choices,
        "items": items,
    }
    seen = f"can be seen for {milliseconds} ms" if milliseconds else "can be seen until you answer"
    instructions = f"{QUESTIONS[task]} There are {len(items)}; each {seen}. Answer by button or key."
    return page(
        "human_study",
        {
            "title": escape(f"Human study of {name}"),
            "instructions": escape(instructions),
            # A script's text ends at "</", which JSON may write otherwise.
            "study": json.dumps(study).replace("<", "\\u003c"),
        },
    )


def _side_by_side(
    real: UInt8[np.ndarray, "height width channels"], fake: UInt8[np.ndarray, "height width channels"], left: bool
) -> UInt8[np.ndarray, "height _width channels"]:
    """Both with a gap of the stage's grey, the real one to the left or to the right."""
    gap = np.full((len(real), max(1, real.shape[1] // 4), real.shape[2]), 128, np.uint8)
    return np.concatenate([real, gap, fake] if left else [fake, gap, real], axis=1)
