from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import pytest

from benchmarks.instructions import OUTSIDE, instructions
from benchmarks.measure import Contestant
from benchmarks.profile import main, own_times, times_after_handing_on, trace

PROGRAM = """HloModule jit_call, is_scheduled=true

%fused_product (p.1: f32[8,4], p.2: f32[4,2]) -> f32[8,2] {
  %p.1 = f32[8,4]{1,0} parameter(0)
  %p.2 = f32[4,2]{1,0} parameter(1)
  %dot.1 = f32[8,2]{1,0} dot(%p.1, %p.2), lhs_contracting_dims={1}, metadata={op_name="jit(call)/jvp(MLP)/Dense_0/dot"}
  ROOT %tanh.1 = f32[8,2]{1,0} tanh(%dot.1), metadata={op_name="jit(call)/jvp(MLP)/tanh"}
}

%wrapped_sum (p.3: f32[8,2]) -> f32[] {
  %p.3 = f32[8,2]{1,0} parameter(0)
  ROOT %reduce.1 = f32[] reduce(%p.3), dimensions={0,1}, to_apply=%add.1
}

%moved (p.4: f32[8,2]) -> f32[2,8] {
  %p.4 = f32[8,2]{1,0} parameter(0)
  ROOT %transpose.1 = f32[2,8]{0,1} transpose(%p.4), dimensions={1,0}
}

ENTRY %main.1 (x: f32[8,4], w: f32[4,2]) -> (f32[], f32[2,8]) {
  %x = f32[8,4]{1,0} parameter(0)
  %w = f32[4,2]{1,0} parameter(1)
  %product_fusion = f32[8,2]{1,0} fusion(%x, %w), kind=kCustom, calls=%fused_product
  %sum_fusion = f32[] fusion(%product_fusion), kind=kLoop, calls=%wrapped_sum, metadata={op_name="jit(call)/sum"}
  %copy_fusion = f32[2,8]{0,1} fusion(%product_fusion), kind=kLoop, calls=%moved
  %conv.1 = (f32[8,2]{1,0}, u8[0]{0}) custom-call(%x), custom_call_target="__cudnn$convForward", \
metadata={op_name="jit(call)/transpose(jvp(GAN.judge))/WithScale/decoder/Conv_1/Conv_1.convolve/conv"}
  %while.1 = (s32[], /*index=1*/f32[8,2]{1,0}) while(%t), condition=%c, body=%b
  %convert.1 = f16[8,2]{1,0} convert(%product_fusion)
}
"""


def test_instructions():
    found = instructions(PROGRAM)
    kinds = {name: found[name].kind for name in found if "fusion" in name or name in ("conv.1", "while.1", "convert.1")}
    assert kinds == {
        "product_fusion": "matrix product",
        "sum_fusion": "reduction",
        "copy_fusion": "copy",
        "conv.1": "convolution",
        "while.1": "control",
        "convert.1": "elementwise",
    }
    # Of a fusion without a name that of its result counts.
    assert (found["product_fusion"].layer, found["dot.1"].layer) == ("MLP", "MLP/Dense_0")
    assert found["sum_fusion"].layer == OUTSIDE
    # What the compiler adds belongs to what it is made of.
    assert (found["copy_fusion"].layer, found["convert.1"].layer) == ("MLP", "MLP")
    assert found["conv.1"].layer == "WithScale/decoder/Conv_1"
    assert found["conv.1"].is_backward
    assert not found["product_fusion"].is_backward
    assert found["copy_fusion"].shape == "f32[2,8]{0,1}"


def test_time_inside_an_event_is_not_its_own():
    events = [(0, 10, "while"), (1, 3, "a"), (4, 5, "b"), (5, 1, "c"), (10, 2, "a"), (1, 1, "c")]
    assert sorted(own_times(events)) == [("a", 2), ("a", 2), ("b", 4), ("c", 1), ("c", 1), ("while", 2)]


def test_what_the_ending_thread_does_first_is_not_the_instructions_own():
    # Handed on after 1, done at 5 or a little later; its thread then negates for 3, and only then notes the end.
    lines = [[(0, 1, "convolution", 7)], [(5.5, 3, "negation", 8)]]
    found = times_after_handing_on(lines, {7: (1, 9), 8: (1, 8.5)})
    assert list(found) == [("convolution", 5), ("negation", 0)]


def test_a_profile(tmp_path, capsys):
    path = tmp_path / "profile.json"
    words = ["classifier --architecture valle", "--preset", "smoke", "--steps", "3", "--top", "2"]
    assert main([*words, "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert found["command"].startswith("python -m benchmarks.profile 'classifier --architecture valle'")
    (record,) = found["records"]
    rows = record["instructions"]
    assert record["instruction_seconds"] == pytest.approx(sum(row["seconds"] for row in rows))
    # Of the same unit; the two are of different runs, which other work disturbs differently.
    assert 1e-3 < record["instruction_seconds"] / record["step_seconds"] < 1e3
    assert [row["seconds"] for row in rows] == sorted((row["seconds"] for row in rows), reverse=True)
    products = [row for row in rows if row["kind"] == "matrix product"]
    assert {row["layer"] for row in products} == {"MLP/Dense_0", "MLP/Dense_1"}
    assert {row["is_backward"] for row in products} == {True, False}
    kinds, layers, longest = capsys.readouterr().out.split("\n\n")[1:]
    assert "matrix product" in kinds
    assert "MLP/Dense_1" in layers
    assert [line.split()[0] for line in longest.splitlines()] == ["instruction", *(row["name"] for row in rows[:2])]


def test_mistakes(tmp_path, capsys):
    for words, said in (
        (["dcgan", "--steps", "0"], "--steps is 0"),
        (["dgcan"], "dcgan"),
        (["perceptron"], "is a study"),
        (["dcgan", "--json", str(tmp_path)], "is a folder"),
    ):
        assert main(words) == 2
        assert said in capsys.readouterr().err


def test_work_that_is_handed_on_to_other_threads_counts():
    # A convolution's own thread has done with it in a hundredth of its time.
    images, kernel = jnp.ones((32, 32, 32, 32)), jnp.ones((3, 3, 32, 32))
    layout = ("NHWC", "HWIO", "NHWC")
    convolve = jax.lax.conv_general_dilated
    jitted = jax.jit(lambda x, k: -convolve(x, k, (1, 1), "SAME", dimension_numbers=layout))
    compiled = jitted.lower(images, kernel).compile()

    def advance(calls):
        for _ in range(calls):
            compiled(images, kernel).block_until_ready()

    advance(1)
    known = instructions(compiled.as_text())
    seconds, _ = trace(Contestant(advance), 3, known)
    convolution = sum(spent for name, spent in seconds.items() if known[name].kind == "convolution")
    # The negation is one operation where the convolution has 576: in one trace, other work slows both down.
    assert 0 < 3 * (sum(seconds.values()) - convolution) < convolution
