"""Small classifiers as feature networks: those that come with this library, and others in files of the same kind.

A file is a `.safetensors` with the variables of a `CNN`, and in its metadata what the network is and whence it comes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Float

from gdl_jax.errors import UsageError
from gdl_jax.files import write_atomically
from gdl_jax.layers.normalisation import BatchNorm
from gdl_jax.metrics.features import PIXELS, Features, FloatImages, Resize, network_features, refitted
from gdl_jax.networks.cnn import CNN, Block
from gdl_jax.networks.weights import Weights, read_weights

FOLDER = Path(__file__).with_name("weights")
SHIPPED: Mapping[str, Path] = {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}
"""Of each data set that has one; `python -m experiments.feature_classifiers` makes them."""

STACKED = tuple(f"stacked_{name}" for name in ("digits", "mnist", "fashion_mnist"))
"""Three of such images as colours of one: see `gdl_jax.data.source.Stacked`. The classifier looks at each colour."""

KEY = "classifier of gdl_jax"
"""Of the metadata, the only one: a file with several has them in any order, and so no digest that stays the same."""


def default_features(data: str, mesh: Mesh | None = None, resize: Resize = "bicubic") -> Features:
    """Those of the classifier that comes with this library for the data set of this name, else pixels."""
    return shipped_features(data, mesh, resize) if data in (*SHIPPED, *STACKED) else PIXELS


def shipped_features(data: str, mesh: Mesh | None = None, resize: Resize = "bicubic") -> Features:
    """See `default_features`."""
    if data in STACKED:
        return _stacked_features(data, mesh, resize)
    return classifier_features(SHIPPED[data], read_weights(SHIPPED[data]), mesh, resize)


def is_classifier(weights: Weights) -> bool:
    """Whether a file is of this kind."""
    return KEY in weights.metadata


def stored(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables as a file keeps them: kernels in float16, vectors in float32."""
    return jax.tree.map(lambda x: np.asarray(x, np.float16 if np.ndim(x) > 1 else np.float32), dict(variables))


def write_classifier(
    path: Path,
    network: CNN,
    variables: Mapping[str, Any],
    *,
    shape: tuple[int, int, int],
    image_range: tuple[float, float],
    facts: Mapping[str, str],
) -> None:
    """Writes a network with batch norm, ReLU and zero padding.

    Args:
        path: of the file.
        network: what it is.
        variables: of it.
        shape: of its images.
        image_range: of its images.
        facts: "data", "accuracy", and what else is to be known.

    Raises:
        ValueError: the network has another norm, activation or padding.
    """
    from safetensors.numpy import save

    layers = {name: getattr(network, name) for name in ("num_classes", "hidden")}
    layers["blocks"] = [dataclasses.asdict(block) for block in network.blocks]
    described = {"network": layers, "shape": shape, "image_range": image_range, **facts}
    if _network_of(json.loads(json.dumps(layers))) != network.clone(hidden_dropout_rate=0.0):
        raise ValueError(f"Such a file cannot tell of the network {network}.")
    content = save(flatten_dict(stored(variables), sep="/"), metadata={KEY: json.dumps(described)})
    write_atomically(path, lambda file: file.write(content))


class StoredClassifier(NamedTuple):
    """What a file holds.

    Attributes:
        network: to logits.
        variables: of it, float32.
        shape: of its images.
        image_range: of its images.
        facts: "data", "accuracy", and what else is told of it.
    """

    network: CNN
    variables: dict[str, Any]
    shape: tuple[int, int, int]
    image_range: tuple[float, float]
    facts: dict[str, Any]


def shipped_classifier(data: str) -> StoredClassifier:
    """The one that comes with this library for the data set of this name."""
    return stored_classifier(SHIPPED[data], read_weights(SHIPPED[data]))


def shipped_logits(data: str, image_range: tuple[float, float]) -> Callable[[FloatImages], Float[Array, "num classes"]]:
    """That classifier as a function of images in this range and of any size, which can be compiled into others."""
    network, variables, shape, (low, high), _ = shipped_classifier(data)
    black, white = image_range

    def logits(images: FloatImages) -> Float[Array, "num classes"]:
        unit = refitted((images - black) / (white - black), shape, "bicubic")
        return network.apply(variables, low + (high - low) * unit, train=False)

    return logits


def stored_classifier(path: Path, weights: Weights) -> StoredClassifier:
    """That of a file.

    Raises:
        UsageError: the file is damaged.
    """
    try:
        facts = json.loads(weights.metadata[KEY])
        network, shape, image_range = _network_of(facts["network"]), tuple(facts["shape"]), tuple(facts["image_range"])
        wanted = jax.eval_shape(partial(network.init, train=False), jax.random.key(0), jnp.zeros((1, *shape)))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged: its metadata describe no classifier ({error}).") from error
    arrays = {name: array.astype(np.float32) for name, array in weights.arrays.items()}
    expected = {name: leaf.shape for name, leaf in flatten_dict(wanted, sep="/").items()}
    found = {name: array.shape for name, array in arrays.items()}
    if found != expected:
        wrong = sorted(set(found.items()) ^ set(expected.items()))[0][0]
        raise UsageError(
            f"{path} does not hold the classifier that it describes: {wrong} is {found.get(wrong, 'missing')} and not "
            f"{expected.get(wrong, 'expected')}."
        )
    return StoredClassifier(network, unflatten_dict(arrays, sep="/"), shape, image_range, facts)


def _network_of(layers: Mapping[str, Any]) -> CNN:
    blocks = tuple(Block(**block) for block in layers["blocks"])
    return CNN(layers["num_classes"], blocks, hidden=tuple(layers["hidden"]), norm=BatchNorm)


def classifier_features(path: Path, weights: Weights, mesh: Mesh | None = None, resize: Resize = "bicubic") -> Features:
    """What goes into the last layer of the classifier of a file.

    Raises:
        UsageError: the file is damaged.
    """
    network, variables, shape, image_range, facts = stored_classifier(path, weights)
    data, accuracy = (facts.get(name, "unknown") for name in ("data", "accuracy"))
    name = f"{data}_classifier_{weights.sha256[:8]}"
    return cnn_features(
        name,
        f"inputs of the last layer of {name} (accuracy {accuracy}; the number is the beginning of the SHA-256 of "
        f"{path.name})",
        network,
        variables,
        shape=shape,
        image_range=image_range,
        sha256=weights.sha256,
        resize=resize,
        mesh=mesh,
    )


def _stacked_features(data: str, mesh: Mesh | None, resize: Resize) -> Features:
    """Of every colour what goes into the last layer, and the classes of all three: sums of their log-probabilities."""
    path = SHIPPED[data.removeprefix("stacked_")]
    weights = read_weights(path)
    network, variables, (height, width, _), image_range, _ = stored_classifier(path, weights)

    def see(
        variables: Mapping[str, Any], images: Float[Array, "num height width 3"]
    ) -> tuple[Float[Array, "num units"], Float[Array, "num classes"]]:
        colours = jnp.moveaxis(images, -1, 1).reshape(-1, height, width, 1)
        features, logits = (network.apply(variables, colours, train=False, penultimate=p) for p in (True, False))
        red, green, blue = jnp.moveaxis(jax.nn.log_softmax(logits).reshape(len(images), 3, -1), 1, 0)
        classes = red[:, :, None, None] + green[:, None, :, None] + blue[:, None, None, :]
        return features.reshape(len(images), -1), classes.reshape(len(images), -1)

    name = f"{data}_classifier_{weights.sha256[:8]}"
    return network_features(
        name,
        f"inputs of the last layer of {name} for red, green and blue (the number is the beginning of the SHA-256 of "
        f"{path.name})",
        see,
        variables,
        shape=(height, width, 3),
        image_range=image_range,
        sha256=weights.sha256,
        num_classes=network.num_classes**3,
        resize=resize,
        mesh=mesh,
    )


def cnn_features(
    name: str,
    description: str,
    network: CNN,
    variables: Mapping[str, Any],
    *,
    shape: tuple[int, int, int],
    image_range: tuple[float, float],
    sha256: str = "",
    resize: Resize = "bicubic",
    mesh: Mesh | None = None,
) -> Features:
    """What goes into the last layer of a classifier, and its classes; see `network_features`."""

    def see(
        variables: Mapping[str, Any], images: Float[Array, "num height width channels"]
    ) -> tuple[Float[Array, "num units"], Float[Array, "num classes"]]:
        features, logits = (network.apply(variables, images, train=False, penultimate=p) for p in (True, False))
        return features, jax.nn.log_softmax(logits)

    return network_features(
        name,
        description,
        see,
        variables,
        shape=shape,
        image_range=image_range,
        sha256=sha256,
        num_classes=network.num_classes,
        resize=resize,
        mesh=mesh,
    )
