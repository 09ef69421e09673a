"""The verb `probe`: what a discriminator has learnt of classes that nobody told it."""

from __future__ import annotations

from dataclasses import dataclass

import jax

from experiments.verbs.opening import OnCheckpoint, Shelf, check_num, check_shelf, open_run
from gdl_jax.data.spec import DataSpec
from gdl_jax.data.transforms import scale
from gdl_jax.errors import UsageError
from gdl_jax.layers.convolution import Conv
from gdl_jax.layers.spectral_norm import SpectralConv
from gdl_jax.metrics.features import network_features
from gdl_jax.metrics.probe import convolution_features, linear_accuracy
from gdl_jax.steps.random import stream_key
from gdl_jax.steps.state import TrainState


@dataclass(frozen=True, kw_only=True)
class Probe(OnCheckpoint):
    """Tell the classes of images by a linear function of what the discriminator of a GAN sees.

    The accuracy on test images of a linear support vector machine (Radford et al. 2016, section 5.1), beside that on
    the maps of the same network as it was before training, and that on the pixels.

    Of digits (`dcgan --steps 1000`, seed 0; 1,501 training and 296 test images) the maps of the discriminator tell
    97.97 %, before training 98.31 %, the pixels 95.27 %. On images as simple as these the largest values of
    convolutions help whatever their kernels are, and what training adds does not show.
    """

    num: int = 5000
    """Training images, and test images, at the most; which ones is drawn."""
    cost: float = 0.001
    """Of the machine's mistakes, against half the squared weights: C."""


def probe(options: Probe) -> None:
    """`probe WORKDIR`."""
    check_num(options.num, least=2)
    if not options.cost > 0:
        raise UsageError(f"--cost is {options.cost}; it has to be above 0.")
    run = open_run(options.workdir, options.checkpoint, options.data.dir)
    name, model = run.saved["name"], run.judging_gan()

    if not DataSpec.from_json(run.saved["data"]).classes:
        raise UsageError(f"The images of {run.experiment.data.name!r} have no classes that could be told.")
    parts = [run.examples(split, options.num) for split in ("train", "test")]
    if len(set(parts[0]["label"].tolist())) < 2:
        raise UsageError(f"Of {len(parts[0]['label'])} training images all are of one class; raise --num.")
    first = {"image": scale(parts[0]["image"][:2], model.image_range)}
    untrained = jax.jit(model.init)(stream_key(run.experiment.seed, "probe"), first)

    def maps_of(state: TrainState):
        return network_features(
            "maps",
            "largest values of the discriminator's maps",
            lambda variables, images: (
                convolution_features(model.discriminator, variables, images, (Conv, SpectralConv)),
                None,
            ),
            state.networks["discriminator"].variables(),
            shape=parts[0]["image"].shape[1:],
            image_range=model.image_range,
        ).of

    views = {
        "discriminator": maps_of(run.state),
        "untrained": maps_of(untrained),
        "pixels": lambda images: images.reshape(len(images), -1) / 255,
    }
    numbers = {"num_train": len(parts[0]["label"]), "num_test": len(parts[1]["label"])}
    for title, view in views.items():
        numbers[f"accuracy_{title}"] = linear_accuracy(
            *((view(part["image"]), part["label"]) for part in parts), cost=options.cost
        )
    print(f"{name}, step {run.step}, {numbers['num_train']} training and {numbers['num_test']} test images")
    for title in views:
        print(f"  {title:<14} {numbers[f'accuracy_{title}']:.2%}")
    Shelf(run, check_shelf(None, options.workdir)).write("probe", numbers)


PROBE_VERBS = {"probe": (Probe, probe)}
