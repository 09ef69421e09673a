"""The step of the autoencoder in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.peers import NoPeer, peer_of
from benchmarks.peers.base import Batch, Peer, adam
from benchmarks.peers.networks import mirror
from experiments.families.autoencoders import PlainAutoencoder
from gdl_jax.data.spec import DataSpec


@peer_of("autoencoder")
class AutoencoderPeer(Peer):
    """Mirrors `experiments.families.autoencoders.PlainAutoencoder`."""

    def __init__(self, experiment: PlainAutoencoder, data: DataSpec, device: torch.device):
        if experiment.corruption != "none" or experiment.weight_penalty:
            raise NoPeer("corruption and a penalty on the weights are not written in PyTorch")
        model = experiment.build(data)
        self.encoder = mirror(model.encoder, data.image_shape)
        self.decoder = mirror(model.decoder, experiment.latent_size)
        self.networks = {"encoder": self.encoder, "decoder": self.decoder}
        for network in self.networks.values():
            network.to(device, memory_format=torch.channels_last)
        self.optimizers = {"autoencoder": adam(self.networks.values(), experiment.optimizer)}
        self.image_range, self.settings = model.image_range, experiment

    def step(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """See `Peer`."""
        images = batches[0]["image"]
        (code,) = self.encoder(images)
        error = self.error(self.decoder(code), images)
        if self.settings.reduce == "mean":
            error = error / images[0].numel()
        loss = error + self.settings.code_penalty * code.square().sum(dim=1).mean()
        self.optimizers["autoencoder"].zero_grad()
        loss.backward()
        self.optimizers["autoencoder"].step()
        return {"autoencoder": loss.detach()}

    def error(self, outputs: Tensor, images: Tensor) -> Tensor:
        """Per image, summed over the pixels."""
        if self.settings.loss == "cross_entropy":
            return F.binary_cross_entropy_with_logits(outputs, images, reduction="sum") / len(images)
        decoded = torch.sigmoid(outputs) if self.image_range == (0.0, 1.0) else torch.tanh(outputs)
        return F.mse_loss(decoded, images, reduction="sum") / len(images)
