import numpy as np

from gdl_jax.data.world import is_land, land_mask, land_points

LAND = {
    "New York": (40.73, -73.94),
    "Paris": (48.9, 2.4),
    "Cairo": (30.0, 31.2),
    "Nairobi": (-1.3, 36.8),
    "Delhi": (28.6, 77.2),
    "Brasilia": (-15.8, -47.9),
    "Alice Springs": (-23.7, 133.9),
}
SEA = {
    "Atlantic": (30, -40),
    "Pacific": (0, -150),
    "Indian Ocean": (-20, 80),
    "Mediterranean": (35, 18),
    "Gulf": (25, -90),
}


def test_cities_are_on_land_and_oceans_are_not():
    assert is_land(np.array(list(LAND.values()))).all()
    assert not is_land(np.array(list(SEA.values()), np.float64)).any()


def test_a_quarter_of_the_map_is_land():
    # Without Antarctica; in degrees, not on the sphere.
    assert 0.2 < land_mask().mean() < 0.32


def test_points_are_on_land_all_over_the_world_and_the_same_again():
    points = land_points(500, seed=3)
    assert points.shape == (500, 2)
    assert points.dtype == np.float32
    assert is_land(points).all()
    assert points[:, 1].min() < -100
    assert points[:, 1].max() > 120
    np.testing.assert_array_equal(points, land_points(500, seed=3))
    assert (points != land_points(500, seed=4)).any()
