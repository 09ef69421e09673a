"""The alternating step in PyTorch with any loss that does not compare images with each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.peers import NoPeer, peer_of
from benchmarks.peers.dcgan import DCGANPeer
from benchmarks.peers.wgan_gp import WGANGPPeer, gradient_penalty
from experiments.families.free_gan import FreeGAN
from experiments.registry import Experiment
from gdl_jax.data.spec import DataSpec
from gdl_jax.steps.optimizers import Optimizer

Elementwise = Callable[[Tensor], Tensor]

LOSSES: dict[str, tuple[Elementwise, Elementwise, Elementwise]] = {
    "non_saturating": (lambda r: F.softplus(-r), F.softplus, lambda f: F.softplus(-f)),
    "minimax": (lambda r: F.softplus(-r), F.softplus, lambda f: -F.softplus(f)),
    "least_squares": (lambda r: (r - 1).square() / 2, lambda f: f.square() / 2, lambda f: (f - 1).square() / 2),
    "wasserstein": (torch.neg, lambda f: f, torch.neg),
    "hinge": (lambda r: F.relu(1 - r), lambda f: F.relu(1 + f), torch.neg),
    "boundary_seeking": (lambda r: F.softplus(-r), F.softplus, lambda f: f.square() / 2),
}
"""What is paid for a logit: by the discriminator of a real and of a generated image, and by the generator.

The formulas and their papers are in `gdl_jax.losses.adversarial`.
"""

WRITTEN = {
    *("architecture", "width", "latent_size", "latent_distribution", "ema_decay", "loss", "penalty", "penalty_weight"),
    *("weight_limit", "spectral", "discriminator_norm", "generator_dropout", "minibatch_features", "instance_norm"),
    *("discriminator_repeats", "generator_optimizer", "discriminator_optimizer"),
}
"""The settings that are followed here or in the networks; of the others beside a run's own none may be changed."""


@peer_of("gan")
class GANPeer(DCGANPeer):
    """Mirrors `experiments.families.free_gan.FreeGAN`."""

    def __init__(self, experiment: FreeGAN, data: DataSpec, device: torch.device):
        if experiment.loss not in LOSSES:
            raise NoPeer(f"the loss {experiment.loss} is not written in PyTorch")
        if experiment.penalty not in ("none", "gradient"):
            raise NoPeer(f"the penalty {experiment.penalty} is not written in PyTorch")
        plain, own = FreeGAN(), {setting.name for setting in fields(Experiment)}
        for name in {setting.name for setting in fields(FreeGAN)} - own - WRITTEN:
            if getattr(experiment, name) != getattr(plain, name):
                raise NoPeer(f"{name} is not written in PyTorch")
        super().__init__(experiment, data, device)
        self.real, self.fake, self.deceive = LOSSES[experiment.loss]
        self.penalty_weight = experiment.penalty_weight if experiment.penalty == "gradient" else 0.0
        self.weight_limit = experiment.weight_limit

    def settings(self, experiment: FreeGAN) -> dict[str, Optimizer]:
        """See `DCGANPeer`."""
        return {"generator": experiment.generator_optimizer, "discriminator": experiment.discriminator_optimizer}

    def compile(self) -> str:
        """See `WGANGPPeer`."""
        return WGANGPPeer.compile(self) if self.penalty_weight else super().compile()

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """See `LOSSES`; with the penalty, if there is one."""
        loss = self.real(self.discriminator(real)).mean() + self.fake(self.discriminator(fake)).mean()
        if self.penalty_weight:
            loss += self.penalty_weight * gradient_penalty(self.discriminator, real, fake, self.mixing(len(real)))
        return loss

    def generator_loss(self, fake: Tensor) -> Tensor:
        """See `LOSSES`."""
        return self.deceive(self.discriminator(fake)).mean()

    @torch.no_grad()
    def constrain(self) -> None:
        """Arjovsky et al. 2017, algorithm 1."""
        super().constrain()
        if self.weight_limit is None:
            return
        for parameter in self.discriminator.parameters():
            parameter.clamp_(-self.weight_limit, self.weight_limit)

    def mixing(self, num: int) -> Tensor:
        """See `WGANGPPeer`."""
        return torch.rand((num, 1, 1, 1), device=self.device)
