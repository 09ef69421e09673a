"""What the instructions of a compiled program are: their kind, and the layer that they were written in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DEFINITION = re.compile(r"^\s*(ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\(")
COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
CALLED = re.compile(r"(?:calls|to_apply)=%?([\w.\-]+)")
OP_NAME = re.compile(r'op_name="([^"]*)"')
OPERAND = re.compile(r"%([\w.\-]+)")
TARGET = re.compile(r'custom_call_target="([^"]*)"')

MOVES = {
    *("bitcast", "broadcast", "concatenate", "constant", "copy", "copy-done", "copy-start", "dynamic-slice", "gather"),
    *("dynamic-update-slice", "get-tuple-element", "iota", "pad", "parameter", "reshape", "reverse", "slice"),
    *("transpose", "tuple"),
}
"""Opcodes that compute nothing."""

CONTROL = {"while", "conditional", "call"}
"""Opcodes whose bodies have instructions of their own."""

OUTSIDE = "outside the networks"


@dataclass(frozen=True)
class Instruction:
    """One instruction that runs by itself.

    Attributes:
        name: in the program, and in a trace.
        kind: "convolution", "matrix product", "reduction", "communication", "elementwise", "copy" (all that moves
            numbers and computes none) or "control". A fusion is the first of these that it contains.
        layer: path of Flax modules, such as "Discriminator/Conv_1". A fusion belongs to the layer of its result, even
            where it begins in another; what the compiler adds, to the layer of its first operand that has one.
        is_backward: whether it belongs to a gradient.
        shape: of the result.
    """

    name: str
    kind: str
    layer: str
    is_backward: bool
    shape: str


@dataclass(frozen=True)
class _Line:
    is_root: bool
    name: str
    shape: str
    opcode: str
    rest: str


def instructions(text: str) -> dict[str, Instruction]:
    """By name, from the text of a compiled program (`jax.stages.Compiled.as_text`)."""
    computations = _computations(text)
    found, op_names = {}, {}
    for lines in computations.values():
        for line in lines:
            inner = [line, *_body(line, computations)]
            named = sorted(inner[1:], key=lambda inside: not inside.is_root)
            op_name = next((match[1] for each in [line, *named] if (match := OP_NAME.search(each.rest))), "")
            operands = [op_names[operand] for operand in OPERAND.findall(line.rest) if op_names.get(operand)]
            op_names[line.name] = op_name or next(iter(operands), "")
            layer, is_backward = _layer(op_names[line.name])
            found[line.name] = Instruction(line.name, _kind(inner), layer, is_backward, line.shape)
    return found


def _computations(text: str) -> dict[str, list[_Line]]:
    found: dict[str, list[_Line]] = {}
    current: list[_Line] = []
    for line in text.splitlines():
        if match := COMPUTATION.match(line):
            current = found.setdefault(match[1], [])
        elif match := DEFINITION.match(line):
            current.append(_Line(bool(match[1]), match[2], match[3], match[4], line[match.end() :]))
    return found


def _body(line: _Line, computations: Mapping[str, list[_Line]]) -> list[_Line]:
    """All that a fusion, or the part of it that is split over threads, contains."""
    called = CALLED.search(line.rest)
    if line.opcode not in ("fusion", "call") or called is None:
        return []
    lines = computations.get(called[1], [])
    return [each for inside in lines for each in (inside, *_body(inside, computations))]


def _kind(lines: Sequence[_Line]) -> str:
    opcodes = {line.opcode for line in lines}
    libraries = " ".join(match[1].lower() for line in lines if (match := TARGET.search(line.rest)))
    if "convolution" in opcodes or "conv" in libraries:
        return "convolution"
    if opcodes & {"dot", "ragged-dot"} or "gemm" in libraries or "matmul" in libraries:
        return "matrix product"
    if opcodes & {"reduce", "reduce-window", "select-and-scatter"}:
        return "reduction"
    if any(opcode.startswith(("all-", "reduce-scatter", "collective-")) for opcode in opcodes):
        return "communication"
    if opcodes & CONTROL and opcodes <= CONTROL | MOVES:
        return "control"
    return "copy" if opcodes <= MOVES | {"fusion"} else "elementwise"


def _layer(op_name: str) -> tuple[str, bool]:
    """Of a name such as "jit(call)/transpose(jvp(Discriminator))/Conv_1/dot_general".

    Classes of modules are capitalised and primitives are not. A method other than `__call__` stands behind a dot.
    """
    parts = [re.sub(r"^(?:\w+\()*|\)*$", "", part) for part in op_name.split("/")]
    modules = [i for i, part in enumerate(parts) if re.fullmatch(r"[A-Z]\w*", part)]
    path = parts[modules[0] : modules[-1] + 1] if modules else [OUTSIDE]
    return "/".join(path), "transpose(" in op_name
