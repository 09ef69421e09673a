"""What a model is given of a batch: images in its range, all that lies over an image mirrored with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.data.source import ArraySpec, DataSettings
from gdl_jax.errors import UsageError
from gdl_jax.steps.devices import make_mesh, split_along
from gdl_jax.training.program import abstract_batch, check_flip, prepare
from gdl_jax.training.settings import RunSettings

FLIP = RunSettings(data=DataSettings(flip=True))


class Plain:
    batches_per_step = 1

    def init(self, key, batch): ...
    def step(self, state, batches, key): ...


class OfImages(Plain):
    image_range = (-1.0, 1.0)


class OfPairs(OfImages):
    image_keys = ("source", "image")


class Own(OfImages):
    def prepare(self, batch, key):
        images = batch["image"].astype(jnp.float32)
        return {"noisy": images if key is None else images + jax.random.normal(key)}


def batch_of(lead, **channels):
    rng = np.random.default_rng(0)
    images = {name: jnp.asarray(rng.integers(0, 256, (*lead, 3, 4, c), np.uint8)) for name, c in channels.items()}
    return images | {"label": jnp.arange(np.prod(lead)).reshape(lead)}


@pytest.mark.parametrize("lead", [(16,), (3, 16)])
def test_pairs_and_masks_are_mirrored_with_their_image(lead):
    batch = batch_of(lead, image=3, source=1, mask=1)
    found = prepare(batch, OfPairs(), jax.random.key(1), flip=True)
    kept = np.asarray(prepare(batch, OfPairs())["image"] == found["image"]).all((-1, -2, -3))
    assert 0.1 < kept.mean() < 0.9
    for name in ("image", "source", "mask"):
        before = np.asarray(batch[name])
        before = before if name == "mask" else before / 127.5 - 1
        wanted = np.where(kept[..., None, None, None], before, before[..., ::-1, :])
        np.testing.assert_allclose(found[name], wanted, atol=1e-6, err_msg=name)
    assert found["mask"].dtype == np.uint8
    np.testing.assert_array_equal(found["label"], batch["label"])


def test_a_step_of_several_batches_is_mirrored_where_it_lies():
    """Two axes made one, the images of eight devices would be gathered on each."""
    split = split_along(make_mesh(), 1)
    key = jax.random.key(0)
    mirrored = jax.jit(
        lambda batch: prepare(batch, OfImages(), key, flip=True), in_shardings=split, out_shardings=split
    )
    text = mirrored.lower(batch_of((5, 64), image=1)).compile().as_text()
    assert "all-gather" not in text
    assert "all-to-all" not in text


def test_a_model_without_a_range_is_given_the_data_as_they_are():
    batch = {"tokens": jnp.arange(6, dtype=jnp.int32).reshape(2, 3)}
    assert prepare(batch, Plain()) is batch
    assert abstract_batch({"tokens": ArraySpec((3,), np.dtype(np.int32))}, 2, Plain())["tokens"].dtype == np.int32
    with pytest.raises(UsageError, match="one of images, 'image', and the data have only tokens"):
        prepare(batch, OfImages())


def test_a_model_may_prepare_by_itself():
    batch = batch_of((2,), image=1)
    np.testing.assert_array_equal(prepare(batch, Own())["noisy"], batch["image"])
    assert (np.asarray(prepare(batch, Own(), jax.random.key(0))["noisy"]) != np.asarray(batch["image"])).all()
    assert abstract_batch({"image": ArraySpec((3, 4, 1), np.dtype(np.uint8))}, 2, Own())["noisy"].dtype == np.float32


@pytest.mark.parametrize(
    ("model", "spec", "match"),
    [
        (Plain(), {"tokens": (3,)}, "this model has none"),
        (Own(), {"image": (3, 4, 1)}, "prepares them itself"),
        (OfImages(), {"image": (3, 4, 1), "depth": (3, 4)}, r"mirror the images and not 'depth' of shape \(3, 4\)"),
    ],
)
def test_what_cannot_be_mirrored_is_refused(model, spec, match):
    spec = {name: ArraySpec(shape, np.dtype(np.uint8)) for name, shape in spec.items()}
    with pytest.raises(UsageError, match=match):
        check_flip(model, spec, FLIP)
    check_flip(model, spec, RunSettings())
    check_flip(OfImages(), {"image": ArraySpec((3, 4, 1), np.dtype(np.uint8))}, FLIP)
