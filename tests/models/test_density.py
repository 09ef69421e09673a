import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from gdl_jax.data import wrodl
from gdl_jax.models.density import Box, FullJoint, GaussianClasses, NaiveBayes

WHITE = wrodl.encode(
    accessoriesType="Round",
    clotheColor="White",
    clotheType="ShirtScoopNeck",
    hairColor="Red",
    topType="LongHairStraight",
)
BLUE = wrodl.encode(
    accessoriesType="Round",
    clotheColor="Blue01",
    clotheType="ShirtScoopNeck",
    hairColor="Red",
    topType="LongHairStraight",
)
BOTH = jnp.stack([WHITE, BLUE])


def fitted(family, pseudo_count=0.0):
    return family.fit(wrodl.load_rows(), wrodl.SIZES, pseudo_count=pseudo_count)


def test_box_is_the_smallest_that_holds_the_points():
    points = jnp.array([[0.0, 5.0], [2.0, 1.0], [1.0, 3.0]])
    box = Box.fit(points)
    np.testing.assert_array_equal(box.low, [0, 1])
    np.testing.assert_array_equal(box.high, [2, 5])
    np.testing.assert_allclose(box.log_prob(points), np.full(3, -np.log(8)), rtol=1e-6)
    assert box.log_prob(jnp.array([[2.1, 3.0]]))[0] == -jnp.inf


def test_no_larger_box_and_none_that_leaves_a_point_out_is_likelier():
    points = jax.random.uniform(jax.random.key(0), (30, 2))
    best = Box.fit(points)
    likelihood = best.log_prob(points).sum()
    assert Box(best.low - 0.01, best.high).log_prob(points).sum() < likelihood
    assert Box(best.low + 0.01, best.high).log_prob(points).sum() == -jnp.inf


def test_samples_of_a_box_are_uniform_in_it():
    box = Box(jnp.array([-1.0, 2.0]), jnp.array([1.0, 3.0]))
    samples = box.sample(jax.random.key(0), 20_000)
    assert jnp.isfinite(box.log_prob(samples)).all()
    np.testing.assert_allclose(samples.mean(axis=0), [0, 2.5], atol=0.02)
    np.testing.assert_allclose(samples.var(axis=0), [4 / 12, 1 / 12], rtol=0.03)


def test_naive_bayes_has_the_numbers_of_the_text():
    model = fitted(NaiveBayes)
    rows = jnp.asarray(wrodl.load_rows())
    assert float(model.log_prob(rows).sum()) == pytest.approx(-340.5711, abs=1e-3)
    np.testing.assert_allclose(jnp.exp(model.log_prob(BOTH)), [0.0054146, 0.00098447], rtol=1e-4)
    every = jnp.asarray(wrodl.every_style())
    log_probs = model.log_prob(every)
    assert int(jnp.isfinite(log_probs).sum()) == 3024
    assert float(jnp.exp(log_probs).sum()) == pytest.approx(1, abs=1e-4)
    assert float(jnp.exp(log_probs.max())) == pytest.approx(0.016244, rel=1e-4)
    likeliest = {
        name: values[i] for (name, values), i in zip(wrodl.ATTRIBUTES.items(), every[log_probs.argmax()], strict=True)
    }
    assert likeliest == {
        "accessoriesType": "Round",
        "clotheColor": "White",
        "clotheType": "ShirtScoopNeck",
        "hairColor": "SilverGray",
        "topType": "LongHairStraight",
    }


def test_smoothed_naive_bayes_has_the_numbers_of_the_text():
    model = fitted(NaiveBayes, 1.0)
    np.testing.assert_allclose(jnp.exp(model.log_prob(BOTH)), [0.004313, 0.000938], rtol=1e-3)
    log_probs = model.log_prob(jnp.asarray(wrodl.every_style()))
    assert jnp.isfinite(log_probs).all()
    assert float(jnp.exp(log_probs).sum()) == pytest.approx(1, abs=1e-4)


def test_values_that_a_variable_does_not_have_get_no_share():
    model = NaiveBayes.fit(np.array([[0, 3], [1, 0]]), (2, 5), pseudo_count=1.0)
    np.testing.assert_allclose(np.exp(model.log_probs), [[0.5, 0.5, 0, 0, 0], np.array([2, 1, 1, 2, 1]) / 7], rtol=1e-6)


def test_full_joint_has_the_numbers_of_the_text():
    exact, smoothed = fitted(FullJoint), fitted(FullJoint, 1.0)
    np.testing.assert_allclose(jnp.exp(exact.log_prob(BOTH)), [0.04, 0], rtol=1e-5)
    np.testing.assert_allclose(jnp.exp(smoothed.log_prob(BOTH)), [3 / 4082, 1 / 4082], rtol=1e-4)
    for model in (exact, smoothed):
        assert float(jnp.exp(model.log_prob(jnp.asarray(wrodl.every_style()))).sum()) == pytest.approx(1, abs=1e-4)


def test_full_joint_only_repeats_its_data():
    rows = wrodl.load_rows()
    samples = np.asarray(fitted(FullJoint).sample(jax.random.key(0), 500))
    assert (samples[:, None] == rows).all(axis=2).any(axis=1).all()


def test_samples_of_naive_bayes_have_its_frequencies_and_nothing_impossible():
    model = NaiveBayes.fit(np.array([[0, 1], [0, 2], [2, 2], [2, 2]]), (3, 3))
    samples = np.asarray(model.sample(jax.random.key(0), 20_000))
    assert samples.shape == (20_000, 2)
    for variable, wanted in enumerate(([0.5, 0, 0.5], [0, 0.25, 0.75])):
        counts = np.bincount(samples[:, variable], minlength=3) / len(samples)
        np.testing.assert_allclose(counts, wanted, atol=0.015)
        assert (counts[np.array(wanted) == 0] == 0).all()
    assert abs(np.corrcoef(samples.T)[0, 1]) < 0.03


@pytest.mark.parametrize("value", [-1, 3])
def test_values_out_of_range_are_refused(value):
    with pytest.raises(ValueError, match="outside"):
        NaiveBayes.fit(np.array([[value]]), (3,))


def some_classes(num=60):
    k_points, k_labels = jax.random.split(jax.random.key(1))
    labels = jax.random.randint(k_labels, (num,), 0, 3)
    points = jax.random.normal(k_points, (num, 2)) * jnp.array([[1.0, 2.0]]) + labels[:, None].astype(jnp.float32)
    return points, labels


def test_gaussian_classes_against_numpy_and_scipy():
    points, labels = some_classes()
    model = GaussianClasses.fit(points, labels, 3)
    joint = np.empty((len(points), 3))
    for k in range(3):
        chosen = np.asarray(points)[np.asarray(labels) == k]
        mean, covariance = chosen.mean(axis=0), np.cov(chosen.T, bias=True)
        np.testing.assert_allclose(model.means[k], mean, rtol=1e-5)
        np.testing.assert_allclose(model.covariances[k], covariance, rtol=1e-4)
        joint[:, k] = multivariate_normal(mean, covariance).logpdf(points) + np.log(len(chosen) / len(points))
    np.testing.assert_allclose(model.log_joint(points), joint, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model.log_prob(points), np.log(np.exp(joint).sum(axis=1)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        model.posterior(points), np.exp(joint) / np.exp(joint).sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-6
    )


def test_points_of_no_class_are_left_out():
    points, labels = some_classes()
    fewer = GaussianClasses.fit(points[:40], labels[:40], 3)
    masked = GaussianClasses.fit(points, jnp.where(jnp.arange(60) < 40, labels, -1), 3)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), fewer, masked)


def test_samples_of_gaussian_classes_have_their_means_and_covariances():
    points, labels = some_classes()
    model = GaussianClasses.fit(points, labels, 3)
    drawn = model.sample(jax.random.key(0), jnp.full(20_000, 1))
    np.testing.assert_allclose(drawn.mean(axis=0), model.means[1], atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), model.covariances[1], atol=0.1)
