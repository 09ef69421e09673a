"""Networks in whose feature maps images are compared: of a classifier's run, VGG, or with random weights."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.verbs.opening import open_trained
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.layers.convolution import Conv
from gdl_jax.layers.normalisation import BatchNorm
from gdl_jax.losses.perceptual import FeatureMaps
from gdl_jax.models.classifier import Classifier
from gdl_jax.models.dfc_vae import FeatureNetwork
from gdl_jax.networks.cnn import CNN, Block
from gdl_jax.networks.vgg import load_vgg
from gdl_jax.networks.weights import READERS
from gdl_jax.training.export import variables

RANDOM = CNN(1, (Block(16), Block(32, strides=2), Block(64, strides=2)), kernel_init=nn.initializers.he_normal())
"""The network whose weights stay as they are drawn."""

_open_trained = cache(open_trained)
"""Read once, for a model is built several times in a process."""


def open_feature_network(
    features: str, data: DataSpec, *, vgg_layers: tuple[str, ...], experiment_data: str
) -> FeatureNetwork:
    """The network of the setting `features`.

    Args:
        features: "random", the run of a classifier or what `export` made of one, or a file with the weights of VGG-16
            or VGG-19.
        data: the images to compare.
        vgg_layers: of which VGG gives the maps.
        experiment_data: name of the data set, for the commands in errors.

    Raises:
        UsageError: it is none of these, or of a network that does not take such images.
    """
    if features == "random":
        return FeatureNetwork(
            partial(cnn_maps, RANDOM, (0.0, 1.0)),
            lambda: RANDOM.init(jax.random.key(0), jnp.zeros((1, *data.image_shape)), train=False),
            "convolutions with random weights",
        )
    path = Path(features)
    size = data.image_shape[0]
    first = (
        f"python -m experiments.run classifier --data.name {experiment_data} --data.size {size} --workdir runs/features"
    )
    then = "python -m experiments.run dfc_vae --features runs/features"
    if not path.exists() and path.suffix not in READERS:
        raise UsageError(f"There is no {path} to take features from; make it with `{first}`, then `{then}`.")
    trained = _open_trained(path)
    if trained is None:
        network, loaded, sha256 = load_vgg(path, vgg_layers)
        said = f"VGG-{network.depth} of {path.name} (SHA-256 {sha256}), {', '.join(vgg_layers)}"
        return FeatureNetwork(network.apply, lambda: loaded, said)
    model, shape = trained.model, DataSpec.from_json(trained.saved["data"]).image_shape
    if not isinstance(model, Classifier) or not isinstance(model.network, CNN):
        raise UsageError(f"{path} is no run of a convolutional classifier; make one with `{first}`, then `{then}`.")
    if shape != data.image_shape:
        raise UsageError(
            f"The classifier of {path} sees images of {'x'.join(map(str, shape))}, and these are "
            f"{'x'.join(map(str, data.image_shape))}; train another with `{first}`, then `{then}`."
        )
    loaded = jax.tree.map(np.asarray, variables(trained.state))["classifier"]
    maps = partial(cnn_maps, model.network, model.image_range)
    return FeatureNetwork(maps, lambda: loaded, f"blocks of the classifier {path.name}")


def cnn_maps(network: CNN, image_range: tuple[float, float], variables: dict[str, Any], images: Array) -> FeatureMaps:
    """The output of each block of a CNN, before pooling and dropout, for images in [0, 1]."""
    low, high = image_range
    kind = BatchNorm if network.norm else Conv
    _, found = network.apply(
        variables,
        images * (high - low) + low,
        train=False,
        capture_intermediates=lambda module, _: isinstance(module, kind),
        mutable=["intermediates"],
    )
    outputs = [found["intermediates"][f"{kind.__name__}_{i}"]["__call__"][0] for i in range(len(network.blocks))]
    return tuple((network.activation or (lambda x: x))(x).astype(jnp.float32) for x in outputs)
