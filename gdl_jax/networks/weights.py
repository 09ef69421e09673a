"""Reading the arrays of others' weight files, without running anything that stands in them.

`.safetensors`, NumPy's `.npz`, Keras' `.h5` and PyTorch's `.pth` or `.pt`. The last are pickles, which can call any
function when they are loaded; the reader here knows the few names of which a dictionary of tensors is made, and refuses
every other.
"""

from __future__ import annotations

import hashlib
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from io import BufferedIOBase
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from gdl_jax.errors import UsageError

Arrays = dict[str, np.ndarray]

DTYPES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
"""Of PyTorch's typed storages."""

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""The first object of a file of PyTorch before 1.6."""

DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, IndexError, AttributeError, struct.error)


class Weights(NamedTuple):
    """Of a file.

    Attributes:
        arrays: by their names.
        sha256: of the file, in hexadecimal digits.
        metadata: the texts that a `.safetensors` has beside its arrays.
    """

    arrays: Arrays
    sha256: str
    metadata: Mapping[str, str] = MappingProxyType({})


def read_weights(path: Path) -> Weights:
    """The arrays of a weight file; names in folders are joined by "/".

    Raises:
        UsageError: there is no such file, it is of another kind or damaged, or it holds more than arrays.
    """
    if not path.is_file():
        raise UsageError(f"There is no weight file {path}.")
    if path.suffix not in READERS:
        raise UsageError(f"{path} is no weight file that can be read; it has to end in {', '.join(READERS)}.")
    try:
        arrays = READERS[path.suffix](path)
        metadata = _safetensors_metadata(path) if path.suffix == ".safetensors" else {}
    except (*DAMAGED, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} holds no arrays that can be read ({error}).") from error
    with path.open("rb") as file:
        return Weights(arrays, hashlib.file_digest(file, "sha256").hexdigest(), metadata)


def _read_safetensors(path: Path) -> Arrays:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(error) from error


def _safetensors_metadata(path: Path) -> Mapping[str, str]:
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return file.metadata() or {}


def _read_npz(path: Path) -> Arrays:
    if not zipfile.is_zipfile(path):
        # NumPy would try to unpickle it, and advise to let it.
        raise ValueError("it is no zip of arrays")
    with path.open("rb") as opened, np.load(opened) as file:
        return {name: file[name] for name in file.files}


def _read_h5(path: Path) -> Arrays:
    try:
        import h5py
    except ImportError as error:
        raise UsageError(f"To read {path}, `pip install h5py`.") from error
    found: Arrays = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, entry: found.update({name: entry[()]}) if isinstance(entry, h5py.Dataset) else None
        )
    return found


def _read_torch(path: Path) -> Arrays:
    with path.open("rb") as file:
        found = _unzipped(file) if zipfile.is_zipfile(file) else _legacy(file)
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(isinstance(value, np.ndarray) for value in found.values()):
        raise ValueError("it is no dictionary of tensors")
    return dict(found)


def _unzipped(file: BufferedIOBase) -> Any:
    """PyTorch from 1.6 on: a zip with the pickle, and a file for every storage."""
    with zipfile.ZipFile(file) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = name.removesuffix("data.pkl")

        def storage(dtype: np.dtype, key: str, num: int) -> np.ndarray:
            return np.frombuffer(archive.read(f"{folder}data/{key}"), dtype, num)

        with archive.open(name) as pickled:
            return _TensorUnpickler(pickled, storage).load()


def _legacy(file: BufferedIOBase) -> Any:
    """PyTorch before 1.6: magic number, version, machine, the object, the keys of its storages, and their bytes."""
    file.seek(0)
    storages: dict[str, np.ndarray] = {}

    def storage(dtype: np.dtype, key: str, num: int) -> np.ndarray:
        return storages.setdefault(key, np.empty(num, dtype))

    def load() -> Any:
        return _TensorUnpickler(file, storage).load()

    if load() != LEGACY_MAGIC:
        raise ValueError("it is no file of PyTorch")
    load(), load()
    found = load()
    for key in load():
        array = storages[key]
        (num,) = struct.unpack("<q", file.read(8))
        if num != len(array):
            raise ValueError(f"the storage {key} has {num} numbers, and {len(array)} are expected")
        array[:] = np.frombuffer(file.read(num * array.itemsize), array.dtype)
    return found


class _TensorUnpickler(pickle.Unpickler):
    """Knows how tensors are pickled, and nothing else."""

    def __init__(self, file: BufferedIOBase, storage: Callable[[np.dtype, str, int], np.ndarray]):
        super().__init__(file)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """See `pickle.Unpickler`."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, requires_grad, hooks: tensor
        if module == "torch" and name in DTYPES:
            return np.dtype(DTYPES[name])
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no dictionary of tensors needs")

    def persistent_load(self, pid: Any) -> np.ndarray:
        """See `pickle.Unpickler`; the content of a storage."""
        kind, dtype, key, _, num, *_ = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"it asks for {pid}")
        return self._storage(dtype, key, num)


def _tensor(storage: np.ndarray, offset: int, size: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> np.ndarray:
    """A view, since the storage may be filled later; its bounds are checked."""
    last = offset + sum((n - 1) * s for n, s in zip(size, strides, strict=True))
    if offset < 0 or min((*size, *strides), default=0) < 0 or (0 not in size and last >= len(storage)):
        raise ValueError("a tensor reaches beyond its storage")
    steps = tuple(s * storage.itemsize for s in strides)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)


READERS: Mapping[str, Callable[[Path], Arrays]] = {
    ".h5": _read_h5,
    ".hdf5": _read_h5,
    ".npz": _read_npz,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".safetensors": _read_safetensors,
}
"""By the end of the file's name."""
