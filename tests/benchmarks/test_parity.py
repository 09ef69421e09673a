"""Our steps against the same steps in PyTorch: outputs, losses, gradients and updated parameters, in float32.

Adam divides a gradient by its size, so that rounding decides over the whole update where a gradient is zero but for it
(a bias before a batch norm). Hence the steps here have an Adam epsilon of 1e-3, above that rounding; its place in the
formula is tested too. Tolerances: outputs 1e-4 relative or 1e-5, losses 1e-5 relative, the gradients' first moments
2e-5 of a network's largest, updated parameters 1 % of the learning rate (in the mean they move by a quarter of it or
more).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.peers import NoPeer, load_all
from experiments.autoencoders import ConvVAE
from experiments.gans import DCGAN, WGANGP
from gdl_jax.data.source import ArraySource
from gdl_jax.data.spec import DataSpec
from gdl_jax.data.transforms import scale
from gdl_jax.losses.penalties import gradient_penalty
from gdl_jax.models import vae
from gdl_jax.models.gan import GAN

torch = pytest.importorskip("torch", reason="PyTorch is not installed; pip install '.[peers]'")

from benchmarks.peers.base import prepare  # noqa: E402
from benchmarks.peers.networks import copy_parameters, paired  # noqa: E402

BATCH = 8
INPUTS = {"dcgan": ("latents", "images"), "wgan_gp": ("latents", "images"), "vae": ("images", "latents")}
"""Of the two networks in their order."""

SMALL = {"batch_size": BATCH, "width": 6, "latent_size": 5}

GANS = {
    "dcgan-small": ("dcgan", DCGAN(**SMALL), 12, 1),
    "dcgan-radford": ("dcgan", DCGAN(**SMALL, architecture="radford", ema_decay=None), 16, 3),
    "dcgan-valle": ("dcgan", DCGAN(**SMALL, architecture="valle", latent_distribution="uniform"), 16, 3),
    "dcgan-lanham": ("dcgan", DCGAN(**SMALL, architecture="lanham"), 16, 1),
    "wgan_gp-small": ("wgan_gp", WGANGP(**SMALL, critic_repeats=2), 12, 1),
    "wgan_gp-foster": ("wgan_gp", WGANGP(**SMALL, critic_repeats=1, architecture="foster"), 16, 3),
}

VAES = {
    "jiang": (ConvVAE(batch_size=BATCH, kl_warmup_steps=0), 8, 1),
    "foster": (ConvVAE(batch_size=BATCH, architecture="foster", likelihood="squared_error", latent_size=3), 8, 3),
    "mean": (ConvVAE(batch_size=BATCH, kl_reduce="mean", kl_weight=2.0, kl_warmup_steps=0), 12, 1),
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
    return DataSpec.of(ArraySource("noise", {"image": np.zeros((1, size, size, channels), np.uint8)}))


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

    networks = {
        name: network.replace(params=filled(network.params), ema=filled(network.ema))
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
    latents = generator.standard_normal((BATCH, experiment.latent_size)).astype(np.float32)
    peer = load_all()[name](experiment, data, torch.device("cpu"))
    inputs = dict(zip(peer.networks, INPUTS[name], strict=True))

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # compiles in two thirds of the time
    def ours(state, pixels, latents, key):
        images = scale(pixels, model.image_range)
        outputs = {
            name: getattr(model, name).apply(
                state.networks[name].variables(),
                latents if takes == "latents" else images[0],
                train=True,
                mutable=["batch_stats"],
            )[0]
            for name, takes in inputs.items()
        }
        new, metrics = model.step(state, {"image": images}, key)
        return outputs, new, metrics, drawn

    outputs, new, metrics, noise = jax.device_get(ours(state, pixels, latents, jax.random.key(0)))
    for key, network in peer.networks.items():
        copy_parameters(network, state.networks[key].params)
    if getattr(peer, "averaged", None) is not None:
        copy_parameters(peer.averaged, state.networks["generator"].ema)
    batches = [prepare(torch.from_numpy(batch), peer.image_range) for batch in pixels]
    with torch.no_grad():
        its = {
            name: network(torch.from_numpy(latents) if inputs[name] == "latents" else batches[0])
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
            assert error < 2e-5, f"{name}/{path}: {error:.1e}"


def agree(name, experiment, size, channels, monkeypatch):
    experiment = replace(experiment, optimizer=replace(experiment.optimizer, eps=1e-3))
    both = stepped(name, experiment, size, channels, monkeypatch)
    rate = experiment.optimizer.learning_rate
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
    assert distances(both.peer, both.after).max() < 0.01 * rate
    assert distances(both.peer, both.before).mean() > 0.1 * rate
    return both


def in_tuple(x):
    return x if isinstance(x, tuple) else (x,)


@pytest.mark.parametrize("case", GANS)
def test_two_players(case, monkeypatch):
    both = agree(*GANS[case], monkeypatch)
    if both.peer.averaged is not None:
        for _, parameter, wanted in paired(both.peer.averaged, both.after["generator"].ema):
            np.testing.assert_allclose(parameter, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("case", VAES)
def test_autoencoders(case, monkeypatch):
    agree("vae", *VAES[case], monkeypatch)


def test_what_has_no_peer_says_so():
    data = data_of(16, 1)
    with pytest.raises(NoPeer, match="norm after the activation"):
        load_all()["dcgan"](DCGAN(**SMALL, architecture="lanham_upsampling"), data, torch.device("cpu"))
