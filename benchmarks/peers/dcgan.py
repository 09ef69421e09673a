"""The DCGAN step in PyTorch: the discriminator first, then the generator against the one just updated."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.peers import peer_of
from benchmarks.peers.base import Batch, Peer, adam
from benchmarks.peers.layers import keep
from benchmarks.peers.networks import mirror
from experiments.families.gans import TwoPlayer
from gdl_jax.data.spec import DataSpec
from gdl_jax.steps.ema import WARM_UP
from gdl_jax.steps.optimizers import Optimizer


@peer_of("dcgan")
class DCGANPeer(Peer):
    """Mirrors `experiments.families.gans.DCGAN`."""

    def __init__(self, experiment: TwoPlayer, data: DataSpec, device: torch.device):
        model = experiment.build(data)
        self.generator = mirror(model.generator, experiment.latent_size)
        self.discriminator = mirror(model.discriminator, data.image_shape)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        for network in self.networks.values():
            network.to(device, memory_format=torch.channels_last)
        self.optimizers = {
            name: adam([self.networks[name]], settings) for name, settings in self.settings(experiment).items()
        }
        self.ema_decay, self.steps = experiment.ema_decay, 0
        self.averaged = None if self.ema_decay is None else copy.deepcopy(self.generator).requires_grad_(False)
        self.image_range, self.batches_per_step = model.image_range, model.batches_per_step
        self.latent_size, self.device = experiment.latent_size, device
        self.distribution = experiment.latent_distribution

    def settings(self, experiment: TwoPlayer) -> dict[str, Optimizer]:
        """Of the two optimisers."""
        return dict.fromkeys(self.networks, experiment.optimizer)

    def step(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """See `Peer`."""
        self.discriminator.requires_grad_(True)
        for batch in batches:
            real = batch["image"]
            with torch.no_grad():
                fake = self.generator(self.latents(len(real)))
            on_discriminator = self.discriminator_loss(real, fake)
            self.optimizers["discriminator"].zero_grad()
            on_discriminator.backward()
            self.optimizers["discriminator"].step()
            self.constrain()

        # Its gradients with respect to the images are wanted, those of its parameters are not.
        self.discriminator.requires_grad_(False)
        on_generator = self.generator_loss(self.generator(self.latents(len(real))))
        self.optimizers["generator"].zero_grad()
        on_generator.backward()
        self.optimizers["generator"].step()
        self.steps += 1
        if self.averaged is not None:
            with torch.no_grad():
                averaged, current = list(self.averaged.parameters()), list(self.generator.parameters())
                decay = min(self.ema_decay, self.steps / (self.steps + WARM_UP))
                torch._foreach_lerp_(averaged, current, 1 - decay)
        return {"discriminator": on_discriminator.detach(), "generator": on_generator.detach()}

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Goodfellow et al. 2014, eq. 1."""
        return F.softplus(-self.discriminator(real)).mean() + F.softplus(self.discriminator(fake)).mean()

    def generator_loss(self, fake: Tensor) -> Tensor:
        """Non-saturating: Goodfellow et al. 2014, section 3."""
        return F.softplus(-self.discriminator(fake)).mean()

    def constrain(self) -> None:
        """What is done to the discriminator after each of its updates."""
        keep(self.discriminator)

    def latents(self, num: int) -> Tensor:
        """Draws from the prior."""
        shape = (num, self.latent_size)
        if self.distribution == "uniform":
            return torch.rand(shape, device=self.device).mul_(2).sub_(1)
        latents = torch.randn(shape, device=self.device)
        return latents if self.distribution == "normal" else F.normalize(latents) * self.latent_size**0.5
