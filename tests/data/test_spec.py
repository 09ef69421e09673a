from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from gdl_jax.data.source import ArraySource, ArraySpec, DataSettings, load
from gdl_jax.data.spec import DataSpec


def test_the_specification_of_a_source():
    arrays = {"image": np.zeros((7, 4, 5, 3), np.uint8), "label": np.zeros(7, np.int32)}
    spec = DataSpec.of(ArraySource("some", arrays, ("cat", "dog")))
    wanted = {"image": ArraySpec((4, 5, 3), np.dtype(np.uint8)), "label": ArraySpec((), np.dtype(np.int32))}
    assert spec == DataSpec(wanted, ("cat", "dog"), 7)
    assert spec.image_shape == (4, 5, 3)


@pytest.mark.parametrize("name", ["digits", "faces", "shapes", "noise"])
def test_through_json_and_back(name):
    spec = DataSpec.of(load(DataSettings(name=name, num_examples=12), "train"))
    restored = DataSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert restored == spec
    assert restored.num_examples == 12
    assert all(isinstance(array.dtype, np.dtype) for array in restored.arrays.values())
    assert all(isinstance(array.shape, tuple) for array in restored.arrays.values())


def test_changes():
    before = DataSpec({"image": ArraySpec((4, 4, 3), np.dtype(np.uint8))}, tuple("abcdefghij"), 7, "before")
    assert before.changes(before) == before.changes(replace(before, digest="")) == []
    assert replace(before, digest="now").changes(before) == [
        "files of the same number with other names, labels or lengths"
    ]
    assert len(replace(before, classes=tuple("abcdefghik")).changes(before)) == 1
    assert replace(before, num_examples=9).changes(before) == ["7 training examples and now 9"]


def test_every_kind_of_array_through_json():
    dtypes = [np.dtype(name) for name in ("uint8", "int32", "int64", "float32", "bool", "uint16")]
    spec = DataSpec({str(d): ArraySpec((i, 2)[: i % 3], d) for i, d in enumerate(dtypes)}, (), 3)
    assert DataSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
