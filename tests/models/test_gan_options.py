"""What the alternating step is told beside its networks and its loss, on dense networks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.layers.normalisation import BatchNorm
from gdl_jax.losses.adversarial import non_saturating, wasserstein
from gdl_jax.losses.labels import Labels
from gdl_jax.losses.penalties import r1
from gdl_jax.models.adversarial import ClassTerms, Regulariser
from gdl_jax.models.discrete_gan import DiscreteGAN, black_and_white
from gdl_jax.models.gan import GAN
from gdl_jax.models.model import Evaluates
from gdl_jax.models.monitored_gan import MonitoredGAN
from gdl_jax.models.reweighted_gan import ReweightedGAN
from gdl_jax.models.wanted_gan import WantedGAN
from gdl_jax.networks.conditional import AuxiliaryDiscriminator, LabelledGenerator
from gdl_jax.networks.dense_gan import DenseDiscriminator, DenseGenerator
from gdl_jax.steps.head_start import head_start
from gdl_jax.steps.phases import run_phases

jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

KEY, BATCH, CLASSES = jax.random.key(0), 8, 3
REAL = jax.random.uniform(jax.random.key(1), (3, BATCH, 4, 4, 1), minval=-1)
LABEL = jnp.arange(3 * BATCH, dtype=jnp.int32).reshape(3, BATCH) % CLASSES
FIRST = {"image": REAL[:1], "label": LABEL[:1]}
ALL = {"image": REAL, "label": LABEL}

TINY = GAN(
    generator=DenseGenerator((4, 4, 1), (5, 5), norm=BatchNorm),
    discriminator=DenseDiscriminator((6, 5), norm=BatchNorm),
    optimizers={"generator": optax.sgd(0.1), "discriminator": optax.sgd(0.2)},
    loss=non_saturating(),
    latent_size=3,
)


def start(model):
    return jit(model.init)(KEY, {name: value[0] for name, value in ALL.items()})


def assert_close(found, wanted, **tolerance):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(partial(np.testing.assert_allclose, **{"rtol": 1e-4, "atol": 1e-6, **tolerance}), found, wanted)


def updates(model, steps=1):
    """How often each phase updated, by counting optimisers."""
    counting = {name: optax.chain(optax.sgd(0.01), optax.scale_by_schedule(lambda _: 1.0)) for name in TINY.optimizers}
    model = replace(model, optimizers=counting)
    state, step = start(model), jit(model.step)
    batches = jax.tree.map(lambda x: x[: model.batches_per_step], ALL)
    for i in range(steps):
        state, _ = step(state, batches, jax.random.fold_in(KEY, i))
    return {name: int(network.opt_state[1].count) for name, network in state.networks.items()}


def test_every_network_is_updated_as_often_as_said():
    model = replace(
        TINY,
        discriminator=DenseDiscriminator((6, 5)),
        discriminator_repeats=3,
        generator_repeats=2,
        regularisers=(Regulariser(penalty=r1, weight=1.0, interval=3, name="r1"),),
    )
    assert model.batches_per_step == 3
    # Of four steps, the lazy phase is in the first and in the last.
    assert updates(model, 4) == {"discriminator": 4 * 3 + 2, "generator": 4 * 2}


def due_by_counting(repeats, first, every, steps):
    """As a loop of the authors' kind goes: so many updates of the critic, one of the generator."""
    due, updated, waited = [], 0, 0
    for _ in range(steps):
        waited += 1
        due.append(waited * repeats >= (100 if updated < first or updated % every == 0 else 1))
        if due[-1]:
            updated, waited = updated + 1, 0
    return due


def test_a_generator_waits_for_its_critic():
    for repeats, first, every, steps in [(5, 25, 500, 3000), (1, 25, 500, 3200), (40, 3, 7, 99), (100, 7, 7, 99)]:
        due = np.asarray(jax.vmap(head_start(repeats, first=first, every=every))(jnp.arange(steps)))
        np.testing.assert_array_equal(due, due_by_counting(repeats, first, every, steps))
    with pytest.raises(ValueError, match="every"):
        head_start(5, first=4, every=3)

    model = replace(TINY, discriminator_repeats=3, generator_repeats=2, generator_due=head_start(30, first=2, every=3))
    due = due_by_counting(30, 2, 3, 19)
    assert sum(due) == 7
    assert updates(model, 19) == {"discriminator": 3 * 19, "generator": 2 * 7}


def test_a_lazy_regulariser_has_a_phase_of_its_own_as_much_stronger():
    penalty = Regulariser(penalty=lambda critic, real, fake, key: critic(real).mean(), weight=0.5, interval=4, name="p")
    model = replace(TINY, regularisers=(penalty,))
    assert [(phase.name, phase.interval) for phase in model.phases()] == [
        ("discriminator", 1),
        ("p", 4),
        ("generator", 1),
    ]
    state = start(model)
    network = state.networks["discriminator"]

    @jit
    def run(state):
        new, _ = run_phases(model.phases()[1:2], model.optimizers, state, FIRST, KEY)

        def mean_logit(params):
            return network.apply_in_training(TINY.discriminator, params, REAL[0], key=KEY)[0].mean()

        return new, jax.grad(mean_logit)(network.params)

    new, slope = run(state)
    assert_close(
        new.networks["discriminator"].params, jax.tree.map(lambda p, s: p - 0.2 * 2 * s, network.params, slope)
    )
    # Its calls keep no statistics, and the generator does not move.
    assert_close(new.networks["discriminator"].collections, network.collections, rtol=0, atol=0)
    assert_close(new.networks["generator"], state.networks["generator"], rtol=0, atol=0)


def test_regularisers_have_names_and_keys_of_their_own():
    def drawn(name):
        return Regulariser(penalty=lambda critic, real, fake, key: jax.random.uniform(key), weight=1.0, name=name)

    model = replace(TINY, regularisers=(drawn("a"), drawn("b")))
    metrics = jit(lambda state: run_phases(model.phases()[:1], model.optimizers, state, FIRST, KEY)[1])(start(model))
    assert metrics.means["discriminator/a"].value() != metrics.means["discriminator/b"].value()
    with pytest.raises(ValueError, match="differ in their names, and these are a, a"):
        replace(TINY, regularisers=(drawn("a"), drawn("a")))


def test_the_spectral_collection_moves_once_per_update_of_the_critic():
    model = replace(TINY, discriminator=DenseDiscriminator((6, 5), spectral=True), discriminator_repeats=2,
                    regularisers=(Regulariser(penalty=r1, weight=1.0),), optimizers=dict.fromkeys(
                        TINY.optimizers, optax.sgd(0.0)))  # fmt: skip
    state = start(model)
    # Away from where the warm-up has led, so that every iteration shows.
    network = state.networks["discriminator"]
    turned = jax.tree.map(lambda u: jnp.roll(u, 1), network.collections)
    state = state.replace(networks=state.networks | {"discriminator": network.replace(collections=turned)})
    new, _ = jit(model.step)(state, {"image": REAL[:2]}, KEY)
    for name, layer in network.params.items():
        w, u = np.asarray(layer["kernel"], np.float64).T, np.asarray(turned["spectral"][name]["u"], np.float64)
        for _ in range(2):
            u = w @ (w.T @ u)
            u /= np.linalg.norm(u)
        np.testing.assert_allclose(new.networks["discriminator"].collections["spectral"][name]["u"], u, rtol=1e-3)


def test_joint_batches_are_normalised_together():
    seen = []

    class Noted(GAN):
        def _judge(self, params, state, images, labels, key):
            seen.append(images.shape)
            return super()._judge(params, state, images, labels, key)

    model = Noted(**{name: getattr(TINY, name) for name in TINY.__dataclass_fields__} | {"joint_batches": True})
    jax.eval_shape(model.step, jax.eval_shape(model.init, KEY, {"image": REAL[0]}), FIRST, KEY)
    assert seen == [(2 * BATCH, 4, 4, 1)] * 2
    # Without norm and dropout the two ways are the same.
    plain = replace(TINY, discriminator=DenseDiscriminator((6, 5)))
    state = start(plain)
    one, two = (jit(replace(plain, joint_batches=joint).step)(state, FIRST, KEY)[0] for joint in (False, True))
    assert_close(one, two)


def test_views_are_of_real_and_generated_images_in_both_phases():
    seen = []

    def view(images, key, step):
        seen.append(images.shape)
        return jnp.zeros_like(images)

    model = replace(TINY, discriminator=DenseDiscriminator((6, 5)), views=(view,))
    state = start(model)
    new, metrics = jit(model.step)(state, FIRST, KEY)
    assert seen == [(BATCH, 4, 4, 1)] * 4
    means = {name: mean.value() for name, mean in metrics.means.items()}
    # All images look the same, and no gradient comes through to the generator.
    assert means["discriminator/logit_real"] == pytest.approx(means["discriminator/logit_fake"], abs=1e-6)
    assert means["generator/gradient_norm"] == 0
    assert_close(new.networks["generator"].params, state.networks["generator"].params, rtol=0, atol=0)


def test_labels_reach_the_discriminators_loss_alone():
    state = start(TINY)
    flipped = replace(TINY, labels=Labels(flip=1.0))

    @jit
    def run(state):
        return [run_phases(model.phases(), model.optimizers, state, FIRST, KEY)[1] for model in (TINY, flipped)]

    plain, other = run(state)
    assert plain.means["discriminator/logit_real"].value() == other.means["discriminator/logit_real"].value()
    assert abs(plain.means["discriminator/loss"].value() - other.means["discriminator/loss"].value()) > 1e-3
    for metrics in (plain, other):
        halves = [metrics.means[f"discriminator/{kind}/loss"].value() for kind in ("real", "fake")]
        assert sum(halves) == pytest.approx(plain.means["discriminator/loss"].value(), rel=1e-5)


def test_accuracies_where_a_logit_has_a_side():
    for loss, has in ((non_saturating(), True), (wasserstein(), False)):
        metrics = jax.eval_shape(replace(TINY, loss=loss).step, start(TINY), FIRST, KEY)[1]
        assert ("discriminator/accuracy_real" in metrics.means) == has


def test_the_generator_may_make_more_images_than_a_batch_has():
    seen = []

    class Noted(GAN):
        def _make(self, params, state, batch, key):
            made = super()._make(params, state, batch, key)
            seen.append((made.images.shape[0], made.examples.real.shape[0]))
            return made

    model = Noted(**{name: getattr(TINY, name) for name in TINY.__dataclass_fields__} | {"generator_batches": 2})
    jax.eval_shape(model.step, jax.eval_shape(model.init, KEY, {"image": REAL[0]}), FIRST, KEY)
    assert seen == [(BATCH, BATCH), (2 * BATCH, 2 * BATCH)]


def test_grey_levels_of_real_images():
    """Spread: 2 (k / 256 - 1/2) + U(0, 1/128), as Gulrajani's code has it; the latent vectors stay what they were."""
    levels = np.arange(256)
    batch = {"image": jnp.asarray(levels.reshape(4, 8, 8, 1) * 2 / 255 - 1, jnp.float32)}
    plain, spread, two = (replace(TINY, grey_levels=kind)._examples(batch, KEY) for kind in ("given", "spread", "two"))
    np.testing.assert_array_equal(plain.inputs[0], spread.inputs[0])
    np.testing.assert_array_equal(plain.real, batch["image"])
    np.testing.assert_array_equal(two.real.ravel(), np.where(levels < 128, -1, 1))
    above = np.asarray(spread.real, np.float64).ravel() - 2 * (levels / 256 - 0.5)
    assert -1e-6 < above.min() < 0.001 < 0.006 < above.max() < 1 / 128 + 1e-6


def test_dropout_in_the_generator_is_for_training_alone():
    model = replace(TINY, generator=DenseGenerator((4, 4, 1), (40,), dropout_rate=0.5))
    state = start(model)
    latents, network = jnp.ones((2, 3)), state.networks["generator"]
    one, two = (network.apply_in_training(model.generator, network.params, latents, key=jax.random.key(i))[0]
                for i in (1, 2))  # fmt: skip
    assert abs(one - two).max() > 1e-3
    np.testing.assert_array_equal(*model.decode(state, latents))


def test_real_images_of_classes_that_samples_rarely_have_come_more_often():
    given = {name: getattr(TINY, name) for name in TINY.__dataclass_fields__}

    def classify(images):
        # Surely class 2, whatever the image.
        return jnp.broadcast_to(jnp.array([0.0, 0.0, 50.0]), (len(images), CLASSES))

    model = ReweightedGAN(**given, classify=classify, classes=CLASSES, interval=2, looked_at=4, decay=0.75)
    state, step = start(model), jit(model.step)
    batches = FIRST | {"label": jnp.array([[0] * 4 + [1] * 2 + [2] * 2])}
    np.testing.assert_allclose(state.extra["fake_shares"], 1 / CLASSES)
    state, _ = step(state, batches, KEY)
    np.testing.assert_allclose(state.extra["real_shares"], 0.75 / 3 + 0.25 * np.array([0.5, 0.25, 0.25]), rtol=1e-5)
    np.testing.assert_allclose(state.extra["fake_shares"], 1 / CLASSES)
    state, metrics = step(state, batches, KEY)
    np.testing.assert_allclose(state.extra["fake_shares"], [0, 0, 1], atol=1e-6)
    assert metrics.means["reweighting/rarest_class"].value() == pytest.approx(0, abs=1e-6)
    weights = np.asarray(state.extra["real_shares"]) / np.array([0.01, 0.01, 1.01])
    np.testing.assert_allclose(model.weights(state), weights, rtol=1e-4)

    # An image of class 2 a hundred times less often than one of class 1; and each keeps its label.
    drawn = jit(jax.vmap(model.redrawn, in_axes=(None, None, 0)))(state, batches, jax.random.split(KEY, 500))
    wanted = weights * np.array([4, 2, 2])
    shares = np.bincount(np.asarray(drawn["label"]).ravel(), minlength=CLASSES) / drawn["label"].size
    np.testing.assert_allclose(shares, wanted / wanted.sum(), atol=0.03)
    label_of = {x.tobytes(): label for x, label in zip(np.asarray(REAL[0]), batches["label"][0].tolist(), strict=True)}
    images = np.asarray(drawn["image"]).reshape(-1, 4, 4, 1)
    assert [label_of[x.tobytes()] for x in images] == np.asarray(drawn["label"]).ravel().tolist()


def test_of_wanted_classes_the_others_take_places_of_generated_images():
    seen = []

    class Noted(WantedGAN):
        def _judge_both(self, params, state, shown, keys, *, joint):
            seen.append(jax.lax.stop_gradient(shown))
            return super()._judge_both(params, state, shown, keys, joint=joint)

    given = {name: getattr(TINY, name) for name in TINY.__dataclass_fields__}
    model = Noted(**given | {"discriminator": DenseDiscriminator((6, 5))}, wanted=(1,), fake_weight=0.25)
    state = start(model)
    assert LABEL[0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    wanted, others = ({x.tobytes() for x in np.asarray(REAL[0])[np.isin(LABEL[0], of)]} for of in ([1], [0, 2]))
    new, _ = model.step(state, FIRST, KEY)
    told, generating = jax.device_get(seen)
    assert {x.tobytes() for x in told.real} <= wanted
    assert {x.tobytes() for x in generating.real} <= wanted
    assert [x.tobytes() in others for x in told.fake] == [False] * 2 + [True] * 6
    assert not {x.tobytes() for x in generating.fake} & (wanted | others)
    assert_moved(state, new, {"generator": True, "discriminator": True})

    # Without wanted images there is nothing to learn from; without others, from the generated ones.
    new, _ = model.step(state, FIRST | {"label": jnp.zeros_like(FIRST["label"])}, KEY)
    assert_moved(state, new, {"generator": True, "discriminator": False})
    seen.clear()
    model.step(state, FIRST | {"label": jnp.ones_like(FIRST["label"])}, KEY)
    assert not {x.tobytes() for x in jax.device_get(seen[0].fake)} & (wanted | others)


def assert_moved(before, after, wanted):
    for name, moved in wanted.items():
        pairs = zip(*(jax.tree.leaves(state.networks[name].params) for state in (before, after)), strict=True)
        assert any((old != new).any() for old, new in pairs) == moved, name


# Classes


def test_class_terms_are_added_to_both_losses():
    """The class of a real and of a generated image, which has the label of the real one."""
    terms = ClassTerms(on_real=2.0, on_fake=3.0, generator=5.0)
    model = replace(
        TINY,
        generator=LabelledGenerator(TINY.generator, CLASSES),
        discriminator=AuxiliaryDiscriminator(DenseDiscriminator((6, 5)), CLASSES),
        num_classes=CLASSES,
        class_terms=terms,
    )
    without = replace(model, class_terms=ClassTerms(on_real=0.0, on_fake=0.0, generator=0.0))
    state = start(model)
    g, d = (state.networks[name] for name in ("generator", "discriminator"))

    @jit
    def run(state):
        metrics = [run_phases(m.phases()[i : i + 1], m.optimizers, state, FIRST, KEY)[1] for m in (model, without)
                   for i in (0, 1)]  # fmt: skip
        k_fake = jax.random.split(jax.random.fold_in(jax.random.fold_in(KEY, 0), 0), 5)[0]
        latents = model.sample_latents(jax.random.split(k_fake)[0], BATCH)
        fake, _ = g.apply_in_training(model.generator, g.params, latents, LABEL[0], key=KEY)
        told = [model.discriminator.apply(d.variables(), x, LABEL[0], train=True)[1] for x in (REAL[0], fake)]
        return metrics, [-jnp.take_along_axis(jax.nn.log_softmax(x), LABEL[0][:, None], 1).mean() for x in told]

    (d_with, g_with, d_plain, g_plain), (of_real, of_fake) = run(state)
    value = lambda metrics, name: metrics.means[name].value()  # noqa: E731
    assert value(d_with, "discriminator/cross_entropy_real") == pytest.approx(float(of_real), rel=1e-4)
    assert value(d_with, "discriminator/cross_entropy_fake") == pytest.approx(float(of_fake), rel=1e-4)
    added = value(d_with, "discriminator/loss") - value(d_plain, "discriminator/loss")
    assert added == pytest.approx(float(2 * of_real + 3 * of_fake), rel=1e-4)
    assert value(g_with, "generator/loss") - value(g_plain, "generator/loss") > 5 * 0.5


def test_samples_have_one_class_after_the_other():
    model = replace(TINY, generator=LabelledGenerator(TINY.generator, CLASSES), num_classes=CLASSES,
                    discriminator=AuxiliaryDiscriminator(DenseDiscriminator((6, 5)), CLASSES))  # fmt: skip
    state = start(model)
    latents = jnp.ones((6, 3))
    images = jit(model.decode)(state, latents)
    np.testing.assert_allclose(images[:3], images[3:], atol=1e-6)
    assert abs(images[0] - images[1]).max() > 1e-3
    chosen = jit(model.decode)(state, latents, jnp.full((6,), 1, jnp.int32))
    np.testing.assert_allclose(chosen, np.repeat(images[1:2], 6, 0), atol=1e-6)
    some = jit(replace(model, drawn_classes=(0, 2)).decode)(state, latents)
    np.testing.assert_allclose(some, images[jnp.array([0, 2, 0, 2, 0, 2])], atol=1e-6)


# What is measured of test images


def test_logits_and_slopes_of_test_images_and_samples():
    """A discriminator without hidden layers is a linear map: its slope is the same everywhere, and its logits known."""
    linear = MonitoredGAN(
        generator=LabelledGenerator(DenseGenerator((4, 4, 1), (5,)), CLASSES),
        discriminator=AuxiliaryDiscriminator(DenseDiscriminator(()), CLASSES),
        optimizers=TINY.optimizers,
        loss=wasserstein(),
        latent_size=3,
        num_classes=CLASSES,
        class_terms=ClassTerms(),
    )
    assert isinstance(linear, Evaluates)
    assert not isinstance(TINY, Evaluates)
    state = start(linear)
    images = np.asarray(ALL["image"][0], np.float64)
    found = jit(linear.evaluate)(state, {"image": ALL["image"][0], "label": ALL["label"][0]}, KEY)
    layer = state.networks["discriminator"].params["Dense_0"]
    kernel, bias = np.asarray(layer["kernel"], np.float64)[:, 0], float(layer["bias"][0])
    np.testing.assert_allclose(found["logit_real"], images.reshape(BATCH, -1) @ kernel + bias, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["slope"], np.linalg.norm(kernel), rtol=1e-5)
    latents = linear.sample_latents(jax.random.split(KEY)[0], BATCH)
    fake = np.asarray(linear.decode(state, latents, ALL["label"][0]), np.float64).reshape(BATCH, -1)
    np.testing.assert_allclose(found["logit_fake"], fake @ kernel + bias, rtol=1e-4, atol=1e-5)
    assert set(linear.protocol()) == set(found)


# Latent vectors and averages


def test_latent_vectors_on_a_sphere():
    z = np.asarray(replace(TINY, latent_distribution="sphere", latent_size=7).sample_latents(KEY, 1000), np.float64)
    np.testing.assert_allclose(np.square(z).sum(1), 7, rtol=1e-5)
    np.testing.assert_allclose(z.mean(0), 0, atol=0.15)


def test_recalibration_takes_the_statistics_of_the_averaged_generator():
    model = replace(TINY, ema_decay=0.5, recalibration_batches=3)
    state = start(model)
    network = state.networks["generator"]
    ema = jax.tree.map(lambda x: x + 0.5, network.params)
    wrong = jax.tree.map(lambda x: x + 7, network.collections)
    state = state.replace(networks=state.networks | {"generator": network.replace(ema=ema, collections=wrong)})
    latents = jax.random.normal(KEY, (5, 3))

    @jit
    def run(state):
        statistics = []
        for (z,) in model._calibration_inputs():
            # One batch, all of whose weight is new.
            fresh = model.generator.clone(norm=partial(BatchNorm, momentum=0.0))
            variables = {"params": ema} | wrong
            statistics.append(fresh.apply(variables, z, train=True, mutable=["batch_stats"])[1])
        mean = jax.tree.map(lambda *x: sum(x) / 3, *statistics)
        return model.decode(state, latents), model.generator.apply({"params": ema} | mean, latents, train=False)

    found, wanted = run(state)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    running = jit(replace(model, recalibration_batches=0).decode)(state, latents)
    assert abs(found - running).max() > 1e-2

    # A latent vector gives the same image whenever it is decoded, whatever training drops.
    model = replace(model, generator=model.generator.clone(dropout_rate=0.5))
    one, again = (jit(model.decode)(state, latents) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert abs(one - found).max() > 1e-2


# Discrete images


def test_a_discrete_gan_learns_through_its_draws():
    """Of one latent number, towards images that are all white: the policy gradient makes white likelier."""
    model = DiscreteGAN(
        generator=DenseGenerator((2, 2, 1), (), output=lambda logits: logits),
        discriminator=DenseDiscriminator((8,)),
        optimizers=dict.fromkeys(TINY.optimizers, optax.adam(0.03)),
        loss=non_saturating(),
        latent_size=1,
        views=(black_and_white,),
        draws=10,
    )
    white = {"image": jnp.full((1, 16, 2, 2, 1), 0.4)}
    state = jit(model.init)(KEY, {"image": white["image"][0]})

    @jit
    def train(state):
        def step(state, i):
            with jax.numpy_dtype_promotion("standard"):
                new, metrics = model.step(state, white, jax.random.fold_in(KEY, i))
            return new, metrics.means["generator/effective_draws"].total

        return jax.lax.scan(step, state, jnp.arange(150))

    new, effective = train(state)
    decode = jit(model.decode)
    z = model.sample_latents(KEY, 200)
    assert decode(new, z).mean() > decode(state, z).mean() + 0.3
    assert 1 <= effective.min() <= effective.max() <= 10
    drawn = np.asarray(jit(model.sample, static_argnums=2)(new, KEY, 200))
    assert set(np.unique(drawn)) <= {-1.0, 1.0}
    assert drawn.mean() == pytest.approx(float(decode(new, z).mean()), abs=0.15)
