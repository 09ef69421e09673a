"""The step of the classifier in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.peers import NoPeer, peer_of
from benchmarks.peers.base import Batch, Peer, adam
from benchmarks.peers.networks import mirror
from experiments.families.classifiers import ImageClassifier
from gdl_jax.data.spec import DataSpec


@peer_of("classifier")
class ClassifierPeer(Peer):
    """Mirrors `experiments.families.classifiers.ImageClassifier`."""

    def __init__(self, experiment: ImageClassifier, data: DataSpec, device: torch.device):
        if experiment.crop_padding:
            raise NoPeer("shifted images are not written in PyTorch")
        model = experiment.build(data)
        self.classifier = mirror(model.network, data.image_shape).to(device, memory_format=torch.channels_last)
        self.networks = {"classifier": self.classifier}
        self.optimizers = {"classifier": adam([self.classifier], experiment.optimizer)}
        self.image_range, self.label_smoothing = model.image_range, experiment.label_smoothing

    def step(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """See `Peer`."""
        (batch,) = batches
        logits = self.classifier(batch["image"])
        loss = F.cross_entropy(logits, batch["label"], label_smoothing=self.label_smoothing)
        self.optimizers["classifier"].zero_grad()
        loss.backward()
        self.optimizers["classifier"].step()
        return {"classifier": loss.detach()}
