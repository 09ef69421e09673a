"""What two-player GANs are put together of, as settings: losses, penalties, constraints and tricks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, ClassVar, Literal

import flax.linen as nn
import optax

from experiments.families.gan_architectures import Pair, without_batch_norm
from experiments.families.gans import TwoPlayer
from gdl_jax.data.source import DataSettings
from gdl_jax.data.spec import DataSpec
from gdl_jax.errors import UsageError
from gdl_jax.layers.normalisation import InstanceNorm
from gdl_jax.losses import adversarial, relativistic
from gdl_jax.losses.adversarial import AdversarialLoss
from gdl_jax.losses.labels import Labels
from gdl_jax.losses.penalties import Penalty, dragan, drift, gradient_penalty, r1, r2
from gdl_jax.models.adversarial import Regulariser, View
from gdl_jax.models.gan import GAN, GreyLevels
from gdl_jax.models.monitored_gan import MonitoredGAN
from gdl_jax.networks.conditional import LabelledGenerator
from gdl_jax.networks.dcgan import Downsampling, leaky_relu
from gdl_jax.networks.dense_gan import DenseDiscriminator
from gdl_jax.steps.augmentation import Change, diff_augment, instance_noise
from gdl_jax.steps.head_start import head_start
from gdl_jax.steps.optimizers import Optimizer

Loss = Literal[
    "non_saturating",
    "minimax",
    "least_squares",
    "wasserstein",
    "hinge",
    "boundary_seeking",
    "relativistic",
    "relativistic_average",
    "relativistic_average_one_term",
    "relativistic_average_least_squares",
    "relativistic_average_hinge",
]

LOSSES: dict[str, Callable[[], AdversarialLoss]] = {
    "non_saturating": adversarial.non_saturating,
    "minimax": adversarial.minimax,
    "least_squares": adversarial.least_squares,
    "wasserstein": adversarial.wasserstein,
    "hinge": adversarial.hinge,
    "boundary_seeking": adversarial.boundary_seeking,
    "relativistic": relativistic.relativistic,
    "relativistic_average": relativistic.relativistic_average,
    "relativistic_average_one_term": partial(relativistic.relativistic_average, real_term=False),
    "relativistic_average_least_squares": relativistic.relativistic_average_least_squares,
    "relativistic_average_hinge": relativistic.relativistic_average_hinge,
}

PenaltyName = Literal["none", "gradient", "one_sided_gradient", "dragan", "r1", "r2"]

PENALTIES: dict[str, Penalty] = {
    "gradient": gradient_penalty,
    "one_sided_gradient": partial(gradient_penalty, one_sided=True),
    "dragan": dragan,
    "r1": r1,
    "r2": r2,
}

LABELS: dict[str, dict[str, tuple[float, float]]] = {
    "plain": {},
    "one_sided": {"real": (0.9, 0.9)},
    "inward": {"real": (0.95, 1.0)},
    "both": {"real": (0.7, 1.2), "fake": (0.0, 0.3)},
}


@dataclass(frozen=True, kw_only=True)
class Freely(TwoPlayer):
    """What a GAN can be put together of."""

    loss: Loss = "non_saturating"
    """What the players descend; see gdl_jax/losses/adversarial.py and relativistic.py."""
    targets: tuple[float, float, float] = (0.0, 1.0, 1.0)
    """Of least squares: a and b, what the discriminator is to give generated and real images, and c, what the generator
    wants it to give; -1 1 0 for the divergence of Pearson."""
    penalty: PenaltyName = "none"
    """On the discriminator's slope; see gdl_jax/losses/penalties.py."""
    penalty_weight: float = 10.0
    """Of the penalty; gamma of R1 and R2."""
    penalty_target: float = 1.0
    """Norm of the slope that gradient penalties and DRAGAN want."""
    penalty_interval: int = 1
    """The penalty in every so many steps only, as much stronger."""
    drift_weight: float = 0.0
    """Of the mean square of the logits of real images, which keeps a critic's scores from drifting."""
    weight_limit: float | None = None
    """All of the discriminator's parameters are clipped to it after each update; None for no limit."""
    spectral: bool = False
    """Divide the discriminator's kernels by their largest singular values."""
    discriminator_norm: bool = True
    """Batch norm in the discriminator, where the architecture has one."""
    instance_norm: bool = False
    """Instead of it a norm of every channel of every image alone, which mixes no images; convolutions only."""
    generator_dropout: float = 0.0
    """Share of the units of the generator's hidden layers that training sets to zero."""
    discriminator_dropout: float | None = None
    """Likewise of the discriminator's; None for that of the architecture."""
    discriminator_activation: Literal["given", "relu", "leaky_relu"] = "given"
    """Of the discriminator's hidden layers: the architecture's; ReLU; or leaky with a slope of 0.2 below 0."""
    downsampling: Downsampling = "strided"
    """How the discriminator's convolutions shrink images: by their strides, or by pools behind them."""
    kernel: int | None = None
    """Side of the kernels of all convolutions with a stride, in both networks; None for those of the architecture."""
    grey_levels: GreyLevels = "given"
    """Of the real images: 256; spread evenly up to the next one, as those of generated images are; or two, black and
    white."""
    minibatch_features: int = 0
    """Numbers that tell the discriminator how alike the images of a batch are; 0 for none."""
    joint_batches: bool = False
    """Real and generated images in one batch of the discriminator."""
    label_noise: Literal["plain", "one_sided", "inward", "both"] = "plain"
    """Labels of real and generated images: 1 and 0; 0.9 and 0; from 0.95 to 1 and 0; from 0.7 to 1.2 and to 0.3."""
    label_flip: float = 0.0
    """Share of the images, real and generated, with the wrong label."""
    instance_noise: float = 0.0
    """Deviation of the noise on the discriminator's images at the first step."""
    fading_steps: int = 0
    """Steps in which that noise and the changes to the labels fall to nothing; 0 for never."""
    augment: tuple[Change, ...] = ()
    """Random changes of the discriminator's images, real and generated."""
    discriminator_repeats: int = 1
    """Updates of the discriminator in a step."""
    generator_repeats: int = 1
    """Updates of the generator in a step."""
    generator_batches: int = 1
    """Such an update makes so many times the images of a batch."""
    critic_head_start: bool = False
    """The generator waits until the discriminator has had 100 updates, before each of its own first 25 steps and before
    every 500th of them, as in the code of WGAN's authors."""
    monitor_slope: bool = False
    """Measure at every evaluation what the discriminator says of test images and of samples, and how steep it is
    between them; takes two or three seconds more to compile."""
    recalibration_batches: int = 0
    """Batches of which an averaged generator's batch norms take their statistics for sampling; 0 for running ones."""
    generator_optimizer: Optimizer = field(default_factory=lambda: adam(2e-4))
    discriminator_optimizer: Optimizer = field(default_factory=lambda: adam(2e-4))

    positive: ClassVar[tuple[str, ...]] = (
        *TwoPlayer.positive,
        "penalty_interval",
        "discriminator_repeats",
        "generator_repeats",
        "generator_batches",
    )
    not_negative: ClassVar[tuple[str, ...]] = (
        "penalty_weight",
        "drift_weight",
        "instance_noise",
        "fading_steps",
        "minibatch_features",
        "recalibration_batches",
    )

    def __post_init__(self):
        super().__post_init__()
        if not self.penalty_target > 0:
            raise UsageError(f"--penalty-target is {self.penalty_target}; it has to be above 0.")
        if self.weight_limit is not None and not self.weight_limit > 0:
            raise UsageError(f"--weight-limit is {self.weight_limit}; it has to be above 0, or None.")
        if not 0 <= self.label_flip <= 1:
            raise UsageError(f"--label-flip is {self.label_flip}; it has to be from 0 to 1.")
        for name in ("generator_dropout", "discriminator_dropout"):
            if not 0 <= (rate := getattr(self, name) or 0.0) < 1:
                raise UsageError(f"--{name.replace('_', '-')} is {rate}; it has to be from 0 to below 1.")
        if self.kernel is not None and self.kernel < 1:
            raise UsageError(f"--kernel is {self.kernel}; it has to be 1 or more.")
        if self._changes_labels() and LOSSES[self.loss]().by_label is None:
            raise UsageError(f"--loss {self.loss} compares images and has no labels that --label-noise could change.")

    def pair(self, data: DataSpec) -> Pair:
        """See `TwoPlayer`; with the kernels that were chosen."""
        pair = super().pair(data)
        return pair if self.kernel is None else Pair(*(self._with_kernel(network) for network in pair))

    def model(self, kind: type[GAN], pair: Pair, **further: Any) -> GAN:
        """The model of these networks, with what was chosen for the rest."""
        interval = self.penalty_interval if self.penalty != "none" else 1
        if self.monitor_slope:
            if kind is not GAN:
                raise UsageError("--monitor-slope is for GANs of all classes and of images with greys.")
            kind = MonitoredGAN
        return kind(
            generator=self._dropping(pair.generator),
            discriminator=pair.discriminator,
            optimizers={
                "generator": self.generator_optimizer.build(),
                "discriminator": self.discriminator_optimizer.build(interval),
            },
            loss=self._loss(),
            regularisers=self._regularisers(),
            weight_limit=self.weight_limit,
            labels=self._labels() if self._changes_labels() else None,
            views=self.views(),
            joint_batches=self.joint_batches,
            discriminator_repeats=self.discriminator_repeats,
            generator_repeats=self.generator_repeats,
            generator_batches=self.generator_batches,
            grey_levels=self.grey_levels,
            generator_due=head_start(self.discriminator_repeats) if self.critic_head_start else None,
            recalibration_batches=self.recalibration_batches,
            **self.prior(),
            **further,
        )

    def judge(self, network: nn.Module) -> nn.Module:
        """The discriminator with what was chosen of its layers, norms, and comparison within the batch."""
        if self.discriminator_dropout is not None:
            dense = isinstance(network, DenseDiscriminator)
            rate = (self.discriminator_dropout,) * len(network.features) if dense else self.discriminator_dropout
            network = self._with(
                network, "discriminator_dropout", **{"dropout_rates" if dense else "dropout_rate": rate}
            )
        if self.discriminator_activation != "given":
            activation = {"relu": nn.relu, "leaky_relu": leaky_relu}[self.discriminator_activation]
            network = self._with(network, "discriminator_activation", activation=activation)
        if self.downsampling != "strided":
            network = self._with(network, "downsampling", downsampling=self.downsampling)
        if not self.discriminator_norm or self.instance_norm:
            network = without_batch_norm(network)
        if self.spectral:
            network = network.clone(spectral=True)
        if self.minibatch_features:
            network = self._with(network, "minibatch_features", minibatch_features=self.minibatch_features)
        mixes = self.minibatch_features or getattr(network, "norm", None) is not None
        if self.instance_norm:
            if isinstance(network, DenseDiscriminator):
                raise self._cannot_take("instance_norm")
            network = self._with(network, "instance_norm", norm=InstanceNorm)
        if mixes and self.penalty != "none":
            raise UsageError(
                f"--penalty {self.penalty} is on the slope at single images, which batch norm and minibatch features "
                "mix; set --discriminator-norm False and leave --minibatch-features at 0."
            )
        return network

    def _dropping(self, generator: nn.Module) -> nn.Module:
        if not self.generator_dropout:
            return generator
        if isinstance(generator, LabelledGenerator):
            return generator.clone(generator=self._dropping(generator.generator))
        return self._with(generator, "generator_dropout", dropout_rate=self.generator_dropout)

    def _with_kernel(self, network: nn.Module) -> nn.Module:
        strides = getattr(network, "strides", ())
        kernels = getattr(network, "kernels", ())
        chosen = [self.kernel if stride > 1 else kernel for kernel, stride in zip(kernels, strides, strict=True)]
        return self._with(network, "kernel", kernels=tuple(chosen))

    def _with(self, network: nn.Module, option: str, **settings: Any) -> nn.Module:
        """The network with other settings; where it has no such, the option is a mistake."""
        if not settings.keys() <= {setting.name for setting in fields(network)}:
            raise self._cannot_take(option)
        return network.clone(**settings)

    def _cannot_take(self, option: str) -> UsageError:
        return UsageError(f"The {self.architecture} networks cannot take --{option.replace('_', '-')}.")

    def _loss(self) -> AdversarialLoss:
        if self.loss != "least_squares":
            return LOSSES[self.loss]()
        return adversarial.least_squares(**dict(zip("abc", self.targets, strict=True)))

    def _regularisers(self) -> tuple[Regulariser, ...]:
        found = []
        if self.penalty != "none":
            targeted = self.penalty in ("gradient", "one_sided_gradient", "dragan")
            penalty = PENALTIES[self.penalty]
            penalty = partial(penalty, target=self.penalty_target) if targeted else penalty
            found.append(Regulariser(penalty=penalty, weight=self.penalty_weight, interval=self.penalty_interval))
        if self.drift_weight:
            found.append(Regulariser(penalty=drift, weight=self.drift_weight, name="drift"))
        return tuple(found)

    def _changes_labels(self) -> bool:
        return self.label_noise != "plain" or self.label_flip > 0

    def _labels(self) -> Labels:
        return Labels(**LABELS[self.label_noise], flip=self.label_flip, strength=self._fading(1.0))

    def views(self) -> tuple[View, ...]:
        """What the discriminator sees of images."""
        views = [diff_augment(self.augment)] if self.augment else []
        return (*views, instance_noise(self._fading(self.instance_noise))) if self.instance_noise else tuple(views)

    def _fading(self, value: float) -> optax.Schedule:
        return optax.linear_schedule(value, 0.0, self.fading_steps) if self.fading_steps else lambda step: value


def adam(learning_rate: float, b1: float = 0.5, b2: float = 0.999, **settings: Any) -> Optimizer:
    """Adam as GANs have it."""
    return Optimizer(learning_rate=learning_rate, b1=b1, b2=b2, **settings)


def rmsprop(learning_rate: float, *, decay: float = 0.9, eps: float = 1e-7) -> Optimizer:
    """RMSprop, with Keras' decay and epsilon; PyTorch's are 0.99 and 1e-8."""
    return Optimizer(rule="rmsprop", learning_rate=learning_rate, b2=decay, eps=eps)


def both(optimizer: Optimizer) -> dict[str, Optimizer]:
    """One optimiser's settings for both players."""
    return {"generator_optimizer": optimizer, "discriminator_optimizer": optimizer}


FASHION = DataSettings(name="fashion_mnist", size=32)
CIFAR10 = DataSettings(name="cifar10")
FACES = DataSettings(name="celeb_a", size=64)

PLAIN: dict[str, Any] = {"latent_size": 100, "ema_decay": None, "evaluate_every": 5000}
"""What the texts have in common."""

WGAN_GP: dict[str, Any] = {
    "loss": "wasserstein",
    "penalty": "gradient",
    "discriminator_norm": False,
    "discriminator_repeats": 5,
}
