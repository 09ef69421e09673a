"""What the experiments from images to images build, and what they refuse."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from experiments.families.image_to_image import ImageDenoisingGAN
from gdl_jax.data.source import ArraySpec
from gdl_jax.data.spec import DataSpec
from gdl_jax.networks.summary import count
from gdl_jax.training.program import abstract_batch


def built(settings, side, channels):
    """The model for images of this size, and its state as shapes."""
    data = DataSpec({"image": ArraySpec((side, side, channels), np.dtype(np.uint8))}, (), 1000)
    model = settings.build(data)
    return model, jax.eval_shape(model.init, jax.random.key(0), abstract_batch(data.arrays, 4, model))


def block(width):
    """Two 3x3 convolutions with biases, scales and offsets."""
    return 2 * (9 * width * width + 3 * width)


# Generator: a convolution to w, halvings to w and 2w, six blocks, doublings to 2w and w, a convolution to the colours.
# Discriminator: 1x1 from the colours, three blocks, 4x4, one unit. All of the first but the last convolution have a
# norm: of the second those in blocks.
VALLE = {
    "generator": (27 + 3) * 64 + (9 * 64 + 3) * 64 + (9 * 64 + 3) * 128 + 6 * block(128)
    + (9 * 128 + 3) * 128 + (9 * 128 + 3) * 64 + (9 * 64 + 1) * 3,
    "discriminator": 4 * 64 + 3 * block(64) + (16 * 64 + 1) * 64 + 65,
}  # fmt: skip
STATISTICS = {"generator": 2 * (64 + 64 + 128 + 12 * 128 + 128 + 64), "discriminator": 2 * 6 * 64}


def test_the_networks_of_the_text():
    settings = ImageDenoisingGAN.presets()["valle"]
    assert settings.data.name == "cifar10"
    model, state = built(settings, 32, 3)
    assert {name: count(network.params) for name, network in state.networks.items()} == VALLE
    assert {name: count(network.collections) for name, network in state.networks.items()} == STATISTICS
    assert model.l1_weight == 100
    for optimizer in (settings.generator_optimizer, settings.discriminator_optimizer):
        assert (optimizer.rule, optimizer.learning_rate, optimizer.b1, optimizer.b2) == ("adam", 2e-4, 0.5, 0.999)


@pytest.mark.parametrize(("side", "halved"), [(8, 1), (16, 2), (28, 2), (32, 3), (64, 4)])
def test_the_discriminator_halves_an_image_while_it_can(side, halved):
    model, state = built(ImageDenoisingGAN(width=2, conditional=True, halvings=1), side, 1)
    assert model.discriminator.blocks == halved
    # 4x4 pixels are left; of 28x28 there are 7x7, of which the last convolution makes 4x4.
    units = 2 * (side // 2**halved - 3) ** 2 + 1
    # It sees the noisy image beside the other one.
    wanted = (2 + 1) * 2 + halved * block(2) + (16 * 2 + 1) * 2 + units
    assert count(state.networks["discriminator"].params) == wanted


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--data.size", "18"], "18x18 cannot be halved so often; lower --halvings"),
        (["--data.size", "8", "--halvings", "5"], "set --data.size to a power of two, such as 32"),
        (["--halvings", "0"], "--halvings is 0"),
        (["--l1-weight", "-1"], "--l1-weight is -1.0; it has to be 0 or more"),
        (["--corruption-amount", "nan"], "--corruption-amount is nan"),
        (["--corruption", "masking", "--corruption-amount", "1.5"], "a share has to be from 0 to 1"),
        (["--ema-decay", "1"], "--ema-decay is 1.0"),
    ],
)
def test_mistakes_are_one_sentence(words, fragment, launch, says, tmp_path):
    workdir = tmp_path / "run"
    says(launch("denoising_gan", "--preset", "smoke", "--workdir", workdir, *words), fragment)
    assert not workdir.exists()
