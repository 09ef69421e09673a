"""The WGAN-GP step in PyTorch: several updates of the critic, then one of the generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.peers import peer_of
from benchmarks.peers.dcgan import DCGANPeer
from experiments.families.gans import WGANGP
from gdl_jax.data.spec import DataSpec


@peer_of("wgan_gp")
class WGANGPPeer(DCGANPeer):
    """Mirrors `experiments.families.gans.WGANGP`."""

    def __init__(self, experiment: WGANGP, data: DataSpec, device: torch.device):
        super().__init__(experiment, data, device)
        self.penalty_weight = experiment.penalty_weight

    def compile(self) -> str:
        """The critic stays eager: PyTorch 2.13 cannot differentiate a compiled function twice."""
        self.generator.compile()
        return "generator"

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Gulrajani et al. 2017, eq. 3."""
        distance = self.discriminator(real).mean() - self.discriminator(fake).mean()
        return self.penalty_weight * gradient_penalty(self.discriminator, real, fake, self.mixing(len(real))) - distance

    def generator_loss(self, fake: Tensor) -> Tensor:
        """Arjovsky et al. 2017, eq. 2."""
        return -self.discriminator(fake).mean()

    def mixing(self, num: int) -> Tensor:
        """Where between a real and a generated image the slope is taken."""
        return torch.rand((num, 1, 1, 1), device=self.device)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, t: Tensor) -> Tensor:
    """The second term of Gulrajani et al. 2017, eq. 3, without its weight."""
    between = (t * real + (1 - t) * fake).requires_grad_()
    (slopes,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    norms = slopes.square().sum(dim=(1, 2, 3)).add(1e-12).sqrt()
    return (norms - 1).square().mean()
