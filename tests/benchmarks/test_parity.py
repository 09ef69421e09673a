"""Our steps against the same steps in PyTorch: outputs, losses, gradients and updated parameters, in float32.

Adam divides a gradient by its size, so that rounding decides over the whole update where a gradient is zero but for it
(a bias before a batch norm). Hence the steps here have an Adam epsilon of 1e-3, above that rounding; its place in the
formula is tested too. Tolerances: outputs 1e-4 relative or 1e-5, losses 1e-5 relative, the gradients' first moments
3e-4 of a network's largest (of up-sampling and batch norm, where sums of 8,192 values nearly cancel, 1e-4 is rounding;
a wrong formula is off by hundredths), updated parameters 5 % of the learning rate (in the mean they move by a quarter
of it or more).
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.peers import NoPeer, load_all
from experiments.families.autoencoders import ConvVAE, PlainAutoencoder
from experiments.families.classifiers import ImageClassifier
from experiments.families.free_gan import FreeGAN
from experiments.families.gans import DCGAN, WGANGP
from gdl_jax.data.source import ArraySource
from gdl_jax.data.spec import DataSpec
from gdl_jax.data.transforms import scale
from gdl_jax.losses.penalties import gradient_penalty
from gdl_jax.models import vae
from gdl_jax.models.gan import GAN
from gdl_jax.networks.cnn import CNN
from gdl_jax.steps.optimizers import Optimizer

torch = pytest.importorskip("torch", reason="PyTorch is not installed; pip install '.[peers]'")
pytestmark = pytest.mark.torch

from benchmarks.peers.base import prepare  # noqa: E402
from benchmarks.peers.layers import copy_parameters, paired  # noqa: E402

BATCH = 8
SMALL = {"batch_size": BATCH, "width": 6, "latent_size": 5}
LSGAN = {"architecture": "valle_digits", "loss": "least_squares"}
SNGAN = {"architecture": "small", "loss": "hinge", "spectral": True, "discriminator_norm": False}
CLIPPED = {"architecture": "dense_norm", "loss": "wasserstein", "weight_limit": 0.05, "ema_decay": None}
PENALISED = {
    "architecture": "dense",
    "penalty": "gradient",
    "latent_distribution": "sphere",
    "discriminator_repeats": 2,
}

CASES = {
    "dcgan-small": ("dcgan", DCGAN(**SMALL), 12, 1),
    "dcgan-radford": ("dcgan", DCGAN(**SMALL, architecture="radford", ema_decay=None), 16, 3),
    "dcgan-valle": ("dcgan", DCGAN(**SMALL, architecture="valle", latent_distribution="uniform"), 16, 3),
    "dcgan-lanham": ("dcgan", DCGAN(**SMALL, architecture="lanham"), 16, 1),
    "dcgan-lanham_upsampling": ("dcgan", DCGAN(**SMALL | {"width": 16}, architecture="lanham_upsampling"), 32, 1),
    "wgan_gp-small": ("wgan_gp", WGANGP(**SMALL, critic_repeats=2), 12, 1),
    "wgan_gp-foster": ("wgan_gp", WGANGP(**SMALL, critic_repeats=1, architecture="foster"), 16, 3),
    "gan-least_squares": ("gan", FreeGAN(**SMALL, **LSGAN), 8, 1),
    "gan-spectral": ("gan", FreeGAN(**SMALL, **SNGAN), 8, 3),
    "gan-clipped": ("gan", FreeGAN(**SMALL, **CLIPPED), 4, 1),
    "gan-penalised": ("gan", FreeGAN(**SMALL, **PENALISED), 4, 1),
    "vae-jiang": ("vae", ConvVAE(batch_size=BATCH, kl_warmup_steps=0), 8, 1),
    "vae-foster": (
        "vae",
        ConvVAE(batch_size=BATCH, architecture="foster", likelihood="squared_error", latent_size=3),
        8,
        3,
    ),
    "vae-mean": ("vae", ConvVAE(batch_size=BATCH, kl_reduce="mean", kl_weight=2.0, kl_warmup_steps=0), 12, 1),
    "vae-kingma": ("vae", ConvVAE(batch_size=BATCH, architecture="kingma", kl_warmup_steps=0), 4, 1),
    "autoencoder-jiang": ("autoencoder", PlainAutoencoder(batch_size=BATCH, code_penalty=0.1), 8, 1),
    "autoencoder-dense": (
        "autoencoder",
        PlainAutoencoder(batch_size=BATCH, architecture="vincent", loss="cross_entropy", latent_size=8),
        4,
        1,
    ),
    "classifier-cnn": ("classifier", ImageClassifier(batch_size=BATCH, width=3), 8, 1),
    "classifier-mlp": ("classifier", ImageClassifier(batch_size=BATCH, width=1, architecture="mlp"), 4, 3),
    "classifier-lanham": ("classifier", ImageClassifier(batch_size=BATCH, architecture="lanham"), 8, 1),
    "classifier-resnet": (
        "classifier",
        ImageClassifier(batch_size=BATCH, width=2, blocks=1, architecture="resnet", label_smoothing=0.1),
        8,
        1,
    ),
}


class Both(NamedTuple):
    before: dict[str, Any]
    after: dict[str, Any]
    outputs: dict[str, Any]
    metrics: Any
    peer: Any
    its_outputs: dict[str, Any]
    losses: dict[str, Any]


def data_of(size, channels):
    arrays = {"image": np.zeros((1, size, size, channels), np.uint8), "label": np.zeros(1, np.int32)}
    return DataSpec.of(ArraySource("noise", arrays, ("one", "two", "three")))


def without_dropout(experiment):
    """The experiment with rates of 0: masks that two programs draw do not agree."""

    def still(network):
        has = {setting.name for setting in fields(network)}
        rates = {name: 0.0 for name in ("dropout_rate", "last_dropout_rate", "hidden_dropout_rate") if name in has}
        return network.clone(
            **rates,
            **({"dropout_rates": ()} if "dropout_rates" in has else {}),
            **({"blocks": tuple(replace(b, dropout_rate=0.0) for b in network.blocks)} if type(network) is CNN else {}),
        )

    class Still(type(experiment)):
        def build(self, data):
            model = super().build(data)
            networks = {s.name: getattr(model, s.name) for s in fields(model)}
            return replace(model, **{name: still(n) for name, n in networks.items() if isinstance(n, nn.Module)})

    return Still(**{setting.name: getattr(experiment, setting.name) for setting in fields(experiment)})


def arbitrary(model, size, channels):
    """A state before the first step, of the model's shapes: every parameter is arbitrary, biases too."""
    batch = {"image": jax.ShapeDtypeStruct((BATCH, size, size, channels), jnp.float32)}
    state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(model.init, jax.random.key(0), batch))
    generator = np.random.default_rng(0)

    def fill(path, x):
        x = 0.1 * generator.standard_normal(x.shape).astype(np.float32)
        return x + 1 if path[-1].key == "scale" else x

    def filled(tree):
        return None if tree is None else jax.tree_util.tree_map_with_path(fill, tree)

    def directions(collections):
        return jax.tree_util.tree_map_with_path(
            lambda path, x: x + np.float32(len(x) ** -0.5) if path[-1].key == "u" else x, collections
        )

    networks = {
        name: network.replace(
            params=filled(network.params), ema=filled(network.ema), collections=directions(network.collections)
        )
        for name, network in state.networks.items()
    }
    return state.replace(networks=networks)


def stepped(name, experiment, size, channels, monkeypatch):
    """One step of ours and one of the peer from the same parameters on the same batches with the same noise.

    Returns:
        Our networks' states before and after it, what they made of the same inputs before it, our metrics; the peer
        after its step, what its networks had made, its losses.
    """
    data = data_of(size, channels)
    model = experiment.build(data)
    state = arbitrary(model, size, channels)
    model, drawn = noting(model, monkeypatch)
    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 256, (model.batches_per_step, BATCH, size, size, channels), np.uint8)
    latents = generator.standard_normal((BATCH, getattr(experiment, "latent_size", 1))).astype(np.float32)
    labels = generator.integers(0, len(data.classes), (model.batches_per_step, BATCH), np.int32)
    peer = load_all()[name](experiment, data, torch.device("cpu"))

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # compiles in two thirds of the time
    def ours(state, pixels, latents, labels, key):
        images = scale(pixels, model.image_range)
        outputs = {
            name: (model.network if name == "classifier" else getattr(model, name)).apply(
                state.networks[name].variables(),
                latents if name in ("generator", "decoder") else images[0],
                train=True,
                mutable=["batch_stats", "spectral"],
            )[0]
            for name in state.networks
        }
        new, metrics = model.step(state, {"image": images, "label": labels}, key)
        return outputs, new, metrics, drawn

    outputs, new, metrics, noise = jax.device_get(ours(state, pixels, latents, labels, jax.random.key(0)))
    for key, network in peer.networks.items():
        copy_parameters(network, state.networks[key].params, state.networks[key].collections.get("spectral"))
    if getattr(peer, "averaged", None) is not None:
        copy_parameters(peer.averaged, state.networks["generator"].ema)
    batches = [
        {"image": prepare(torch.from_numpy(images), peer.image_range), "label": torch.from_numpy(numbers).long()}
        for images, numbers in zip(pixels, labels, strict=True)
    ]
    with torch.no_grad():
        its = {
            name: network(torch.from_numpy(latents) if name in ("generator", "decoder") else batches[0]["image"])
            for name, network in peer.networks.items()
        }
    for method, arrays in noise.items():
        remaining = iter(arrays)
        setattr(peer, method, lambda _, remaining=remaining: torch.from_numpy(next(remaining).copy()))
    losses = peer.step(batches)
    return Both(state.networks, new.networks, outputs, metrics, peer, its, losses)


def noting(model, monkeypatch):
    """The model, and lists to which its step adds the noise that it draws, by the peer's methods that draw it."""
    if isinstance(model, GAN):
        drawn = {"latents": [], "mixing": []}

        class Noted(GAN):
            def sample_latents(self, key, num):
                drawn["latents"].append(super().sample_latents(key, num))
                return drawn["latents"][-1]

        def penalty(critic, real, fake, key):
            drawn["mixing"].append(jax.random.uniform(key, (len(real), 1, 1, 1)).transpose(0, 3, 1, 2))
            return gradient_penalty(critic, real, fake, key)

        fields = {name: getattr(model, name) for name in model.__dataclass_fields__}
        regularisers = tuple(replace(regulariser, penalty=penalty) for regulariser in model.regularisers)
        return Noted(**fields | {"regularisers": regularisers}), drawn

    drawn, original = {"noise": []}, vae.reparameterize

    def reparameterize(mean, log_variance, key):
        drawn["noise"].append(jax.random.normal(key, mean.shape))
        return original(mean, log_variance, key)

    monkeypatch.setattr(vae, "reparameterize", reparameterize)
    return model, drawn


def distances(peer, networks):
    """How far each parameter is from ours."""
    return np.concatenate(
        [
            np.abs(parameter.detach().numpy() - wanted).ravel()
            for name, network in peer.networks.items()
            for _, parameter, wanted in paired(network, networks[name].params)
        ]
    )


def assert_same_gradients(peer, networks):
    moments = {}
    for optimizer in peer.optimizers.values():
        moments |= {id(parameter): state["exp_avg"].numpy() for parameter, state in optimizer.state.items()}
    for name, network in peer.networks.items():
        ours = list(paired(network, networks[name].opt_state[0].mu))
        largest = max(np.abs(wanted).max() for _, _, wanted in ours)
        assert largest > 1e-3
        for path, parameter, wanted in ours:
            error = np.abs(moments[id(parameter)] - wanted).max() / largest
            assert error < 3e-4, f"{name}/{path}: {error:.1e}"


def agree(name, experiment, size, channels, monkeypatch):
    names = [setting.name for setting in fields(experiment) if setting.name.endswith("optimizer")]
    optimizers = {each: replace(getattr(experiment, each), eps=1e-3) for each in names}
    experiment = without_dropout(replace(experiment, **optimizers))
    both = stepped(name, experiment, size, channels, monkeypatch)
    rate = optimizers[names[0]].learning_rate
    assert set(both.peer.networks) == set(both.after)
    for network, wanted in both.outputs.items():
        pairs = zip(in_tuple(both.its_outputs[network]), in_tuple(wanted), strict=True)
        for its, ours in pairs:
            found = its.numpy() if its.ndim < 4 else its.numpy().transpose(0, 2, 3, 1)
            np.testing.assert_allclose(found, ours, rtol=1e-4, atol=1e-5)
    for phase, loss in both.losses.items():
        mean = both.metrics.means[f"{phase}/loss"]
        # Of a repeated phase we have the mean over the repeats, and the peer the last.
        if mean.count == 1:
            assert mean.value() == pytest.approx(loss.item(), rel=1e-5, abs=1e-6)
    assert_same_gradients(both.peer, both.after)
    assert distances(both.peer, both.after).max() < 0.05 * rate
    assert distances(both.peer, both.before).mean() > 0.1 * rate
    return both


def in_tuple(x):
    return x if isinstance(x, tuple) else (x,)


@pytest.mark.parametrize("case", [case for case in CASES if case != "gan-clipped"])
def test_one_step(case, monkeypatch):
    both = agree(*CASES[case], monkeypatch)
    if getattr(both.peer, "averaged", None) is not None:
        for _, parameter, wanted in paired(both.peer.averaged, both.after["generator"].ema):
            np.testing.assert_allclose(parameter, wanted, rtol=1e-5, atol=1e-5)
    for name, network in both.peer.networks.items():
        for path, vector, wanted in paired(network, both.after[name].collections.get("spectral", {})):
            np.testing.assert_allclose(vector, wanted, rtol=1e-4, atol=1e-5, err_msg=path)
            before = both.before[name].collections["spectral"][path.split("/")[0]]["u"]
            assert len(wanted) == 1 or np.abs(wanted - before).max() > 0.01, path


def test_weights_are_clipped(monkeypatch):
    both = agree(*CASES["gan-clipped"], monkeypatch)
    layers = [layer for layer in both.peer.discriminator.modules() if isinstance(layer, torch.nn.Linear)]
    assert max(layer.weight.abs().max().item() for layer in layers) == pytest.approx(0.05)


def test_dropout_is_where_ours_is():
    data, device = data_of(32, 1), torch.device("cpu")
    blocks = load_all()["dcgan"](DCGAN(**SMALL, architecture="lanham_upsampling"), data, device).discriminator.blocks
    kinds = [type(block).__name__ for block in blocks]
    first = ["Conv", "LeakyReLU", "Dropout2d"]
    assert kinds == [*first, "Identity", *[*first, "BatchNorm2d"] * 3]
    assert {block.p for block in blocks if isinstance(block, torch.nn.Dropout2d)} == {0.25}
    classifier = load_all()["classifier"](ImageClassifier(width=2), data, device).classifier
    assert [layer.p for layer in classifier.modules() if isinstance(layer, torch.nn.Dropout)] == [0.5]


@pytest.mark.parametrize(
    ("name", "experiment", "said"),
    [
        ("dcgan", DCGAN(**SMALL, architecture="resnet"), "ResNetGenerator"),
        ("gan", FreeGAN(**SMALL, loss="relativistic"), "the loss relativistic"),
        ("gan", FreeGAN(**SMALL, label_flip=0.1), "label_flip"),
        ("gan", FreeGAN(**SMALL, minibatch_features=3), "minibatch"),
        ("vae", ConvVAE(likelihood="gaussian"), "objective"),
        ("autoencoder", PlainAutoencoder(corruption="gaussian"), "corruption"),
        ("classifier", ImageClassifier(optimizer=Optimizer(weight_decay=0.1)), "weight decay"),
    ],
)
def test_what_has_no_peer_says_so(name, experiment, said):
    with pytest.raises(NoPeer, match=said):
        load_all()[name](experiment, data_of(16, 1), torch.device("cpu"))
