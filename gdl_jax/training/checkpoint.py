"""Checkpoints that continue a run: written by orbax in the background, and trusted only with a record beside them.

    checkpoints/2000/       written by orbax
    checkpoints/2000.json   the record: digests of every leaf and every file, and what the host has to remember

A checkpoint counts from the moment its record exists, which is after orbax has committed it; an older one is removed
only after that. Reading verifies the files before orbax sees them and the leaves afterwards, and falls back to the
checkpoint before where one is damaged.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint.experimental.v1 as ocp
from jax import Array
from jaxtyping import PyTree

from gdl_jax.errors import UsageError
from gdl_jax.files import json_text, write_json
from gdl_jax.training.processes import any_process, barrier

log = logging.getLogger(__name__)

ROOM = 2**18
"""Bytes that a checkpoint takes beside its arrays."""


class CheckpointError(RuntimeError):
    """A checkpoint could not be written: the run must not go on as if it had been."""


@dataclass(frozen=True)
class Restored:
    """What a checkpoint held."""

    step: int
    tree: PyTree
    notes: dict[str, Any]


def leaf_paths(tree: PyTree) -> dict[str, Any]:
    """The leaves by path: {"state/networks/generator/params/Dense_0/kernel": ...}."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


class Checkpoints:
    """The checkpoints of one run, oldest first. All processes make the same calls in the same order."""

    def __init__(self, folder: Path, *, keep: int = 2, higher_is_better: bool = True, read_only: bool = False):
        """Opens the folder.

        Args:
            folder: is made if it is absent.
            keep: how many of the newest to keep, beside the one with the best score.
            higher_is_better: which score is best, of checkpoints whose record does not say what it is a score by.
            read_only: whether the folder is only looked at.
        """
        self.folder = folder.absolute()
        self.keep = keep
        self.sign = 1 if higher_is_better else -1
        self.damaged: list[str] = []
        self._pending: tuple[int, Any, dict[str, Any]] | None = None
        self._orbax: ocp.training.Checkpointer | None = None
        if not read_only:
            if jax.process_index() == 0:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._discard_unrecorded()
            barrier("checkpoints")
            self._orbax = self._open()

    def _open(self) -> ocp.training.Checkpointer:
        policies = ocp.training.save_decision_policies
        return ocp.training.Checkpointer(self.folder, save_decision_policy=policies.FixedIntervalPolicy(1))

    def _record(self, step: int) -> Path:
        return self.folder / f"{step}.json"

    def steps(self) -> list[int]:
        """The steps of the checkpoints that count, in ascending order."""
        return sorted(int(path.stem) for path in self.folder.glob("*.json") if path.stem.isdigit())

    def best(self) -> int | None:
        """The step with the best score, the newest of equals; None where nothing was scored (NaN is no score).

        Of those that were scored as the newest of them was: the values of two measures are not compared.
        """
        found = {step: self._read_record(step) for step in self.steps()}
        found = {step: record for step, record in found.items() if record.get("score") is not None}
        if not found:
            return None
        by = found[max(found)].get("scored_by")
        sign = self.sign if by is None else {"max": 1, "min": -1}[by["better"]]
        alike = {step: record["score"] for step, record in found.items() if record.get("scored_by") == by}
        return max(alike, key=lambda step: (sign * alike[step], step))

    def _read_record(self, step: int) -> dict[str, Any]:
        """The record, or {} where it is not as it was written."""
        try:
            sealed = json.loads(self._record(step).read_text())
            return sealed["record"] if sealed["digest"] == _seal(sealed["record"])["digest"] else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _discard_unrecorded(self) -> None:
        """A folder without a record was being written when the process was killed."""
        for path in self.folder.iterdir():
            if path.is_dir() and path.name.split(".")[0].isdigit() and not path.name.endswith(".damaged"):
                step = int(path.name.split(".")[0])
                if not self._record(step).exists() or ".orbax-checkpoint-tmp" in path.name:
                    shutil.rmtree(path)

    # Writing ----------------------------------------------------------------------------------------------------------

    def save(
        self,
        step: int,
        tree: PyTree[Array],
        notes: dict[str, Any],
        score: float | None = None,
        scored_by: Mapping[str, Any] | None = None,
    ) -> None:
        """Starts to write a checkpoint; returns when the arrays may be donated.

        Args:
            step: above all that were saved.
            tree: arrays.
            notes: JSON; what the host has to remember. A number that is not finite is null when it is read.
            score: of the state, where it was evaluated.
            scored_by: JSON; by what, with which "better" end, "min" or "max".

        Raises:
            CheckpointError: this or the save before failed.
        """
        self.wait()
        leaves = leaf_paths(tree)
        self._check_room(step, leaves)
        record = {"step": step, "score": score, "scored_by": scored_by, "notes": notes, "leaves": _describe(leaves)}
        try:
            response = self._orbax.save_async(step, leaves)
        except Exception as error:
            raise CheckpointError(self._failure(step, error)) from error
        self._pending = step, response, record

    def _check_room(self, step: int, leaves: dict[str, Array]) -> None:
        """Before orbax begins: its threads meet a full disk with a page of tracebacks."""
        needed, free = sum(leaf.nbytes for leaf in leaves.values()) + ROOM, shutil.disk_usage(self.folder).free
        if any_process(free < needed):
            sizes = f"{needed / 2**20:,.1f} MiB needed, {free / 2**20:,.1f} free"
            raise CheckpointError(self._failure(step, OSError(f"No space left on device: {sizes}")))

    def poll(self) -> None:
        """Completes a save that has ended meanwhile, without waiting for one that has not."""
        if self._pending and not any_process(self._orbax.is_saving_in_progress()):
            self.wait()

    def wait(self) -> None:
        """Waits until the last save is durable, and then removes what is no longer to be kept.

        Raises:
            CheckpointError: it failed; the checkpoints before it are untouched.
        """
        if self._pending is None:
            return
        step, response, record = self._pending
        self._pending = None
        try:
            response.result()
            if jax.process_index() == 0:
                write_json(self._record(step), _seal(record | {"files": _file_digests(self.folder / str(step))}))
        except Exception as error:
            raise CheckpointError(self._failure(step, error)) from error
        barrier(f"saved {step}")
        self._prune()

    def _failure(self, step: int, error: Exception) -> str:
        kept = self.steps()
        last = f"the last good one is of step {kept[-1]}" if kept else "there is none yet"
        reason = " ".join(str(error).split())[:300]
        return f"The checkpoint of step {step} could not be written to {self.folder} ({reason}); {last}."

    def _prune(self) -> None:
        steps = self.steps()
        best = self.best()
        barrier("prune")
        for step in steps[: -self.keep] if self.keep else []:
            if step != best:
                if jax.process_index() == 0:
                    self._record(step).unlink(missing_ok=True)
                self._orbax.delete(step, missing_ok=True)

    def close(self) -> None:
        """Waits for the last save, and releases orbax."""
        try:
            self.wait()
        finally:
            if self._orbax is not None:
                # Of a save that failed orbax would tell once more here; `wait` has said it in one sentence.
                with suppress(Exception):
                    self._orbax.close()

    # Reading ----------------------------------------------------------------------------------------------------------

    def restore(self, abstract: PyTree[jax.ShapeDtypeStruct], step: int | None = None) -> Restored | None:
        """Reads the newest good checkpoint, or the one asked for.

        Args:
            abstract: the wanted tree, with shardings.
            step: of a checkpoint that exists.

        Returns:
            None if there is no checkpoint at all. What was damaged is named in `damaged` and in the log.

        Raises:
            UsageError: checkpoints exist but none is good, the one asked for is not, or it is of another model.
        """
        candidates = self.steps() if step is None else [step]
        for candidate in reversed(candidates):
            problem = self._damage(candidate)
            if problem is None:
                self._check_same_tree(candidate, abstract)
                try:
                    tree = self._load(candidate, abstract)
                    found = _describe(leaf_paths(tree))
                    wrong = [k for k, v in self._read_record(candidate)["leaves"].items() if found[k] != v]
                    if not wrong:
                        return Restored(candidate, tree, self._read_record(candidate)["notes"])
                    problem = f"the values of {wrong[0]} are not those that were saved"
                except Exception as error:
                    problem = f"it could not be read ({' '.join(str(error).split())[:200]})"
            self.damaged.append(f"The checkpoint of step {candidate} in {self.folder} is damaged: {problem}.")
            log.warning(self.damaged[-1])
        if candidates:
            raise UsageError(
                f"{self.damaged[-1]} There is no good checkpoint to use instead; "
                "restore the folder from a copy, or start anew with --restart."
            )
        return None

    def set_aside_after(self, step: int) -> None:
        """Renames damaged checkpoints newer than `step`, so that the run can save these steps again."""
        if jax.process_index() == 0:
            for newer in (s for s in self.steps() if s > step):
                target = self.folder / f"{newer}.damaged"
                shutil.rmtree(target, ignore_errors=True)
                if (self.folder / str(newer)).exists():
                    (self.folder / str(newer)).rename(target)
                self._record(newer).unlink()
        barrier("aside")
        self._orbax.close()
        self._orbax = self._open()

    def _damage(self, step: int) -> str | None:
        """What is wrong with the files of a checkpoint, as process 0 sees it; None if nothing is."""
        problem = ""
        if jax.process_index() == 0:
            recorded = self._read_record(step).get("files")
            if recorded is None:
                problem = f"its record {step}.json cannot be read"
            else:
                found = _file_digests(self.folder / str(step))
                wrong = [name for name in sorted(recorded) if found.get(name) != recorded[name]]
                if wrong:
                    state = "has changed" if wrong[0] in found else "is missing"
                    problem = f"its file {wrong[0]} {state}"
        return _from_first_process(problem) or None

    def _check_same_tree(self, step: int, abstract: PyTree) -> None:
        """One sentence for a checkpoint of another model: which leaf differs, and how."""
        saved = self._read_record(step)["leaves"]
        wanted = leaf_paths(abstract)
        advice = "it is of another model or other settings; use its own workdir, or start anew with --restart."
        for path, leaf in wanted.items():
            if path not in saved:
                raise UsageError(f"The checkpoint of step {step} in {self.folder} has no {path}: {advice}")
            shape, dtype, _ = saved[path]
            if tuple(shape) != leaf.shape or dtype != str(leaf.dtype):
                raise UsageError(
                    f"{path} is {dtype}{shape} in the checkpoint of step {step} in {self.folder} and "
                    f"{leaf.dtype}{list(leaf.shape)} in this model: {advice}"
                )
        for path in saved:
            if path not in wanted:
                raise UsageError(f"The checkpoint of step {step} in {self.folder} also has {path}: {advice}")

    def _load(self, step: int, abstract: PyTree) -> PyTree:
        checkpointer = self._orbax or self._open()
        try:
            leaves = checkpointer.load(step, leaf_paths(abstract))
        finally:
            if self._orbax is None:
                checkpointer.close()
        return jax.tree.unflatten(jax.tree.structure(abstract), [leaves[path] for path in leaf_paths(abstract)])


def _seal(record: dict[str, Any]) -> dict[str, Any]:
    # As it will be read: what is not finite is written as null, and the digest has to be of that.
    record = json.loads(json_text(record))
    return {"record": record, "digest": hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()}


def _describe(leaves: dict[str, Array]) -> dict[str, list[Any]]:
    """Shape, dtype and digest of every leaf."""
    return {
        path: [list(leaf.shape), str(leaf.dtype), hashlib.sha256(np.asarray(leaf).tobytes()).hexdigest()]
        for path, leaf in leaves.items()
    }


def _file_digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _from_first_process(text: str) -> str:
    if jax.process_count() == 1:
        return text
    from jax.experimental import multihost_utils

    padded = np.frombuffer(text.encode()[:1000].ljust(1000), np.uint8)
    return bytes(multihost_utils.broadcast_one_to_all(padded)).decode().strip()
