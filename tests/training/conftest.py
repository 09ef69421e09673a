"""Real runs of the launcher, in processes of their own, and what they leave behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.data.source import DataSettings, load
from gdl_jax.steps.devices import make_mesh
from gdl_jax.steps.meters import Metrics
from gdl_jax.steps.phases import Outcome, Phase, run_phases
from gdl_jax.steps.state import NetworkState, TrainState
from gdl_jax.training import loop
from gdl_jax.training.checkpoint import Checkpoints
from gdl_jax.training.interrupt import Interrupt
from gdl_jax.training.sample_metrics import metrics_of
from gdl_jax.training.settings import RunSettings

ROOT = Path(__file__).parents[2]

OPTIONS = {
    "preset": "smoke",
    "width": 2,
    "data.size": 8,
    "data.num-examples": 64,
    "num-samples": 4,
    "steps": 40,
    "log-every": 3,
    "checkpoint-every": 5,
    "sample-every": 10,
    "evaluate-every": 20,
    "optimizer.eps": 1e-3,
}
SMALL = ("dcgan", *(word for name, value in OPTIONS.items() for word in (f"--{name}", str(value))))
"""A run of two seconds. Lines of the log and checkpoints fall on different steps: a half-filled meter has to survive.

The epsilon: with Adam's own, a gradient that is zero but for rounding becomes a whole step of either sign, and what is
the same to rounding could not be compared.
"""

CACHE = {
    "jax_compilation_cache_dir": "",
    "jax_persistent_cache_min_compile_time_secs": 0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    code: int
    out: str
    err: str


class Process:
    """The launcher at work."""

    def __init__(self, words: list[str], cache: Path):
        settings = {name.upper(): str(value) for name, value in (CACHE | {"jax_compilation_cache_dir": cache}).items()}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "experiments.run", *words],
            cwd=ROOT,
            env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""} | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def signal(self, number: signal.Signals, when: Callable[[], bool] = lambda: True, *, times: int = 1) -> None:
        """Sends a signal as soon as `when` holds; several in quick succession if asked to."""
        self.when(when)
        for _ in range(times):
            self._process.send_signal(number)
            time.sleep(0.002)

    def when(self, condition: Callable[[], bool]) -> None:
        """Waits for a moment."""
        deadline = time.monotonic() + 120
        while not condition():
            assert self._process.poll() is None, f"it ended before the moment came: {self._process.communicate()}"
            assert time.monotonic() < deadline, "the moment did not come"
            time.sleep(0.0005)

    def has_mapped(self, library: str) -> bool:
        """Whether a shared library of this name is in its memory, which tells how far its imports are."""
        return library in Path(f"/proc/{self._process.pid}/maps").read_text()

    def end(self, timeout: float = 120) -> Ended:
        """Waits for the end; a process that hangs is killed, and that is a failure."""
        try:
            out, err = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            pytest.fail(f"the process hung: {self._process.communicate()}")
        return Ended(self._process.returncode, out, err)


@dataclass(frozen=True)
class Run:
    """A workdir, the words that train in it, and what can be found there afterwards."""

    workdir: Path
    words: tuple[str, ...]
    cache: Path

    def start(self, *words: object) -> Process:
        return Process([*self.words, "--workdir", str(self.workdir), *map(str, words)], self.cache)

    def train(self, *words: object, timeout: float = 120) -> Ended:
        return self.start(*words).end(timeout)

    def interrupt(self, number: signal.Signals, when: Callable[[], bool], *, times: int = 1) -> Ended:
        """Trains, and sends a signal as soon as `when` holds."""
        process = self.start()
        process.signal(number, when, times=times)
        return process.end()

    @property
    def checkpoints(self) -> Path:
        return self.workdir / "checkpoints"

    def steps(self) -> list[int]:
        """Of the checkpoints that count."""
        return Checkpoints(self.checkpoints, read_only=True).steps()

    def unrecorded(self) -> list[str]:
        """What is being saved, or was when the process died."""
        try:
            names = [entry.name for entry in os.scandir(self.checkpoints) if entry.is_dir()]
        except FileNotFoundError:
            return []
        return [name for name in names if not (self.checkpoints / f"{name}.json").exists()]

    def leaves(self, step: int | None = None) -> dict[str, np.ndarray]:
        """Every leaf of a checkpoint, read and verified as the library does it."""
        checkpoints = Checkpoints(self.checkpoints, read_only=True)
        step = checkpoints.steps()[-1] if step is None else step
        described = json.loads((self.checkpoints / f"{step}.json").read_text())["record"]["leaves"]
        shape_of = partial(jax.ShapeDtypeStruct, sharding=jax.sharding.SingleDeviceSharding(jax.devices()[0]))
        restored = checkpoints.restore({path: shape_of(tuple(s), d) for path, (s, d, _) in described.items()}, step)
        assert not checkpoints.damaged
        return {path: np.asarray(leaf) for path, leaf in restored.tree.items()}

    def lines(self) -> list[dict[str, Any]]:
        """metrics.jsonl without what depends on the time of day."""
        lines = [json.loads(line) for line in (self.workdir / "metrics.jsonl").read_text().splitlines()]
        return [{k: v for k, v in line.items() if k not in ("seconds", "examples_per_second")} for line in lines]

    def logged(self, step: int) -> bool:
        """Whether the log has come to a step."""
        path = self.workdir / "metrics.jsonl"
        return path.exists() and any(f'{{"step": {later},' in path.read_text() for later in range(step, step + 10))

    def pictures(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.workdir / "samples").iterdir())}

    def assert_same_state(self, other: Run) -> None:
        """Bit for bit, leaf by leaf."""
        found, wanted = self.leaves(), other.leaves()
        assert found.keys() == wanted.keys()
        assert [path for path, leaf in wanted.items() if leaf.tobytes() != found[path].tobytes()] == []

    def assert_same(self, other: Run) -> None:
        """State, log and pictures, as if it had never been stopped."""
        self.assert_same_state(other)
        assert self.lines() == other.lines()
        assert self.pictures() == other.pictures()

    def assert_close(self, other: Run, *, atol: float) -> None:
        """The state to rounding, integers exactly."""
        found, wanted = self.leaves(), other.leaves()
        assert found.keys() == wanted.keys()
        for path in (path for path in wanted if path.startswith("state/")):
            if np.issubdtype(wanted[path].dtype, np.integer):
                np.testing.assert_array_equal(found[path], wanted[path], err_msg=path)
            else:
                np.testing.assert_allclose(found[path], wanted[path], rtol=1e-3, atol=atol, err_msg=path)


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """What all processes have compiled."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="session")
def uninterrupted(cache, tmp_path_factory) -> Run:
    """The small run from beginning to end."""
    run = Run(tmp_path_factory.mktemp("uninterrupted") / "run", SMALL, cache)
    ended = run.train()
    assert ended.code == 0, ended.err
    return run


@pytest.fixture
def run(uninterrupted, tmp_path) -> Run:
    """The same run, not yet begun; everything that it needs has been compiled."""
    return Run(tmp_path / "run", SMALL, uninterrupted.cache)


@pytest.fixture
def compiles_once(cache) -> Iterator[None]:
    """This process, too, takes from the cache what it has compiled before."""
    from jax.experimental.compilation_cache import compilation_cache

    before = {name: getattr(jax.config, name) for name in CACHE}
    for name, value in (CACHE | {"jax_compilation_cache_dir": str(cache)}).items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[[int], Path]]:
    """Mounts a file system of so many MiB."""
    mounted: list[Path] = []

    def mount(mebibytes: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "none", str(folder)]
        if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode:
            pytest.skip("only root may mount a small file system")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@dataclass(frozen=True)
class Line:
    """The smallest model there is: one number and one colour per pixel, fitted to the images."""

    factor: Callable[[jax.Array], jax.Array] = lambda step: jnp.float32(1)
    """Of the loss, in every step."""
    batches_per_step: int = 1

    image_range = (-1.0, 1.0)
    optimizer = optax.adam(1e-2)

    def init(self, key: jax.Array, batch: dict[str, jax.Array]) -> TrainState:
        params = {"scale": jax.random.normal(key, ()), "colour": jnp.zeros(batch["image"].shape[1:])}
        return TrainState.create({"line": NetworkState(params, {}, self.optimizer.init(params), None)})

    def phases(self) -> tuple[Phase, ...]:
        def loss(params, state, batch, key):
            line = params["line"]
            noise = jax.random.normal(key, batch["image"].shape)
            error = line["scale"] * noise + line["colour"][None] - batch["image"]
            return self.factor(state.step) * (error**2).mean(), Outcome()

        return (Phase(name="fit", trains=("line",), loss=loss, repeats=self.batches_per_step),)

    def step(self, state: TrainState, batches: dict[str, jax.Array], key: jax.Array) -> tuple[TrainState, Metrics]:
        return run_phases(self.phases(), {"line": self.optimizer}, state, batches, key)

    def sample(self, state: TrainState, key: jax.Array, num: int) -> jax.Array:
        colour = state.networks["line"].params["colour"]
        return colour[None] + 0.1 * jax.random.normal(key, (num, *colour.shape))


@pytest.fixture
def line() -> type[Line]:
    return Line


@pytest.fixture
def train_line(tmp_path, monkeypatch, compiles_once) -> Callable[..., Run]:
    """Trains a Line in this process, on one device unless told otherwise, and returns the run."""
    data, test = (load(DataSettings(size=8, num_examples=n), "train") for n in (40, 65))
    settings = {"steps": 20, "batch_size": 8, "log_every": 3, "sample_every": 20, "evaluate_every": 20}
    settings |= {"checkpoint_every": 5, "num_samples": 4, "tensorboard": False}

    def go(name: str, model: Line | None = None, devices: int = 1, monitor: Any = None, **changes: Any) -> Run:
        monkeypatch.setattr(loop, "make_mesh", lambda: make_mesh(jax.devices()[:devices]))
        workdir = tmp_path / name
        chosen = RunSettings(**(settings | {"data": DataSettings(size=8)} | changes))
        model = model or Line()
        metrics = metrics_of(model, data, test, chosen, loop.make_mesh())
        job = loop.Job(
            model=model, train=data, test=test, settings=chosen, workdir=workdir, monitor=monitor, metrics=metrics
        )
        # Optax raises a float to an integer power.
        with jax.numpy_dtype_promotion("standard"):
            loop.train(job, Interrupt())
        return Run(workdir, (), workdir)

    return go


@pytest.fixture
def port() -> int:
    """One that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
