from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks import peers, run, suite
from benchmarks.compare import compare
from benchmarks.subject import compile_subject, load_source, noise_like
from benchmarks.table import table
from experiments.registry import Experiment, find
from gdl_jax.data.source import ArraySource, DataSettings
from gdl_jax.steps.devices import make_mesh
from gdl_jax.steps.phases import Outcome, Phase, run_phases
from gdl_jax.steps.state import TrainState, init_network

QUICK = suite.Plan(rounds=3, round_seconds=0.005)


@dataclass(frozen=True)
class MeanImage:
    """Compiles in a moment."""

    network: nn.Module = nn.Dense(64)  # noqa: RUF009
    optimizer: optax.GradientTransformation = optax.adam(0.05)  # noqa: RUF009
    image_range, batches_per_step = (0.0, 1.0), 2

    def init(self, key, batch):
        return TrainState.create({"net": init_network(self.network, key, jnp.ones((1, 8)), optimizer=self.optimizer)})

    def step(self, state, batches, key):
        phase = Phase(name="fit", trains=("net",), loss=self.loss, repeats=2)
        return run_phases([phase], {"net": self.optimizer}, state, batches, key)

    def loss(self, params, state, batch, key):
        means = self.network.apply(state.networks["net"].variables(params["net"]), jnp.ones((len(batch["image"]), 8)))
        return jnp.square(batch["image"] - means.reshape(-1, 8, 8, 1)).mean(), Outcome()

    def sample(self, state, key, num):
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Tiny(Experiment):
    """The mean of the images."""

    data: DataSettings = DataSettings(size=8)
    batch_size: int = 16

    def build(self, data):
        return MeanImage()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What one real run writes and prints."""
    path = tmp_path_factory.mktemp("benchmarks") / "record.json"
    words = ["dcgan", "--preset", "smoke", "--devices", "1", "--rounds", "3", "--round-seconds", "0.01"]
    with jax.numpy_dtype_promotion("standard"):
        assert run.main([*words, "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_the_record(written):
    assert set(written) >= {"records", "versions", "device", "commit", "environment", "command"}
    assert set(written["versions"]) >= {"python", "jax", "jaxlib", "flax", "optax"}
    assert written["device"]["platform"] == "cpu"
    assert written["device"]["cores"] >= 1
    assert "XLA_FLAGS" in written["environment"]
    (record,) = written["records"]
    assert record["name"] == "dcgan"
    assert (record["dtype"], record["batch_size"], record["batches_per_step"]) == ("float32", 16, 1)
    assert record["arrays"] == {"image": [[16, 16, 1], "uint8"], "label": [[], "int32"]}
    assert (record["devices"], record["traces"]) == (1, 1)
    assert record["config"]["width"] == 4
    assert record["examples_per_second"] == pytest.approx(16 / record["step_seconds"])
    assert record["real"]["examples_per_second"] == pytest.approx(16 / record["real"]["step_seconds"])
    peak = record["peaks"]["matmul_flops_per_second"]
    assert record["peak_fraction"] == pytest.approx(record["flops_per_step"] / record["step_seconds"] / peak)
    assert 0 < record["peak_fraction"] < 1
    low, high = record["step_seconds_quartiles"]
    assert 0 < low <= record["step_seconds"] <= high
    assert record["compile_seconds"] > 0
    assert record["peers"] == {}


def test_the_arithmetic_of_a_step(written):
    """At least the convolutions' share, counted by hand; not several times as much."""
    (record,) = written["records"]
    generator = 16 * 2 * (8 * 128 + 16 * 16 * 8 * 4 * 4 + 64 * 16 * 4 * 1)
    discriminator = 16 * 2 * (64 * 16 * 1 * 4 + 16 * 16 * 4 * 8 + 128)
    # The generator forward twice and backward once, the discriminator forward three times and backward three times.
    least = generator * 3 + discriminator * (3 + 4 + 1)
    assert 0.7 * least < record["flops_per_step"] < 3 * least


def test_memory_holds_at_least_the_state(written):
    (record,) = written["records"]
    parameters = 4 * 3 * 5_000
    assert parameters < record["peak_memory"] < 2**28


def test_a_table_shows_it(written):
    text = table(written["records"])
    assert all(words in text for words in ("dcgan", "image 16x16x1", "in the same rounds"))


def test_devices_and_calls_of_any_experiment():
    plan = dataclasses.replace(QUICK, steps_per_call=3)
    record = suite.measure("tiny", Tiny(), plan, make_mesh(jax.devices()[:2]), lambda _: None)
    assert (record["devices"], record["batches_per_step"], record["traces"]) == (2, 2, 1)
    assert record["examples_per_second"] == pytest.approx(2 * 16 / record["step_seconds"])
    assert record["examples_per_second_per_device"] == pytest.approx(record["examples_per_second"] / 2)
    assert record["host_overhead"]["steps_per_call"] == 3
    assert "per call" in table([record])


def test_arithmetic_is_of_all_devices():
    source = load_source(Tiny())
    one, two = (compile_subject("tiny", Tiny(), source, make_mesh(jax.devices()[:n])) for n in (1, 2))
    # Each device updates the parameters, which is a part of so small a step.
    assert 0.99 < two.cost("flops") / one.cost("flops") < 1.5


@pytest.mark.parametrize("placement", ["device", "host"])
def test_both_pipelines_and_noise_alike(placement):
    experiment = Tiny(data=DataSettings(size=8, placement=placement))
    record = suite.measure("tiny", experiment, QUICK, make_mesh(jax.devices()[:1]), lambda _: None)
    assert record["real"]["placement"] == placement
    assert record["real"]["data"] == "digits"
    assert record["traces"] == 1


@dataclass(frozen=True)
class MeanLogits:
    """Of tokens: how often each of eight comes, wherever it stands."""

    network: nn.Module = nn.Dense(8)  # noqa: RUF009
    optimizer: optax.GradientTransformation = optax.adam(0.05)  # noqa: RUF009
    batches_per_step = 1
    init, step = MeanImage.init, MeanImage.step

    def loss(self, params, state, batch, key):
        logits = self.network.apply(state.networks["net"].variables(params["net"]), jnp.ones((1, 8)))
        return -nn.log_softmax(logits)[0, batch["tokens"]].mean(), Outcome()


def test_data_need_not_be_images(monkeypatch):
    class Tokens(Tiny):
        def build(self, data):
            assert data.arrays["tokens"].shape == (12,)
            return MeanLogits()

    tokens = np.random.default_rng(0).integers(0, 8, (64, 12), np.int32)
    monkeypatch.setattr(suite, "load_source", lambda _: ArraySource("tokens", {"tokens": tokens}))
    record = suite.measure("tokens", Tokens(), QUICK, make_mesh(jax.devices()[:1]), lambda _: None)
    assert record["arrays"] == {"tokens": [[12], "int32"]}
    assert record["examples_per_second"] == pytest.approx(16 / record["step_seconds"])
    assert "tokens 12" in table([record])


@pytest.mark.parametrize(
    "array",
    [
        np.arange(256, dtype=np.uint8).repeat(16).reshape(16, 16, 16),
        np.arange(50, dtype=np.int32).repeat(40).reshape(4, 500),
        np.linspace(-0.5, 0.5, 4000, dtype=np.float32).reshape(2, 2000),
        np.array([True, False] * 50),
    ],
    ids=["images", "tokens", "waveforms", "flags"],
)
def test_noise_of_any_kind_of_data(array):
    noise = noise_like(array)
    assert (noise.shape, noise.dtype) == (array.shape, array.dtype)
    assert array.min() <= noise.min() < noise.max() <= array.max()
    assert not np.array_equal(noise, array)


@pytest.mark.torch
@pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed; pip install '.[peers]'"
)
def test_a_peer_runs_in_the_same_rounds(monkeypatch):
    from benchmarks.peers.base import Peer, adam, contestants

    class TinyPeer(Peer):
        batches_per_step = 2

        def __init__(self, experiment, data, device):
            import torch

            self.network = torch.nn.Linear(8, 64)
            self.optimizer, self.image_range = adam([self.network], find("dcgan")().optimizer), (0.0, 1.0)

        def step(self, batches):
            images = [batch["image"] for batch in batches]
            assert [x.shape for x in images] == [(16, 1, 8, 8)] * 2
            assert all(0 <= x.min() <= x.max() <= 1 for x in images)
            assert all(batch["label"].shape == (16,) and batch["label"].max() < 10 for batch in batches)
            return {}

        def compile(self):
            raise RuntimeError("no compiler\nand more")

    monkeypatch.setitem(peers.load_all(), "tiny", TinyPeer)
    plan = dataclasses.replace(QUICK, peers=True)
    record = suite.measure("tiny", Tiny(), plan, make_mesh(jax.devices()[:1]), lambda _: None)
    assert list(record["peers"]) == ["torch_eager"]
    assert record["remarks"] == ["torch_compile does not work: RuntimeError: no compiler"]
    eager = record["peers"]["torch_eager"]
    low, high = eager["speedup_quartiles"]
    assert 0 < low <= eager["speedup"] <= high
    assert "torch_eager" in table([record])

    subject = compile_subject("stranger", Tiny(), load_source(Tiny()), make_mesh(jax.devices()[:1]))
    assert contestants(subject) == ({}, ["stranger has no peer"])


# Comparing ------------------------------------------------------------------------------------------------------------


def scaled(written, factor, jitter=0.0):
    found = copy.deepcopy(written)
    for record in found["records"]:
        for place in (record, record["real"]):
            place["step_seconds"] *= factor
            place["step_seconds_quartiles"] = [place["step_seconds"] * (1 + d) for d in (-jitter, jitter)]
            place["examples_per_second"] /= factor
    return found


def test_nothing_falls_against_itself(written):
    _, falls = compare(written, written)
    assert falls == []


@pytest.mark.parametrize(("factor", "fell"), [(1.05, False), (0.5, False), (1.5, True)])
def test_a_fall_is_flagged_and_noise_is_not(written, factor, fell):
    """Quartiles 5 % on either side of the median, before and after."""
    text, falls = compare(scaled(written, 1, 0.05), scaled(written, factor, 0.05))
    assert bool(falls) == fell
    assert ("FELL" in text) == fell
    assert f"{factor:.3f}" in text
    if fell:
        assert any("dcgan: step_seconds went from" in line for line in falls)
        assert any("examples_per_second" in line for line in falls)


def test_a_peer_that_catches_up_is_a_fall(written):
    def with_peer(speedup):
        found = copy.deepcopy(written)
        found["records"][0]["peers"] = {
            "torch_eager": {"speedup": speedup, "speedup_quartiles": [speedup - 0.02, speedup + 0.02]}
        }
        return found

    assert compare(with_peer(1.0), with_peer(1.2))[1] == []
    assert compare(with_peer(1.2), with_peer(1.0))[1] == [
        "dcgan: speedup over torch_eager went from 1.2 to 1, a ratio of 0.833"
    ]


def test_more_memory_and_other_settings_are_told(written):
    other = copy.deepcopy(written)
    other["records"][0]["peak_memory"] *= 2
    other["records"][0]["batch_size"] = 32
    other["versions"]["jax"] = "0.0"
    text, falls = compare(written, other)
    assert falls[0].startswith("dcgan: peak_memory went from")
    assert "batch_size was 16 and is 32" in text
    assert "versions: jax was" in text


def test_the_command_compares(written, tmp_path, capsys):
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    before.write_text(json.dumps(written))
    after.write_text(json.dumps(scaled(written, 100)))
    assert run.main(["compare", str(before), str(before)]) == 0
    assert "nothing fell" in capsys.readouterr().out
    assert run.main(["compare", str(before), str(after)]) == 1
    assert "FELL" in capsys.readouterr().out


# Mistakes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dcgna"], "did you mean 'dcgan'?"),
        (["dcgan", "--peesr"], "did you mean '--peers'?"),
        (["dcgan", "--preset", "smoek"], "did you mean 'smoke'?"),
        (["dcgan", "--devices", "1000"], "there are 8"),
        (["dcgan", "--devices", "0"], "1 or more"),
        (["dcgan", "--dtype", "float16"], "--dtype"),
        (["dcgan", "--peers", "--devices", "2"], "one device"),
        (["dcgan", "--preset", "smoke", "--batch-size", "9", "--devices", "2"], "8 or 10"),
        (["dcgan", "--json", "."], "is a folder"),
        (["dcgan", "--json", "/dev/null/x.json"], "takes files"),
        (["dcgan", "--round-seconds", "nan"], "--round-seconds is nan"),
        (["perceptron"], "'perceptron' is a study"),
        (["dcgan --workdir x --restart"], "says where or how a training starts"),
        (["dcgan --data.size '16"], "no closing quotation"),
        (["compare", "nowhere.json", "nowhere.json"], "cannot be read"),
        (["compare", "nowhere.json"], "a later one"),
    ],
)
def test_a_mistake_is_one_sentence(words, said, capsys):
    assert run.main(words) == 2
    error = capsys.readouterr().err
    assert said in error.lower() or said in error
    assert error.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in error


def test_other_files_are_no_records(tmp_path, capsys):
    others = '{"format": 1, "program": "benchmarks.features", "records": []}'
    for text in ("{", "[]", '{"format": 99, "records": []}', others):
        path = tmp_path / "x.json"
        path.write_text(text)
        assert run.main(["compare", str(path), str(path)]) == 2
        assert "benchmarks.run --json" in capsys.readouterr().err


def test_without_torch_peers_say_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run.main(["dcgan", "--peers"]) == 2
    assert "pip install '.[peers]'" in capsys.readouterr().err


def test_every_experiment_is_measured_without_being_told(monkeypatch):
    seen = []

    def measure(name, experiment, *_):
        seen.append((name, experiment.dtype))
        return {"name": name}

    monkeypatch.setattr(suite, "measure", measure)
    options = run.Options(dtype="bfloat16", devices=1)
    run.run(options, [])
    assert seen == [(name, "bfloat16") for name in run.load_all()]
