"""What every peer has: networks, a step, and batches gathered from images that live on the device."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure import Contestant
from benchmarks.peers import NoPeer, load_all
from benchmarks.subject import PREPARED, Subject
from experiments.hardware import cores
from gdl_jax.data.order import Order
from gdl_jax.steps.optimizers import Optimizer

Batch = Mapping[str, Tensor]
"""Images (batch, channels, height, width) as "image", and where the data have them labels (batch,) as "label"."""


class Peer(ABC):
    """A training step in PyTorch."""

    networks: dict[str, nn.Module]
    """By the names that the experiment's model has for them."""
    optimizers: dict[str, torch.optim.Optimizer]
    """By phase."""
    image_range: tuple[float, float]
    batches_per_step: int = 1

    @abstractmethod
    def step(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """One training step on `batches_per_step` batches; its losses by phase."""

    def compile(self) -> str:
        """Compiles what `torch.compile` can compile, and says what that is."""
        for network in self.networks.values():
            network.compile()
        return ", ".join(self.networks)


def adam(networks: Iterable[nn.Module], settings: Optimizer) -> torch.optim.Adam:
    """The optimiser with an experiment's settings; fused is the fastest of PyTorch's three on CPU too.

    Raises:
        NoPeer: it has a schedule or weight decay, or is no Adam.
    """
    parameters = [parameter for network in networks for parameter in network.parameters()]
    plain = {"learning_rate": settings.learning_rate, "b1": settings.b1, "b2": settings.b2, "eps": settings.eps}
    if settings != Optimizer(**plain):
        raise NoPeer("weight decay, schedules and other rules than Adam are not written in PyTorch")
    return torch.optim.Adam(parameters, settings.learning_rate, (settings.b1, settings.b2), settings.eps, fused=True)


def prepare(images: Tensor, image_range: tuple[float, float]) -> Tensor:
    """Uint8 (batch, height, width, channels) -> float32 in channels-last memory, scaled."""
    low, high = image_range
    return images.permute(0, 3, 1, 2).to(torch.float32).mul_((high - low) / 255).add_(low)


def contestants(subject: Subject) -> tuple[dict[str, Contestant], list[str]]:
    """The peers of a subject that run, by name, and remarks on those and on what does not."""
    name = subject.name.split()[0]
    builder = load_all().get(name)
    if builder is None:
        return {}, [f"{name} has no peer"]
    device = _device(subject)
    found, remarks = {}, []
    for variant in ("torch_eager", "torch_compile"):
        try:
            peer = builder(subject.experiment, subject.data, device)
            if variant == "torch_compile":
                remarks.append(f"torch_compile compiles: {peer.compile()}")
            contestant = _contestant(peer, subject, device)
            with warnings.catch_warnings():
                # PyTorch's compiler warns of its own internals.
                warnings.simplefilter("ignore")
                contestant.advance(1)
        except NoPeer as reason:
            return {}, [f"{name} has no peer with these settings: {reason}"]
        except Exception as error:
            # The compiler fails in too many ways to name; what it said goes into the record.
            if variant == "torch_eager":
                raise
            remarks = [f"torch_compile does not work: {type(error).__name__}: {str(error).splitlines()[0]}"]
            continue
        found[variant] = contestant
    return found, remarks


def _device(subject: Subject) -> torch.device:
    torch.set_num_threads(cores())
    if subject.mesh.devices.flat[0].platform == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise NoPeer("this PyTorch has no accelerator")
    # As XLA does by default.
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda")


def _contestant(peer: Peer, subject: Subject, device: torch.device) -> Contestant:
    """Steps on noise, as `Subject.synthetic` takes them: images, labels and indices wait on the device."""
    settings, source = subject.experiment, subject.source
    shape = (len(source), *subject.data.image_shape)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, np.uint8)).to(device)
    classes = max(1, len(subject.data.classes))
    labels = torch.arange(len(source), device=device) % classes
    order = Order(len(source), settings.batch_size, settings.seed)
    indices = order.indices(0, PREPARED * peer.batches_per_step).reshape(PREPARED, peer.batches_per_step, -1)
    prepared = torch.from_numpy(indices.astype(np.int64)).to(device)
    payloads = _cycle(prepared)
    mixed = settings.dtype == "bfloat16"

    def advance(calls: int) -> None:
        for _ in range(calls):
            batches = [
                {"image": prepare(images[rows], peer.image_range), "label": labels[rows]} for rows in next(payloads)
            ]
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                peer.step(batches)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return Contestant(advance)


def _cycle(payloads: Tensor) -> Iterator[Tensor]:
    while True:
        yield from payloads
