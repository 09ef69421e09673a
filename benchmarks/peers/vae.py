"""The step of the variational autoencoder in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.peers import NoPeer, peer_of
from benchmarks.peers.base import Batch, Peer, adam
from benchmarks.peers.networks import mirror
from experiments.families.autoencoders import ConvVAE
from gdl_jax.data.spec import DataSpec


@peer_of("vae")
class VAEPeer(Peer):
    """Mirrors `experiments.families.autoencoders.ConvVAE`."""

    def __init__(self, experiment: ConvVAE, data: DataSpec, device: torch.device):
        model = experiment.build(data)
        options = (experiment.free_bits, experiment.importance_samples - 1)
        if experiment.likelihood not in ("bernoulli", "squared_error") or any(options):
            raise NoPeer("this objective is not written in PyTorch")
        self.encoder = mirror(model.encoder, data.image_shape)
        self.decoder = mirror(model.decoder, experiment.latent_size)
        self.networks = {"encoder": self.encoder, "decoder": self.decoder}
        for network in self.networks.values():
            network.to(device, memory_format=torch.channels_last)
        self.optimizers = {"vae": adam(self.networks.values(), experiment.optimizer)}
        self.image_range, self.settings = model.image_range, experiment
        self.steps = 0

    def step(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """See `Peer`."""
        images = batches[0]["image"]
        mean, log_variance = self.encoder(images)
        latents = mean + torch.exp(0.5 * log_variance) * self.noise(mean)
        reconstruction = self.reconstruction_loss(self.decoder(latents), images)
        per_dimension = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        kl = getattr(per_dimension, self.settings.kl_reduce)(dim=1).mean()
        warmth = min(self.steps / self.settings.kl_warmup_steps, 1.0) if self.settings.kl_warmup_steps else 1.0
        loss = reconstruction + self.settings.kl_weight * warmth * kl
        self.steps += 1
        self.optimizers["vae"].zero_grad()
        loss.backward()
        self.optimizers["vae"].step()
        return {"vae": loss.detach()}

    def reconstruction_loss(self, logits: Tensor, images: Tensor) -> Tensor:
        """-log p(x|z) per image, or the weighted mean squared error."""
        if self.settings.likelihood == "bernoulli":
            return F.binary_cross_entropy_with_logits(logits, images, reduction="sum") / len(images)
        return self.settings.reconstruction_weight * F.mse_loss(torch.sigmoid(logits), images)

    def noise(self, mean: Tensor) -> Tensor:
        """N(0, 1) in the shape of the latents."""
        return torch.randn_like(mean)
