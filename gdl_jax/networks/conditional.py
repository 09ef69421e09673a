"""Labels for networks that know none: what stands around a generator or a discriminator of any architecture."""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from gdl_jax.layers.fusion import Fuse, Fusion
from gdl_jax.layers.initializers import Initializer, glorot_uniform
from gdl_jax.layers.spectral_norm import SpectralDense, SpectralEmbed

embedding_init: Initializer = nn.initializers.normal(1.0)
"""N(0, 1), PyTorch's for embeddings."""


class LabelledGenerator(nn.Module):
    """Brings an embedding of the label into the latent vector: Mirza and Osindero 2014 (arXiv:1411.1784).

    Attributes:
        generator: (latents, train) -> images.
        num_classes: labels.
        embedding: length of a label's vector.
        fusion: how it comes to the latent vector.
    """

    generator: nn.Module
    num_classes: int
    embedding: int = 10
    fusion: Fusion = "concat"

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch latent"], labels: Int[Array, " batch"], *, train: bool
    ) -> Float[Array, "batch height width channels"]:
        """Images of these classes."""
        e = nn.Embed(self.num_classes, self.embedding, embedding_init=embedding_init)(labels)
        return self.generator(Fuse(self.fusion)(z, e), train=train)


class LabelledDiscriminator(nn.Module):
    """Brings an embedding of the label into the image.

    Attributes:
        discriminator: (images or vectors, train) -> logits.
        num_classes: labels.
        embedding: length of a label's vector where it is appended to the pixels.
        form: "channel" embeds into an image, which is one channel more; "pixels" appends the embedding to the pixels,
            for a network of dense layers.
    """

    discriminator: nn.Module
    num_classes: int
    embedding: int = 10
    form: Literal["channel", "pixels"] = "channel"

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], labels: Int[Array, " batch"], *, train: bool
    ) -> Float[Array, " batch"]:
        """Logits of being a real image of this class."""
        size = x.shape[1] * x.shape[2] if self.form == "channel" else self.embedding
        e = nn.Embed(self.num_classes, size, embedding_init=embedding_init)(labels)
        if self.form == "channel":
            x = jnp.concatenate([x, e.reshape(*x.shape[:3], 1)], axis=-1)
        else:
            x = Fuse("concat")(x.reshape(len(x), -1), e)
        return self.discriminator(x, train=train)


class ProjectionDiscriminator(nn.Module):
    """f(x, y) = w . phi(x) + b + v_y . phi(x): Miyato and Koyama 2018 (arXiv:1802.05637), eq. 3.

    Attributes:
        features: (images, train, penultimate) -> phi.
        num_classes: labels.
        spectral: divides w and the table of v by their largest singular values, as the paper's.
        dtype: dtype of computation.
        param_dtype: dtype of the parameters.
    """

    features: nn.Module
    num_classes: int
    spectral: bool = True
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], labels: Int[Array, " batch"], *, train: bool
    ) -> Float[Array, " batch"]:
        """Logits of being a real image of this class."""
        dense, embed = (SpectralDense, SpectralEmbed) if self.spectral else (nn.Dense, nn.Embed)
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        phi = self.features(x, train=train, penultimate=True)
        plain = dense(1, kernel_init=glorot_uniform, **dtypes)(phi)[:, 0]
        v = embed(self.num_classes, phi.shape[-1], embedding_init=glorot_uniform, **dtypes)(labels)
        return plain.astype(jnp.float32) + (v.astype(jnp.float32) * phi).sum(axis=-1)


class AuxiliaryDiscriminator(nn.Module):
    """Tells the class beside real and generated, and is not told it: Odena et al. 2017 (AC-GAN, arXiv:1610.09585).

    Attributes:
        features: (images, train, penultimate) -> what both answers are linear in.
        num_classes: labels.
        spectral: divides the kernels by their largest singular values.
        dtype: dtype of computation.
        param_dtype: dtype of the parameters.
    """

    features: nn.Module
    num_classes: int
    spectral: bool = False
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], labels: Int[Array, " batch"], *, train: bool
    ) -> tuple[Float[Array, " batch"], Float[Array, "batch classes"]]:
        """Logits of being real, and of the classes, float32; the labels are not looked at."""
        dense = SpectralDense if self.spectral else nn.Dense
        settings = {"kernel_init": glorot_uniform, "dtype": self.dtype, "param_dtype": self.param_dtype}
        phi = self.features(x, train=train, penultimate=True)
        source, classes = dense(1, **settings)(phi), dense(self.num_classes, **settings)(phi)
        return source.astype(jnp.float32)[:, 0], classes.astype(jnp.float32)
