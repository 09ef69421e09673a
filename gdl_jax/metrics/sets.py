"""What measures compare: two sets of images, and what is seen of them, taken when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, UInt8

from gdl_jax.errors import UsageError
from gdl_jax.metrics.decoder import Decoder
from gdl_jax.metrics.features import Features, Seen
from gdl_jax.metrics.frechet import Moments, moments
from gdl_jax.metrics.order import ORDER, ORDER_OF_DRAWN, random_order, reordered
from gdl_jax.metrics.path_length import PathSettings
from gdl_jax.metrics.spill import blocks

Images = UInt8[np.ndarray, "_num _height _width _channels"]


@dataclass(frozen=True)
class Sets:
    """What is compared.

    Attributes:
        real: images of data that no model was trained on.
        fake: samples.
        features: in which they are seen.
        train: images that the model was trained on; None where they are not known.
        shares: of the classes in `real`, which add up to 1; None where they are not known.
        looked: gives what the features see of `real`, where it may be known already.
        decoder: of the generator; None where it is not known.
        path: settings of perceptual path length.
        drawn: whether samples come as a model draws them, each by itself. Then they keep their places, for on other
            devices a pixel may be rounded otherwise, and an order by content would be another for this one pixel.
    """

    real: Images
    fake: Images
    features: Features
    train: Images | None = None
    shares: Float[np.ndarray, " _classes"] | None = None
    looked: Callable[[], Seen] | None = None
    decoder: Decoder | None = None
    path: PathSettings = field(default_factory=PathSettings)
    drawn: bool = False

    @property
    def order(self) -> str:
        """For the protocol."""
        return ORDER_OF_DRAWN if self.drawn else ORDER

    def shuffled(self) -> Sets:
        """The same images in an order that does not depend on theirs: see `random_order`."""
        of_real = random_order(self.real)
        of_fake = np.random.default_rng(0).permutation(len(self.fake)) if self.drawn else random_order(self.fake)

        def looked() -> Seen:
            return Seen(*(x if x is None else reordered(x, of_real) for x in self.looked()))

        return replace(
            self,
            real=reordered(self.real, of_real),
            fake=reordered(self.fake, of_fake),
            looked=None if self.looked is None else looked,
        )

    @cached_property
    def seen_real(self) -> Float[np.ndarray, "num units"]:
        """Features of the data."""
        found = self.features.look(self.real) if self.looked is None else self.looked()
        return finite(found.features, "data")

    @cached_property
    def moments_of_real(self) -> Moments:
        """Of the features of the data."""
        return moments(self.seen_real)

    @cached_property
    def _looked_fake(self) -> Seen:
        return self.features.look(self.fake)

    @cached_property
    def seen_fake(self) -> Float[np.ndarray, "num units"]:
        """Features of the samples."""
        return finite(self._looked_fake.features, "samples")

    @cached_property
    def seen_train(self) -> Float[np.ndarray, "num units"]:
        """Features of the images that the model was trained on.

        Raises:
            UsageError: they are not known.
        """
        if self.train is None:
            raise UsageError("This measure needs the training images; it is one of `evaluate`, not of two folders.")
        return finite(self.features.of(self.train), "training images")

    @property
    def known_decoder(self) -> Decoder:
        """The generator's map from latent vectors to images.

        Raises:
            UsageError: it is not known.
        """
        if self.decoder is None:
            raise UsageError("This measure needs a model with latent vectors; it is one of `evaluate`.")
        return self.decoder

    @property
    def classes_of_fake(self) -> Float[np.ndarray, "num classes"]:
        """Log-probabilities of the samples' classes."""
        return finite(self._looked_fake.log_probabilities, "samples")


def finite(features: Float[np.ndarray, "num units"], what: str) -> Float[np.ndarray, "num units"]:
    """The features, if they are numbers.

    Raises:
        UsageError: some are not.
    """
    wrong = sum(int((~np.isfinite(part)).any(1).sum()) for part in blocks(features))
    if wrong:
        raise UsageError(f"The features of {wrong} of {len(features)} {what} are not finite; the network is damaged.")
    return features
