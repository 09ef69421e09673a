"""One short run of every experiment, shared by all tests of the launcher; those that change a run work on a copy."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from experiments import run
from experiments.verbs.opening import Opened, open_run
from gdl_jax.training import loop, program


@dataclass(frozen=True)
class Answer:
    """What the launcher said."""

    code: int
    out: str
    err: str


def launch(*words: object) -> Answer:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run.main([str(word) for word in words])
        except SystemExit as end:
            code = end.code or 0
    return Answer(code, out.getvalue(), err.getvalue())


@dataclass
class Seen:
    """What was noted of the compiled training calls of a run."""

    compiled: list[str] = field(default_factory=list)
    """The text of every compiled program."""
    flops: float = 0
    """Of a step, on all devices together."""
    traces: int = 0
    """Times that `model.step` was traced for, or after, the first of them."""
    donated: list[bool] = field(default_factory=list)
    """Of every call, whether all of the state that it was given is deleted."""
    params: dict[str, Any] = field(default_factory=dict)
    """Of every network before the first step."""
    first: dict[str, float] = field(default_factory=dict)
    """The metrics of the first step."""
    after: Any = None
    """The state after the first step, as shapes and dtypes."""


class WatchedCall:
    """Stands for a training call and notes what it does."""

    def __init__(self, call: program.TrainingCall, seen: Seen):
        self.call, self.seen = call, seen
        self.seconds, self.flops = call.seconds, call.flops

    def __call__(self, carry, resident, payload):
        if not self.seen.donated:
            # Copies on the device: a NumPy view of the state could hinder its donation.
            self.seen.params = {name: jax.tree.map(jnp.copy, n.params) for name, n in carry.state.networks.items()}
        after, reached = self.call(carry, resident, payload)
        self.seen.donated.append(all(leaf.is_deleted() for leaf in jax.tree.leaves(carry)))
        if self.seen.after is None:
            self.seen.first = {name: mean.value() for name, mean in jax.tree.map(jnp.copy, after.meter.means).items()}
            self.seen.after = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), after.state)
        return after, reached


def launch_watched(*words: object) -> tuple[Answer, Seen]:
    """Trains, and looks at the training calls."""
    seen = Seen()
    with pytest.MonkeyPatch.context() as patch:

        def compile_watched(model, *rest):
            step = type(model).step

            def counted(*arguments, **options):
                seen.traces += 1
                return step(*arguments, **options)

            patch.setattr(type(model), "step", counted)
            call = program.compile_call(model, *rest)
            seen.compiled.append(call.compiled.as_text())
            seen.flops = call.flops
            return WatchedCall(call, seen)

        patch.setattr(loop, "compile_call", compile_watched)
        return launch(*words), seen


@dataclass(frozen=True)
class Run:
    """A finished run."""

    name: str
    workdir: Path
    answer: Answer
    seen: Seen

    @property
    def config(self) -> dict[str, Any]:
        return json.loads((self.workdir / "config.json").read_text())

    @property
    def lines(self) -> list[dict[str, Any]]:
        return read_lines(self.workdir)

    def open(self) -> Opened:
        return open_run(self.workdir, "latest")


def read_lines(workdir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below, with size and time of change."""
    found = {str(path.relative_to(folder)): path.stat() for path in sorted(folder.rglob("*"))}
    return {name: (stat.st_size if name else 0, stat.st_mtime_ns) for name, stat in found.items()}


@pytest.fixture(autouse=True)
def compile_quickly():
    """Two thirds of the time here is compiling; nothing here depends on how fast the programs are."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """`runs(name, *words)`: the smoke run of an experiment, trained when it is first asked for. Not to be changed."""
    trained: dict[tuple[str, ...], Run] = {}

    def get(name: str, *words: str) -> Run:
        key = (name, *words)
        if key not in trained:
            workdir = tmp_path_factory.mktemp("runs") / name
            answer, seen = launch_watched(name, "--preset", "smoke", "--workdir", workdir, *words)
            trained[key] = Run(name, workdir, answer, seen)
        return trained[key]

    return get


@pytest.fixture
def dcgan(runs) -> Run:
    return runs("dcgan")


@pytest.fixture
def vae(runs) -> Run:
    return runs("vae")


@pytest.fixture
def copied(dcgan: Run, tmp_path: Path) -> Path:
    """The workdir of a DCGAN of 20 steps that a test may do what it likes with."""
    return Path(shutil.copytree(dcgan.workdir, tmp_path / "dcgan"))


TOY = '''
from dataclasses import dataclass
import flax.linen as nn
import jax
import jax.numpy as jnp
from experiments.registry import Experiment
from gdl_jax.steps.optimizers import Optimizer
from gdl_jax.steps.phases import Outcome, Phase, run_phases
from gdl_jax.steps.state import TrainState, init_network

@dataclass(frozen=True)
class DenseAutoencoder:
    network: nn.Module
    optimizer: object
    image_range, batches_per_step = (0.0, 1.0), 1

    def init(self, key, batch):
        flat = batch["image"].reshape(len(batch["image"]), -1)
        return TrainState.create({"net": init_network(self.network, key, flat, optimizer=self.optimizer)})

    def step(self, state, batches, key):
        phase = Phase(name="fit", trains=("net",), loss=self.loss)
        return run_phases([phase], {"net": self.optimizer}, state, batches, key)

    def loss(self, params, state, batch, key):
        flat = batch["image"].reshape(len(batch["image"]), -1)
        decoded = self.network.apply(state.networks["net"].variables(params["net"]), flat)
        return jnp.square(decoded - flat).mean(), Outcome()

    def sample(self, state, key, num):
        decoded = self.network.apply(state.networks["net"].averaged(), jax.random.normal(key, (num, 64)))
        return jnp.clip(decoded, 0, 1).reshape(num, 8, 8, 1)

@dataclass(frozen=True, kw_only=True)
class Mine(Experiment):
    """A dense autoencoder of 8x8 images."""
    hidden: int = 16
    """Units between the two layers."""
    def build(self, data):
        return DenseAutoencoder(nn.Sequential([nn.Dense(self.hidden), nn.relu, nn.Dense(64)]), Optimizer().build())
'''
"""A model and an experiment as somebody writes them who uses this library."""


WORDS = '''
from dataclasses import dataclass
import jax
import jax.numpy as jnp
import numpy as np
from experiments.registry import Experiment
from gdl_jax.data.source import ArraySource, DataSettings
from gdl_jax.steps.optimizers import Optimizer
from gdl_jax.steps.phases import Outcome, Phase, run_phases
from gdl_jax.steps.state import NetworkState, TrainState

def words(settings, split):
    first = np.random.default_rng(split == "test").integers(0, 7, (settings.num_examples or 50, 1))
    return ArraySource("words", {"tokens": ((first + np.arange(9)) % 7).astype(np.int32)})

@dataclass(frozen=True)
class Bigrams:
    optimizer: object
    batches_per_step = 1

    def init(self, key, batch):
        params = {"logits": jnp.zeros((7, 7))}
        return TrainState.create({"table": NetworkState(params, {}, self.optimizer.init(params), None)})

    def step(self, state, batches, key):
        phase = Phase(name="fit", trains=("table",), loss=self.loss)
        return run_phases([phase], {"table": self.optimizer}, state, batches, key)

    def loss(self, params, state, batch, key):
        return self.nll(params["table"], batch["tokens"]).mean(), Outcome()

    def nll(self, params, tokens):
        return -jax.nn.log_softmax(params["logits"])[tokens[:, :-1], tokens[:, 1:]].mean(1)

    def evaluate(self, state, batch, key):
        return {"nll": self.nll(state.networks["table"].params, batch["tokens"])}

@dataclass(frozen=True, kw_only=True)
class Words(Experiment):
    """Bigrams of seven tokens."""
    data: DataSettings = DataSettings(name="words_of_mine:words")
    def build(self, data):
        return Bigrams(Optimizer(learning_rate=0.1).build())
'''
"""A model and data without images."""


@pytest.fixture
def toy_source() -> str:
    return TOY


@pytest.fixture
def words_source() -> str:
    return WORDS


@pytest.fixture(name="launch")
def launch_fixture() -> Callable[..., Answer]:
    return launch


@pytest.fixture(name="launch_watched")
def launch_watched_fixture() -> Callable[..., tuple[Answer, Seen]]:
    return launch_watched


@pytest.fixture(name="snapshot")
def snapshot_fixture() -> Callable[[Path], dict]:
    return snapshot


@pytest.fixture(name="read_lines")
def read_lines_fixture() -> Callable[[Path], list]:
    return read_lines


@pytest.fixture
def says() -> Callable[[Answer, str], None]:
    """`says(answer, fragment)`: the answer is one sentence about a user's mistake, and nothing else."""

    def check(answer: Answer, *fragments: str) -> None:
        assert answer.code == 2, answer
        assert answer.out == ""
        assert answer.err.startswith("error: ")
        assert answer.err.endswith("\n")
        assert answer.err.count("\n") == 1, answer.err
        assert "Traceback" not in answer.err
        for fragment in fragments:
            assert fragment in answer.err

    return check
