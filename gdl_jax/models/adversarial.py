"""Two players that descend in turn (Goodfellow et al. 2014); what differs between such models is in the fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Int, Key, PyTree

from gdl_jax.losses.adversarial import AdversarialLoss
from gdl_jax.losses.classification import softmax_cross_entropy
from gdl_jax.losses.labels import Labels
from gdl_jax.losses.penalties import Penalty
from gdl_jax.steps.constraints import clip_weights
from gdl_jax.steps.ema import update_ema
from gdl_jax.steps.meters import Metrics
from gdl_jax.steps.phases import Batch, Outcome, Phase, batches_per_step, run_phases
from gdl_jax.steps.state import TrainState, init_network

View = Callable[[Array, Array, Array], Array]
"""(images, key, step) -> what the discriminator gets to see of them."""

Losses = tuple[Float[Array, ""], Outcome]


@dataclass(frozen=True, kw_only=True)
class Regulariser:
    """A penalty on the discriminator's slope.

    Attributes:
        penalty: see `penalties`.
        weight: what it is multiplied by.
        interval: 1 adds it to every update of the discriminator; n gives it a phase of its own in every n-th step, with
            n times the weight (lazy regularisation; the optimiser has to be corrected for it, see `Optimizer.build`).
        name: in the metrics; of several regularisers of a model each has its own.
    """

    penalty: Penalty
    weight: float
    interval: int = 1
    name: str = "penalty"


@dataclass(frozen=True, kw_only=True)
class ClassTerms:
    """Cross-entropy of the classes that the discriminator tells: Odena et al. 2017 (AC-GAN, arXiv:1610.09585), eq. 3.

    There the discriminator descends it on real and generated images and the generator on its own, all with weight 1;
    the authors of WGAN-GP have weights 1, 0 and 0.1 (code of Gulrajani et al. 2017 for CIFAR-10).

    Attributes:
        on_real: weight in the discriminator's loss.
        on_fake: likewise.
        generator: weight in the generator's loss.
    """

    on_real: float = 1.0
    on_fake: float = 1.0
    generator: float = 1.0


class Judgement(NamedTuple):
    """What a discriminator says of images; `classes` are logits, None where it tells no classes."""

    logits: Float[Array, "batch ..."]
    classes: Float[Array, "batch classes"] | None = None


class Examples(NamedTuple):
    """What a batch gives both players."""

    inputs: tuple[Array, ...]
    """Of the generator."""
    real: Array
    """Images that its own are to be like."""
    labels: Int[Array, " batch"] | None = None


class Made(NamedTuple):
    """What the generator made of examples in training mode."""

    examples: Examples
    images: Array
    collections: PyTree
    """Those that this wrote."""


class Round(NamedTuple):
    """What both players look at in one update of the discriminator."""

    real: Array
    fake: Array
    labels: Int[Array, " batch"] | None
    step: Array


@dataclass(frozen=True, kw_only=True)
class AdversarialModel(ABC):
    """The alternating step: the discriminator (or critic) first, then the generator against the one just updated.

    Real and generated images pass through the discriminator in calls of their own, so that batch normalisation sees
    them apart (Radford et al. 2016); the generator normalises with the batch's statistics in both phases. Of the
    discriminator's collections those of its call on real images are kept, of the generator's those of its own phase.
    Generated images have the labels of the real ones, so that penalties between the two stay in a class. What the
    generator makes images of, a subclass says: `_examples`.

    Attributes:
        generator: (*inputs, train) -> images in `image_range`.
        discriminator: (images, train) or (images, labels, train) -> logits, one or more per image; with `class_terms`
            those and the classes' logits.
        optimizers: for "generator" and "discriminator".
        loss: of the logits.
        image_range: of the images.
        class_terms: of a discriminator that tells classes; None where there is none.
        regularisers: penalties on the discriminator's slope.
        weight_limit: see `clip_weights`; after each update of the discriminator. None for no limit.
        labels: what the discriminator is told instead of real and generated; None for just that.
        views: what the discriminator sees of images, real and generated, in both phases; one after the other.
        joint_batches: one call of the discriminator on real and generated images together, as one batch.
        discriminator_repeats: updates of the discriminator for one of the generator, each on a batch of its own.
        generator_repeats: likewise of the generator.
        generator_batches: an update of the generator makes so many times the images of a batch, and the real ones are
            repeated (Gulrajani et al. 2017 have 128 for the critic's 64 on CIFAR-10).
        generator_due: of a step, whether the generator is updated in it (`head_start`); None for every step. Averages,
            labels and views go by steps all the same.
        ema_decay: of the generator's averaged parameters, with which images are made after training; None for no
            average.

    Raises:
        ValueError: two regularisers have the same name.
    """

    generator: nn.Module
    discriminator: nn.Module
    optimizers: Mapping[str, optax.GradientTransformation]
    loss: AdversarialLoss
    image_range: tuple[float, float] = (-1.0, 1.0)
    class_terms: ClassTerms | None = None
    regularisers: tuple[Regulariser, ...] = ()
    weight_limit: float | None = None
    labels: Labels | None = None
    views: tuple[View, ...] = ()
    joint_batches: bool = False
    discriminator_repeats: int = 1
    generator_repeats: int = 1
    generator_batches: int = 1
    generator_due: Callable[[Array], Array] | None = None
    ema_decay: float | None = None

    sampling_networks = ("generator",)

    def __post_init__(self):
        names = [regulariser.name for regulariser in self.regularisers]
        if len(set(names)) < len(names):
            raise ValueError(f"Regularisers have to differ in their names, and these are {', '.join(names)}.")

    @property
    def batches_per_step(self) -> int:
        """See `Model`."""
        return batches_per_step(self.phases())

    def init(self, key: Key[Array, ""], batch: Batch) -> TrainState:
        """See `Model`."""
        examples = self._examples(batch, key)
        shown = self._round(Made(examples, examples.real, {}), jnp.zeros((), jnp.int32))
        inputs = {"generator": examples.inputs, "discriminator": with_labels(shown.real, shown.labels)}
        networks = {
            name: init_network(
                getattr(self, name),
                jax.random.fold_in(key, i),
                *given,
                optimizer=self.optimizers[name],
                averaged=name == "generator" and self.ema_decay is not None,
                train=False,
            )
            for i, (name, given) in enumerate(inputs.items())
        }
        return TrainState.create(networks)

    def phases(self) -> tuple[Phase, ...]:
        """The discriminator's updates, those of its lazy regularisers, and the generator's."""
        lazy = [regulariser for regulariser in self.regularisers if regulariser.interval > 1]
        trained = {
            "trains": ("discriminator",),
            "constraint": None if self.weight_limit is None else clip_weights(self.weight_limit),
        }
        return (
            Phase(name="discriminator", loss=self._discriminate, repeats=self.discriminator_repeats, **trained),
            *(Phase(name=r.name, loss=partial(self._regularise, r), interval=r.interval, **trained) for r in lazy),
            Phase(
                name="generator",
                trains=("generator",),
                loss=self._generate,
                repeats=self.generator_repeats,
                due=self.generator_due,
            ),
        )

    def step(self, state: TrainState, batches: Batch, key: Key[Array, ""]) -> tuple[TrainState, Metrics]:
        """See `Model`."""
        state, metrics = run_phases(self.phases(), self.optimizers, state, batches, key)
        return (state if self.ema_decay is None else update_ema(state, self.ema_decay)), metrics

    def _discriminate(self, params: dict[str, PyTree], state: TrainState, batch: Batch, key: Array) -> Losses:
        always = [regulariser for regulariser in self.regularisers if regulariser.interval == 1]
        k_fake, k_on_real, k_on_fake, k_views, k_labels, k_penalties = jax.random.split(key, 6)
        shown = self._show(state, batch, k_fake, k_views)
        on_real, on_fake, collections = self._judge_both(
            params["discriminator"], state, shown, (k_on_real, k_on_fake), joint=self.joint_batches
        )
        metrics = {"logit_real": on_real.logits.mean(), "logit_fake": on_fake.logits.mean()}
        if self.labels is None:
            loss = self.loss.discriminator(on_real.logits, on_fake.logits)
        else:
            loss = self.labels.discriminator_loss(self.loss, on_real.logits, on_fake.logits, k_labels, state.step)
        if self.loss.by_label is not None:
            # The halves of the loss with plain labels; so called, the report draws them beside the whole.
            metrics["real/loss"] = self.loss.by_label.real(on_real.logits).mean()
            metrics["fake/loss"] = self.loss.by_label.fake(on_fake.logits).mean()
        if self.loss.boundary is not None:
            metrics["accuracy_real"] = (on_real.logits > self.loss.boundary).mean()
            metrics["accuracy_fake"] = (on_fake.logits < self.loss.boundary).mean()
        for regulariser, keys in zip(always, jax.random.split(k_penalties, (len(always), 2)), strict=True):
            penalty = self._penalty(regulariser, params["discriminator"], state, shown, keys)
            loss += regulariser.weight * penalty
            metrics[regulariser.name] = penalty
        if self.class_terms is not None:
            of_real = softmax_cross_entropy(on_real.classes, shown.labels).mean()
            of_fake = softmax_cross_entropy(on_fake.classes, shown.labels).mean()
            loss += self.class_terms.on_real * of_real + self.class_terms.on_fake * of_fake
            metrics |= {"cross_entropy_real": of_real, "cross_entropy_fake": of_fake}
        return loss, Outcome({"discriminator": collections}, metrics)

    def _regularise(
        self, regulariser: Regulariser, params: dict[str, PyTree], state: TrainState, batch: Batch, key: Array
    ) -> Losses:
        k_fake, k_views, *keys = jax.random.split(key, 4)
        shown = self._show(state, batch, k_fake, k_views)
        return regulariser.weight * self._penalty(regulariser, params["discriminator"], state, shown, keys), Outcome()

    def _generate(self, params: dict[str, PyTree], state: TrainState, batch: Batch, key: Array) -> Losses:
        made, loss = self._deceive(params["generator"], state, batch, key)
        return loss, Outcome({"generator": made.collections})

    def _deceive(self, params: PyTree, state: TrainState, batch: Batch, key: Array) -> tuple[Made, Float[Array, ""]]:
        """What the generator made, and what it pays for what the discriminator says of that."""
        k_fake, k_on_real, k_on_fake, k_views = jax.random.split(key, 4)
        made = self._make(params, state, self._of_generator(batch), k_fake)
        shown = self._seen(self._round(made, state.step), k_views)
        # Only relativistic losses look at the real logits; for the others the compiler drops this call.
        on_real, on_fake, _ = self._judge_both(
            state.networks["discriminator"].params, state, shown, (k_on_real, k_on_fake), joint=self.joint_batches
        )
        loss = self.loss.generator(on_real.logits, on_fake.logits)
        if self.class_terms is not None:
            loss += self.class_terms.generator * softmax_cross_entropy(on_fake.classes, shown.labels).mean()
        return made, loss

    def _of_generator(self, batch: Batch) -> Batch:
        """What its phase sees of a batch."""
        return jax.tree.map(lambda x: jnp.concatenate([x] * self.generator_batches), batch)

    @abstractmethod
    def _examples(self, batch: Batch, key: Array) -> Examples:
        """What the generator is given, and what it is to make the like of."""

    def _make(self, params: PyTree, state: TrainState, batch: Batch, key: Array) -> Made:
        """What the generator with these parameters makes of a batch, in training mode."""
        k_examples, k_dropout = jax.random.split(key)
        examples = self._examples(batch, k_examples)
        network = state.networks["generator"]
        images, collections = network.apply_in_training(self.generator, params, *examples.inputs, key=k_dropout)
        return Made(examples, images, collections)

    def _round(self, made: Made, step: Array) -> Round:
        """What the discriminator is to tell apart, before the views."""
        return Round(made.examples.real, made.images, made.examples.labels, step)

    def _show(self, state: TrainState, batch: Batch, k_fake: Array, k_views: Array) -> Round:
        """The batch and images of the generator as it is, as the discriminator sees them."""
        made = self._make(state.networks["generator"].params, state, batch, k_fake)
        return self._seen(self._round(made, state.step), k_views)

    def _seen(self, shown: Round, key: Array) -> Round:
        for i, view in enumerate(self.views):
            k_real, k_fake = jax.random.split(jax.random.fold_in(key, i))
            real, fake = view(shown.real, k_real, shown.step), view(shown.fake, k_fake, shown.step)
            shown = shown._replace(real=real, fake=fake)
        return shown

    def _penalty(
        self, regulariser: Regulariser, params: PyTree, state: TrainState, shown: Round, keys: Iterable[Array]
    ) -> Float[Array, ""]:
        k_penalty, k_penalised = keys

        def critic(images: Array) -> Array:
            return self._judge(params, state, images, shown.labels, k_penalised)[0].logits

        return regulariser.penalty(critic, shown.real, shown.fake, k_penalty)

    def _judge(
        self, params: PyTree, state: TrainState, images: Array, labels: Array | None, key: Array
    ) -> tuple[Judgement, PyTree]:
        """What the discriminator says in training mode, and the collections that this wrote."""
        network = state.networks["discriminator"]
        said, wrote = network.apply_in_training(self.discriminator, params, *with_labels(images, labels), key=key)
        return (Judgement(said) if self.class_terms is None else Judgement(*said)), wrote

    def _judge_both(
        self, params: PyTree, state: TrainState, shown: Round, keys: Sequence[Array], *, joint: bool
    ) -> tuple[Judgement, Judgement, PyTree]:
        """Of the real and of the generated images, and the collections that are to be kept."""
        judge = partial(self._judge, params, state)
        if not joint:
            on_real, collections = judge(shown.real, shown.labels, keys[0])
            return on_real, judge(shown.fake, shown.labels, keys[1])[0], collections
        labels = None if shown.labels is None else jnp.concatenate([shown.labels] * 2)
        both, collections = judge(jnp.concatenate([shown.real, shown.fake]), labels, keys[0])
        num = len(shown.real)
        return jax.tree.map(lambda x: x[:num], both), jax.tree.map(lambda x: x[num:], both), collections


def with_labels(x: Array, labels: Array | None) -> tuple[Array, ...]:
    """What a network is given that takes labels where there are any."""
    return (x,) if labels is None else (x, labels)
