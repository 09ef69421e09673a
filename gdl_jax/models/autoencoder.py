"""The autoencoder (Hinton and Salakhutdinov 2006), and the denoising one (Vincent et al. 2008)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Key, PyTree

from gdl_jax.errors import UsageError
from gdl_jax.losses.likelihood import bernoulli_nll, sum_over_event
from gdl_jax.losses.reconstruction import psnr
from gdl_jax.steps.augmentation import Corruption
from gdl_jax.steps.meters import Metrics
from gdl_jax.steps.phases import Batch, Outcome, Phase, run_phases
from gdl_jax.steps.state import TrainState, init_network

Images = Float[Array, "num height width channels"]
Codes = Float[Array, "num latent"]


@dataclass(frozen=True, kw_only=True)
class Autoencoder:
    """Descends the error of decoder(encoder(x)) against x. It has no prior, and so draws no samples.

    Attributes:
        encoder: (images, train) -> (code, and what else the decoder takes).
        decoder: (code, and what else the encoder gives, train) -> outputs in the shape of the images.
        optimizer: one for both networks.
        loss: "squared_error" of the reconstruction; "cross_entropy" of Bernoullis, whose logits the outputs are, with
            the pixels in [0, 1], in nats.
        reduce: over the pixels of an image: "sum" (Jiang, Vincent et al.) or "mean" (Foster, Lanham). The mean over
            the batch is taken of either.
        image_range: (0, 1): a reconstruction is the sigmoid of the outputs; (-1, 1): their tanh.
        code_penalty: times the squared length of the code is added to the loss, which draws the codes to the origin.
        codes_decode: whether the decoder needs nothing but the code.

    Raises:
        UsageError: a cross-entropy with images that are not in [0, 1].
    """

    encoder: nn.Module
    decoder: nn.Module
    optimizer: optax.GradientTransformation
    loss: Literal["squared_error", "cross_entropy"] = "squared_error"
    reduce: Literal["sum", "mean"] = "mean"
    image_range: tuple[float, float] = (0.0, 1.0)
    code_penalty: float = 0.0
    codes_decode: bool = True

    batches_per_step = 1

    def __post_init__(self):
        if self.image_range != (0.0, 1.0) and self.loss == "cross_entropy":
            raise UsageError("Cross-entropy is of images in [0, 1], and this network's are in [-1, 1].")

    def init(self, key: Key[Array, ""], batch: Batch) -> TrainState:
        """See `Model`."""
        k_encoder, k_decoder = jax.random.split(key)
        options = {"optimizer": self.optimizer, "train": False}
        encoder = init_network(self.encoder, k_encoder, batch["image"], **options)
        codes = self.encoder.apply(encoder.variables(), batch["image"], train=False)
        return TrainState.create(
            {"encoder": encoder, "decoder": init_network(self.decoder, k_decoder, *codes, **options)}
        )

    def phases(self) -> tuple[Phase, ...]:
        """One joint update of both networks."""
        return (Phase(name="autoencoder", trains=("encoder", "decoder"), loss=self._loss),)

    def step(self, state: TrainState, batches: Batch, key: Key[Array, ""]) -> tuple[TrainState, Metrics]:
        """See `Model`."""
        optimizers = {"encoder": self.optimizer, "decoder": self.optimizer}
        return run_phases(self.phases(), optimizers, state, batches, key)

    def encode(self, state: TrainState, images: Images) -> Codes:
        """The codes."""
        return self._encode(state, images)[0]

    def decode(self, state: TrainState, latents: Codes) -> Images:
        """The images of codes, in `image_range`.

        Raises:
            UsageError: the decoder needs more than the code.
        """
        if not self.codes_decode:
            raise UsageError(
                "Unpooling by switches needs an image's own switches, so that codes alone cannot be decoded; train "
                "with --architecture pooling_repeat or pooling_corner."
            )
        return self._images(self._decode(state, latents))

    def reconstruct(self, state: TrainState, images: Images) -> Images:
        """Encoded and decoded."""
        return self._images(self._decode(state, *self._encode(state, images)))

    def evaluate(self, state: TrainState, batch: Batch, key: Key[Array, ""]) -> dict[str, Float[Array, " batch"]]:
        """Per example, with pixels in [0, 1] whatever the range.

        "squared_error": sum over the pixels; "mse": their mean; "cross_entropy": sum over the pixels in nats, where it
        is the loss; "code_squared_length".
        """
        images, (low, high) = batch["image"], self.image_range
        codes = self._encode(state, images)
        outputs = self._decode(state, *codes)
        error = jnp.square((self._images(outputs) - images) / (high - low))
        found = {
            "squared_error": sum_over_event(error),
            "mse": error.mean(axis=(1, 2, 3)),
            "code_squared_length": jnp.square(codes[0]).sum(axis=1),
        }
        if self.loss == "cross_entropy":
            found["cross_entropy"] = bernoulli_nll(outputs, images)
        return found

    def _loss(self, params: dict[str, PyTree], state: TrainState, batch: Batch, key: Array) -> tuple[Array, Outcome]:
        k_seen, k_encoder, k_decoder = jax.random.split(key, 3)
        images = batch["image"]
        codes, encoder_wrote = self._apply("encoder", params, state, k_encoder, self._seen(images, k_seen))
        outputs, decoder_wrote = self._apply("decoder", params, state, k_decoder, *codes)
        reconstruction = self._error(outputs, images).mean()
        length = jnp.square(codes[0]).sum(axis=1).mean()
        wrote = {"encoder": encoder_wrote, "decoder": decoder_wrote}
        metrics = {"reconstruction": reconstruction, "code_squared_length": length}
        return reconstruction + self.code_penalty * length, Outcome(wrote, metrics)

    def _seen(self, images: Images, key: Key[Array, ""]) -> Images:
        """What the encoder sees of them while training."""
        return images

    def _error(self, outputs: Images, images: Images) -> Float[Array, " num"]:
        if self.loss == "cross_entropy":
            total = bernoulli_nll(outputs, images)
        else:
            total = sum_over_event(jnp.square(self._images(outputs) - images))
        return total if self.reduce == "sum" else total / images[0].size

    def _images(self, outputs: Images) -> Images:
        return jax.nn.sigmoid(outputs) if self.image_range == (0.0, 1.0) else jnp.tanh(outputs)

    def _encode(self, state: TrainState, images: Images) -> tuple[Array, ...]:
        return self.encoder.apply(state.networks["encoder"].averaged(), images, train=False)

    def _decode(self, state: TrainState, *codes: Array) -> Images:
        return self.decoder.apply(state.networks["decoder"].averaged(), *codes, train=False)

    def _apply(self, name: str, params: dict[str, PyTree], state: TrainState, key: Array, *inputs: Array) -> tuple:
        """A network's output in training mode, and the collections that this wrote."""
        return state.networks[name].apply_in_training(getattr(self, name), params[name], *inputs, key=key)


@dataclass(frozen=True, kw_only=True)
class DenoisingAutoencoder(Autoencoder):
    """Descends the error of decoder(encoder(noisy x)) against the clean x.

    Attributes:
        corruption: the noise, anew in each step.

    Raises:
        UsageError: images that are not in [0, 1].
    """

    corruption: Corruption

    def __post_init__(self):
        super().__post_init__()
        if self.image_range != (0.0, 1.0):
            raise UsageError("Corruption is of images in [0, 1], and this network's are in [-1, 1].")

    def corrupt(self, images: Images, key: Key[Array, ""]) -> Images:
        """With noise, in [0, 1]."""
        return self.corruption(images, key)

    def evaluate(self, state: TrainState, batch: Batch, key: Key[Array, ""]) -> dict[str, Float[Array, " batch"]]:
        """Of clean images as in `Autoencoder`, and of noisy ones against the clean in dB.

        "psnr_corrupted": of the noisy image itself; "psnr_restored": of its reconstruction.
        """
        images = batch["image"]
        noisy = self.corrupt(images, key)
        restored = self.reconstruct(state, noisy)
        found = {"psnr_corrupted": psnr(noisy, images), "psnr_restored": psnr(restored, images)}
        return super().evaluate(state, batch, key) | found

    def _seen(self, images: Images, key: Key[Array, ""]) -> Images:
        return self.corrupt(images, key)
