import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from gdl_jax.pictures.charts import band, chart, legend_outside, save_chart, strips, style
from gdl_jax.pictures.diagrams import draw_blocks


def drawn():
    with style():
        figure, (left, right) = chart(1, 2, width=6, height=3)
        band(left, np.arange(5), np.random.default_rng(0).random((3, 5)), "#2a66b1", "some")
        draw_blocks(right, {"a": (0, 0), "b": (1, 1)}, [("a", "b", "way", 0.3)], title="blocks")
        legend_outside(left, 2)
    return figure


def test_style_is_undone():
    before = dict(matplotlib.rcParams)
    with style():
        assert matplotlib.rcParams["axes.grid"]
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_chart_gives_the_same_bytes(tmp_path, kind):
    for name in ("a", "b"):
        save_chart(tmp_path / f"{name}.{kind}", drawn())
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a.{kind}", f"b.{kind}"]


def test_png_is_a_picture_and_svg_names_nothing_elsewhere(tmp_path):
    save_chart(tmp_path / "a.png", drawn())
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (960, 480)
    save_chart(tmp_path / "a.svg", drawn())
    text = (tmp_path / "a.svg").read_text()
    assert "<svg" in text
    assert "<text" not in text  # letters are drawn, so that no font is needed
    assert "<image" not in text


def test_band_is_the_range_and_its_line_the_median():
    figure, (axes,) = chart()
    band(axes, np.arange(2), np.array([[0.0, 1.0], [2.0, 5.0], [10.0, 6.0]]), "#000000", "x")
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [2, 5])
    corners = axes.collections[0].get_paths()[0].vertices
    assert {(0, 0), (0, 10), (1, 1), (1, 6)} <= {tuple(corner) for corner in corners.tolist()}
    assert figure.axes == [axes]


def test_strips_show_every_picture():
    red = np.zeros((3, 8, 8, 3), np.uint8)
    red[..., 0] = 255
    with style():
        figure = strips({"red": red, "black": np.zeros((2, 8, 8, 3), np.uint8)}, width=4)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    assert [plot.get_title(loc="left") for plot in figure.axes] == ["red", "black"]
    assert figure.axes[0].images[0].get_array().shape == (8, 28, 3)
