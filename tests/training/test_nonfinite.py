"""A loss or a gradient that is not finite stops the run, or is left out and counted."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.training.progress import NonFiniteError


def is_finite(run) -> bool:
    return all(np.isfinite(leaf).all() for path, leaf in run.leaves().items() if path.startswith("state/"))


def nan_at(step):
    return lambda now: jnp.where(now == step, jnp.nan, 1.0)


def test_stops_at_the_next_look_and_the_checkpoint_before_is_good(train_line, line, tmp_path):
    wanted = train_line("wanted", line(), steps=10)
    sentence = r"^In step 12, the loss and the gradient of line/colour of phase 'fit' were not .* of step 10 is good"
    with pytest.raises(NonFiniteError, match=sentence):
        train_line("found", line(nan_at(11)))
    lines = (tmp_path / "found" / "metrics.jsonl").read_text()
    assert '"step": 9,' in lines
    assert '"step": 12,' not in lines
    # What was saved before the fault is what a run without it saves.
    found = train_line("found", line(nan_at(11)), steps=10)
    found.assert_close(wanted, atol=0)
    assert is_finite(found)


def test_the_sentence_speaks_of_no_checkpoint_where_there_is_none(train_line, line):
    with pytest.raises(NonFiniteError, match=r"^In step 2, ((?!checkpoint).)*$"):
        train_line("found", line(nan_at(1)))


def test_where_nothing_was_learnt_the_learning_rate_is_not_blamed(train_line, line):
    sentence = r"^In step 1, .* no update came before them: these data, initial weights or settings of the loss"
    with pytest.raises(NonFiniteError, match=sentence):
        train_line("found", line(lambda now: jnp.nan))


def test_skips_and_counts(train_line, line):
    found = train_line("found", line(lambda step: jnp.where(step % 4 == 3, jnp.inf, 1.0)), on_nonfinite="skip")
    assert is_finite(found)
    assert int(found.leaves()["state/step"]) == 20
    skipped = {entry["step"]: entry["metrics"].get("fit/skipped", 0) for entry in found.lines() if "metrics" in entry}
    assert skipped == {3: 0, 6: 1, 9: 1, 12: 1, 15: 0, 18: 1, 20: 1}
    assert all(entry["metrics"]["fit/loss"] > 0 for entry in found.lines() if "metrics" in entry)


def test_a_skipped_update_changes_nothing_but_the_step(train_line, line):
    before = train_line("run", line(nan_at(5)), steps=5).leaves()
    after = train_line("run", line(nan_at(5)), steps=6, on_nonfinite="skip").leaves()
    changed = {path for path in before if path.startswith("state/") and before[path].tobytes() != after[path].tobytes()}
    assert changed == {"state/step"}


def test_a_gradient_whose_square_overflows_does_not_poison_the_optimiser(train_line, line):
    """1e25 is a finite float32, and its square, which Adam averages, is not."""
    found = train_line("found", line(lambda step: jnp.where(step == 7, 1e25, 1.0)), on_nonfinite="skip")
    assert is_finite(found)


@pytest.mark.slow
def test_the_launcher_says_it_in_one_sentence(run):
    diverging = ("--optimizer.learning-rate", "1e30", "--steps", 6, "--log-every", 2, "--checkpoint-every", 2)
    ended = run.train(*diverging)
    assert ended.code == 1
    sentence = (
        r"error: In step \d+, (the loss|.*the gradient of \w+/\S+) of phase '(discriminator|generator)' (was|were) not "
    )
    assert re.match(sentence, ended.err), ended.err
    assert ended.err.count("\n") == 1

    again = run.train(*diverging, "--on-nonfinite", "skip")
    assert (again.code, again.err) == (0, "")
    assert is_finite(run)
    skipped = [entry["metrics"]["generator/skipped"] for entry in run.lines() if "metrics" in entry]
    assert skipped == [2, 2, 2]
