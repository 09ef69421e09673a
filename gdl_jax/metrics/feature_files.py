"""Features by the name of a data set or of a weight file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jax.typing import DTypeLike

from gdl_jax.errors import UsageError
from gdl_jax.metrics.classifiers import SHIPPED, STACKED, classifier_features, is_classifier, shipped_features
from gdl_jax.metrics.features import PIXELS, RAW_PIXELS, Features, Resize, network_features
from gdl_jax.networks.cnn import CNN, Block
from gdl_jax.networks.inception import LOGITS, SIZE, InceptionV3, from_torch, is_inception
from gdl_jax.networks.vgg import SIZE as VGG_SIZE
from gdl_jax.networks.vgg import convolutions, has_head, is_vgg, vgg_of
from gdl_jax.networks.weights import Weights, read_weights

RANDOM = "random"

BUILT_IN = (PIXELS.name, RAW_PIXELS.name, RANDOM, *SHIPPED, *STACKED)
"""The names of features that come with this library: pixels, an untrained network, and the classifiers of data sets."""


def open_features(name: str, mesh: Mesh | None = None, resize: Resize = "bicubic") -> Features:
    """Features that come with this library, or those of the network whose weights a file holds.

    Args:
        name: of `BUILT_IN`, or the path of a file with the weights of Inception v3, VGG-16, VGG-19, or a classifier of
            this library; which it is, its arrays tell.
        mesh: the devices; all of them by default.
        resize: filter for images of another size than the network's.

    Raises:
        UsageError: see `read_weights`; the file is of another network, or damaged.
    """
    known: dict[str, Callable[[], Features]] = {
        PIXELS.name: lambda: PIXELS,
        RAW_PIXELS.name: lambda: RAW_PIXELS,
        RANDOM: lambda: random_features(mesh, resize),
    }
    if name in known:
        return known[name]()
    if name in (*SHIPPED, *STACKED):
        return shipped_features(name, mesh, resize)
    path = Path(name)
    weights = read_weights(path)
    for recognises, features in (
        (is_classifier, classifier_features),
        (is_inception, inception_features),
        (is_vgg, vgg_features),
    ):
        if recognises(weights):
            return features(path, weights, mesh, resize)
    raise UsageError(
        f"{path} holds the weights of no network whose features are known here; these are Inception v3 (such as "
        "pt_inception-2015-12-05-6726825d.pth), VGG-16 and VGG-19 (torchvision's or Keras'), and classifiers of this "
        "library."
    )


def random_features(mesh: Mesh | None = None, resize: Resize = "bicubic") -> Features:
    """Those of a small network that nothing was taught: for trying out tools, and to see what an untrained one sees."""
    network, shape = CNN(10, (Block(32, pool=2), Block(64, pool=2)), hidden=(64,)), (32, 32, 3)
    variables = jax.jit(lambda: network.init(jax.random.key(0), jnp.zeros((1, *shape)), train=False))()
    digest = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(variables))).hexdigest()
    return network_features(
        f"{RANDOM}_network_{digest[:8]}",
        "64 units of an untrained convolutional network with random weights (seed 0), whose distances mean little",
        lambda variables, images: (network.apply(variables, images, train=False, penultimate=True), None),
        variables,
        shape=shape,
        image_range=(-1.0, 1.0),
        sha256=digest,
        resize=resize,
        mesh=mesh,
    )


def inception_features(
    path: Path,
    weights: Weights,
    mesh: Mesh | None = None,
    resize: Resize = "bicubic",
    dtype: DTypeLike = jnp.float32,
) -> Features:
    """Those of Inception v3; see `inception_network_features`.

    Raises:
        UsageError: see `from_torch`.
    """
    name = f"inception_{weights.sha256[:8]}"
    return inception_network_features(name, from_torch(path, weights), weights.sha256, mesh, resize, dtype)


def inception_network_features(
    name: str,
    variables: dict[str, Any],
    sha256: str,
    mesh: Mesh | None = None,
    resize: Resize = "bicubic",
    dtype: DTypeLike = jnp.float32,
) -> Features:
    """Inputs of the last layer of Inception v3, and its classes.

    These are told by the softmax without the biases of the last layer, as the code of Salimans et al. 2016 takes it,
    and all that publishes inception scores after it.

    Args:
        name: of the features; another dtype than float32 is added to it.
        variables: of `InceptionV3`.
        sha256: of its weights.
        mesh: the devices; all of them by default.
        resize: filter for images of another size.
        dtype: of the network's computations; published distances are of float32.
    """
    network, computed = InceptionV3(dtype=dtype), jnp.dtype(dtype).name

    def see(variables: dict[str, Any], images: Array) -> tuple[Array, Array]:
        found = network.apply(variables, images)
        return found.features, jax.nn.log_softmax(found.logits - variables["params"]["fc"]["bias"][None])

    return network_features(
        name if computed == "float32" else f"{name}_{computed}",
        "2,048 means of the last maps of Inception v3 in the form of the Frechet Inception distance, computed in "
        f"{computed}; classes by its softmax without the biases of the last layer",
        see,
        variables,
        shape=(SIZE, SIZE, 3),
        image_range=(-1.0, 1.0),
        sha256=sha256,
        num_classes=LOGITS,
        resize=resize,
        mesh=mesh,
    )


def vgg_features(path: Path, weights: Weights, mesh: Mesh | None = None, resize: Resize = "bicubic") -> Features:
    """Those of VGG: the second fully connected layer, or where a file has none the means of the last maps.

    The first are the features of improved precision and recall (Kynkaanniemi et al. 2019, section 3, with VGG-16).

    Raises:
        UsageError: see `load_vgg`.
    """
    whole = has_head(weights)
    depth = vgg_of(path, weights, ("relu1_1",)).network.depth
    layers = ("relu7", "logits") if whole else (f"relu{convolutions(depth)[-1][0]}",)
    network, variables, sha256 = vgg_of(path, weights, layers)

    def see(variables: dict[str, Any], images: Array) -> tuple[Array, Array | None]:
        maps = network.apply(variables, images)
        return (maps[0], jax.nn.log_softmax(maps[1])) if whole else (maps[0].mean((1, 2)), None)

    what = f"{network.units:,} units of the second fully connected layer" if whole else "512 means of the last maps"
    return network_features(
        f"vgg{network.depth}_{sha256[:8]}",
        f"{what} of VGG-{network.depth} ({network.origin}'s training)",
        see,
        variables,
        shape=(VGG_SIZE, VGG_SIZE, 3),
        image_range=(0.0, 1.0),
        sha256=sha256,
        num_classes=network.classes if whole else 0,
        resize=resize,
        mesh=mesh,
    )
