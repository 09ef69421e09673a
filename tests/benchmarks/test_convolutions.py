"""The benchmark of the convolutions: its shapes, its record, and PyTorch's layers beside ours."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import convolutions
from benchmarks.shapes import SHAPES, Shape
from experiments.registry import read_catalogue

TINY = Shape("tiny", 2, (6, 6), (3, 4), (4, 4), ("LA11",), strides=2, padding=1)


def test_the_shapes_are_of_the_catalogue_and_below_fifteen_gflop():
    known = read_catalogue()
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)
    for shape in SHAPES:
        assert min(shape.geometry.output_size) > 0
        assert 0 < shape.flops < 15e9
        assert set(shape.systems) <= set(known)


@pytest.mark.parametrize(
    ("name", "large", "small", "flops"),
    [
        ("dcgan64 D first 64x64 k4 s2 3->64", (64, 64), (32, 32), 2 * 64 * 32**2 * 4**2 * 3 * 64),
        ("camel D 7x7->4x4 k5 s2 64->128", (7, 7), (4, 4), 2 * 64 * 4**2 * 5**2 * 64 * 128),
        # A transposed layer multiplies each of its small pixels once, and no zeros.
        ("dcgan64 G mid 8x8->16x16 k4 256->128", (16, 16), (8, 8), 2 * 64 * 8**2 * 4**2 * 256 * 128),
        ("xception depthwise 19x19 k3 728", (19, 19), (19, 19), 2 * 32 * 19**2 * 3**2 * 728),
    ],
)
def test_sizes_and_arithmetic_of_known_layers(name, large, small, flops):
    (shape,) = (shape for shape in SHAPES if shape.name == name)
    assert (shape.geometry.size, shape.geometry.output_size, shape.flops) == (large, small, flops)


@pytest.mark.torch
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"transposed": True},
        {"kernel": (3, 3), "strides": 1, "padding": "SAME"},
        {"kernel": (4, 4), "strides": 1, "padding": "SAME"},
        {"kernel": (2, 2), "padding": "VALID", "transposed": True},
        {"kernel": (3, 3), "channels": (4, 4), "groups": 4},
        {"size": (9,), "kernel": (3,), "strides": 1, "dilation": 2, "padding": "VALID"},
        {"size": (4, 3, 3), "kernel": (2, 1, 3), "strides": (2, 1, 1), "padding": "VALID"},
    ],
    ids=str,
)
def test_ours_and_pytorchs_layers_are_the_same(changes):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install '.[peers]'")
    from benchmarks.peers.convolutions import Layer, channels_first, empty, kernel_first, to_torch

    shape = dataclasses.replace(TINY, **changes)
    layer = Layer(shape)
    forward, back, slope = convolutions.operations(shape, "float32")
    image, k = map(to_torch, forward.operands)
    assert layer.forward(channels_first(image), kernel_first(k)).movedim(1, -1).numpy() == pytest.approx(
        np.asarray(forward.ours(shape.geometry, *forward.operands)), abs=1e-4
    )
    dy = channels_first(to_torch(back.operands[0]))
    x = empty((shape.batch, shape.channels[0], *shape.size), torch.float32)
    found = layer.gradient(dy, x, kernel_first(k), 0).movedim(1, -1).numpy()
    assert found == pytest.approx(np.asarray(back.ours(shape.geometry, *back.operands)), abs=1e-4)
    large, small = (channels_first(to_torch(a)) for a in slope.operands)
    x, dy = (small, large) if shape.transposed else (large, small)
    found = layer.gradient(dy, x, kernel_first(k), 1)
    wanted = kernel_first(to_torch(slope.ours(shape.geometry, *slope.operands)))
    assert found.numpy() == pytest.approx(wanted.numpy(), abs=1e-3)


def test_the_record_and_the_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(convolutions, "SHAPES", (TINY,))
    path = tmp_path / "record.json"
    words = ["tiny", "--rounds", "2", "--round-seconds", "0.001", "--json", str(path)]
    assert convolutions.main(words) == 0
    records = json.loads(path.read_text())["records"]
    assert [entry["operation"] for entry in records] == ["forward", "input gradient", "kernel gradient"]
    for entry in records:
        assert entry["flops"] == TINY.flops
        assert entry["seconds"] > 0
        assert entry["lax"]["speedup"] > 0
    assert "geometric mean" in capsys.readouterr().out


def test_mistakes(capsys):
    for words, said in (
        (["nothing"], "no shape has nothing in its name"),
        (["--rounds", "0"], "--rounds is 0; it has to be 1 or more"),
        (["--json", "/tmp"], "--json /tmp is a folder"),
    ):
        assert convolutions.main(words) == 2
        assert capsys.readouterr().err.startswith(f"error: {said}")
