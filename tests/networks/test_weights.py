from __future__ import annotations

import hashlib
import os
import pickle

import numpy as np
import pytest

from gdl_jax.errors import UsageError
from gdl_jax.networks.weights import read_weights

ARRAYS = {
    "conv.weight": np.random.default_rng(0).normal(size=(4, 3, 2, 2)).astype(np.float32),
    "bn.count": np.array(7),
    "half": np.arange(6, dtype=np.float16).reshape(2, 3),
}


def assert_equal(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_npz_and_safetensors(tmp_path):
    from safetensors.numpy import save_file

    np.savez(tmp_path / "a.npz", **ARRAYS)
    save_file(ARRAYS, tmp_path / "a.safetensors")
    for name in ("a.npz", "a.safetensors"):
        found = read_weights(tmp_path / name)
        assert_equal(found.arrays, ARRAYS)
        assert found.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()


def test_h5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["block1/conv/kernel"] = ARRAYS["half"]
    assert_equal(read_weights(tmp_path / "a.h5").arrays, {"block1/conv/kernel": ARRAYS["half"]})


@pytest.mark.torch
@pytest.mark.parametrize("legacy", [False, True])
def test_torch(tmp_path, legacy):
    torch = pytest.importorskip("torch")
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in ARRAYS.items()}
    shared = torch.arange(12.0).reshape(3, 4)
    tensors |= {"turned": shared.T, "part": shared[1:, 2], "parameter": torch.nn.Parameter(shared)}
    path = tmp_path / "a.pth"
    torch.save({"state_dict": tensors}, path, _use_new_zipfile_serialization=not legacy)
    assert_equal(read_weights(path).arrays, {name: t.detach().numpy() for name, t in tensors.items()})


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_code_is_run(tmp_path):
    path, trace = tmp_path / "a.pth", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Harmful(trace)))
    with pytest.raises(UsageError, match="mkdir, which no dictionary of tensors needs"):
        read_weights(path)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".pth", ".npz", ".safetensors"])
def test_damaged(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    for content in (b"", b"no weights", pickle.dumps({"a": 1})):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="holds no arrays that can be read"):
            read_weights(path)


def test_missing_and_other_files(tmp_path):
    with pytest.raises(UsageError, match="There is no weight file"):
        read_weights(tmp_path / "none.pth")
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(UsageError, match=r"has to end in \.h5, \.hdf5, \.npz, \.pt, \.pth, \.safetensors"):
        read_weights(tmp_path / "a.txt")
