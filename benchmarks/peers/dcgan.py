"""The DCGAN step in PyTorch: the discriminator first, then the generator against the one just updated."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.peers import NoPeer, peer_of
from benchmarks.peers.base import Peer, adam
from benchmarks.peers.networks import TorchDiscriminator, TorchGenerator
from experiments.gans import TwoPlayer
from gdl_jax.data.spec import DataSpec
from gdl_jax.networks.dcgan import Discriminator, Generator


@peer_of("dcgan")
class DCGANPeer(Peer):
    """Mirrors `experiments.gans.DCGAN`."""

    def __init__(self, experiment: TwoPlayer, data: DataSpec, device: torch.device):
        model = experiment.build(data)
        if type(model.generator) is not Generator or type(model.discriminator) is not Discriminator:
            raise NoPeer("these networks are not written in PyTorch")
        self.generator = TorchGenerator(model.generator, experiment.latent_size)
        self.discriminator = TorchDiscriminator(model.discriminator, data.image_shape)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        for network in self.networks.values():
            network.to(device, memory_format=torch.channels_last)
        self.optimizers = {name: adam([network], experiment.optimizer) for name, network in self.networks.items()}
        self.ema_decay = experiment.ema_decay
        self.averaged = None if self.ema_decay is None else copy.deepcopy(self.generator).requires_grad_(False)
        self.image_range, self.batches_per_step = model.image_range, model.batches_per_step
        self.latent_size, self.device = experiment.latent_size, device
        self.uniform = experiment.latent_distribution == "uniform"

    def step(self, batches: Sequence[Tensor]) -> dict[str, Tensor]:
        """See `Peer`."""
        self.discriminator.requires_grad_(True)
        for real in batches:
            with torch.no_grad():
                fake = self.generator(self.latents(len(real)))
            on_discriminator = self.discriminator_loss(real, fake)
            self.optimizers["discriminator"].zero_grad()
            on_discriminator.backward()
            self.optimizers["discriminator"].step()

        # Its gradients with respect to the images are wanted, those of its parameters are not.
        self.discriminator.requires_grad_(False)
        on_generator = self.generator_loss(self.generator(self.latents(len(batches[0]))))
        self.optimizers["generator"].zero_grad()
        on_generator.backward()
        self.optimizers["generator"].step()
        if self.averaged is not None:
            with torch.no_grad():
                averaged, current = list(self.averaged.parameters()), list(self.generator.parameters())
                torch._foreach_lerp_(averaged, current, 1 - self.ema_decay)
        return {"discriminator": on_discriminator.detach(), "generator": on_generator.detach()}

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Goodfellow et al. 2014, eq. 1."""
        return F.softplus(-self.discriminator(real)).mean() + F.softplus(self.discriminator(fake)).mean()

    def generator_loss(self, fake: Tensor) -> Tensor:
        """Non-saturating: Goodfellow et al. 2014, section 3."""
        return F.softplus(-self.discriminator(fake)).mean()

    def latents(self, num: int) -> Tensor:
        """Draws from the prior."""
        shape = (num, self.latent_size)
        if self.uniform:
            return torch.rand(shape, device=self.device).mul_(2).sub_(1)
        return torch.randn(shape, device=self.device)
