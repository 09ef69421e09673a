"""Scatter plots show each point once, in the colour of its class."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import ImageColor

from gdl_jax.pictures.curves import PALETTE
from gdl_jax.pictures.latent import scatter, scatter_image

POINTS = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [np.nan, 0.0]])
LABELS = np.array([0, 1, 1, 0])


def share_of_colour(image: np.ndarray, index: int) -> int:
    return int((image == ImageColor.getrgb(PALETTE[index])).all(axis=-1).sum())


def test_svg_has_a_cloud_per_class_and_escapes_names():
    svg = ElementTree.fromstring(scatter(POINTS, LABELS, ["<a>", "b"]))
    assert [cloud.get("d").count("h0") for cloud in svg.findall("path")] == [1, 2]
    assert [key.text for key in svg.findall("g[@class='key']/text")] == ["<a>", "b"]


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.zeros((3, 2)), np.full((3, 2), np.nan)])
def test_nothing_and_one_place_can_be_drawn(points):
    labels = np.zeros(len(points), np.int64)
    text = scatter(points, labels, ["a"])
    ElementTree.fromstring(text)
    assert "nan" not in text
    assert scatter_image(points, labels, ["a"]).shape == (640, 640, 3)


def test_image_shows_points_and_legend_in_the_colours_of_the_classes():
    image = scatter_image(POINTS, LABELS, ["a", "b", "unused"], size=400)
    assert image.shape == (400, 400, 3)
    assert image.dtype == np.uint8
    without = scatter_image(POINTS[:0], LABELS[:0], ["a", "b", "unused"], size=400)
    added = [share_of_colour(image, index) - share_of_colour(without, index) for index in range(3)]
    assert 0 < added[0] < added[1]
    assert added[2] == 0 < share_of_colour(without, 2)


def test_up_is_up():
    image = scatter_image(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0, 1]), ["a", "b"])[:, :580]
    (low_y, low_x), (high_y, high_x) = (
        np.argwhere((image == ImageColor.getrgb(PALETTE[index])).all(axis=-1)).mean(axis=0) for index in range(2)
    )
    assert low_x < high_x
    assert low_y > high_y


def test_labels_without_a_class_are_refused():
    with pytest.raises(ValueError, match="from 0 to 1, but there are 1 classes"):
        scatter(POINTS, LABELS, ["a"])
