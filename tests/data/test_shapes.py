import numpy as np
import pytest

from gdl_jax.data import shapes
from gdl_jax.data.shapes_motion import moving, paths
from gdl_jax.data.source import DataSettings, load
from gdl_jax.errors import UsageError

BACKGROUND = np.array(list(shapes.BACKGROUNDS.values()))
HUE = np.array(list(shapes.HUES.values()))


@pytest.fixture(scope="module")
def examples():
    return load(DataSettings(name="shapes", size=64), "train").take(np.arange(300))


def test_masks_are_the_object_and_its_colour_exactly(examples):
    form, hue, _, _, _, background = examples["attributes"].T
    np.testing.assert_array_equal(examples["label"], form)
    for i in range(300):
        image, mask = examples["image"][i].astype(int), examples["mask"][i, ..., 0]
        assert set(np.unique(mask)) == {0, form[i] + 1}
        np.testing.assert_array_equal(examples["instance"][i, ..., 0], mask > 0)
        to_object = np.abs(image - HUE[hue[i]]).sum(-1)
        to_background = np.abs(image - BACKGROUND[background[i]]).sum(-1)
        halfway = np.abs(to_object - to_background) <= 6
        np.testing.assert_array_equal((to_object < to_background) | halfway, (mask > 0) | halfway)
        assert halfway.sum() < 20
        # Only the antialiased contour is of neither colour.
        assert (np.minimum(to_object, to_background) > 0).sum() < 0.25 * 64**2


def test_place_and_size_can_be_measured_back(examples):
    _, _, size, column, row, _ = examples["attributes"].T
    ys, xs = np.mgrid[:64, :64] + 0.5
    for i in range(300):
        inside = examples["mask"][i, ..., 0] > 0
        assert (np.array([xs[inside].mean(), ys[inside].mean()]) // (64 / 3)).tolist() == [column[i], row[i]]
        reach = np.hypot(xs[inside] - xs[inside].mean(), ys[inside] - ys[inside].mean()).max() / 64
        assert 0.75 < reach / list(shapes.RADII.values())[size[i]] < 1.15
        assert not inside[[0, -1]].any()
        assert not inside[:, [0, -1]].any()


def test_forms_have_their_areas():
    """Areas in units of the squared radius, from geometry."""
    areas = {
        "circle": np.pi * 0.9**2,
        "square": 1.4**2,
        "triangle": 3 * np.sqrt(3) / 4,
        "star": 10 * 0.5 * 0.45 * np.sin(np.pi / 5),
        "cross": 2 * 1.84 * 0.6 - 0.6**2,
        "ring": np.pi * (0.95**2 - 0.45**2),
    }
    ys, xs = np.mgrid[-1.2:1.2:600j, -1.2:1.2:600j]
    assert set(areas) == set(shapes.FORMS)
    for form, area in areas.items():
        assert (shapes.DISTANCES[form](xs, ys) < 0).mean() * 2.4**2 == pytest.approx(area, rel=0.01)


def test_attributes_are_balanced_and_hue_is_independent_unless_asked():
    for follows in (False, True):
        scenes = shapes.draw_scenes(3, np.arange(6000), hue_follows_form=follows)
        values = shapes.attributes(scenes)
        for column, names in zip(values.T, shapes.ATTRIBUTES.values(), strict=True):
            if not (follows and names == tuple(shapes.HUES)):
                np.testing.assert_allclose(np.bincount(column, minlength=len(names)) / 6000, 1 / len(names), atol=0.03)
        pairs = len(np.unique(values[:, :2], axis=0))
        assert pairs == (len(shapes.FORMS) if follows else len(shapes.FORMS) * len(shapes.HUES))


def test_uniforms_depend_on_seed_stream_and_index_alone():
    numbers = shapes.uniforms(0, np.arange(10_000), 4)
    assert numbers.mean() == pytest.approx(0.5, abs=0.01)
    assert numbers.var() == pytest.approx(1 / 12, abs=0.002)
    assert np.abs(np.corrcoef(numbers.T) - np.eye(4)).max() < 0.05
    assert abs(np.corrcoef(numbers[1:, 0], numbers[:-1, 0])[0, 1]) < 0.05
    np.testing.assert_array_equal(shapes.uniforms(0, np.array([77]), 2)[0], numbers[77, :2])
    for other in (shapes.uniforms(1, np.arange(100), 4), shapes.uniforms(0, np.arange(100), 4, stream=1)):
        assert not np.isin(other, numbers).any()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ((0, 0, 0, 0, 0, 1), "a small red circle at the top left on a grey background"),
        ((3, 5, 2, 1, 1, 0), "a large blue star in the centre on a black background"),
        ((1, 1, 1, 2, 1, 2), "a medium orange square at the right on a white background"),
        ((5, 7, 0, 1, 2, 2), "a small pink ring at the bottom on a white background"),
    ],
)
def test_caption_says_the_attributes(values, sentence):
    assert shapes.caption(np.array(values, np.int32)) == sentence


def test_source_captions_match_its_attributes():
    source = shapes.Shapes(num_examples=20, first=5)
    rows = source.take(np.arange(20))["attributes"]
    assert source.captions == tuple(shapes.caption(row) for row in rows)


def test_several_objects_have_their_own_instances():
    source = shapes.Shapes(num_examples=200, size=64, max_objects=3)
    examples, scenes = source.take(np.arange(200)), source.scenes(np.arange(200))
    assert set(scenes.count.tolist()) == {1, 2, 3}
    for i in range(200):
        mask, instance = examples["mask"][i, ..., 0], examples["instance"][i, ..., 0]
        assert set(np.unique(instance)) == set(range(scenes.count[i] + 1))
        for slot in range(scenes.count[i]):
            assert (mask[instance == slot + 1] == scenes.form[i, slot] + 1).all()
            assert scenes.size[i, slot] <= scenes.size[i, 0]
        assert len({tuple(cell) for cell in scenes.cell[i]}) == 3
    with pytest.raises(UsageError, match="1 to 9 objects"):
        shapes.Shapes(num_examples=1, max_objects=10)


def test_second_style_is_the_outline_of_the_same_scene():
    filled, outlined = (
        shapes.Shapes(num_examples=50, size=64, style=style, edges=True).take(np.arange(50)) for style in (0, 1)
    )
    for key in ("mask", "instance", "edges", "label", "attributes"):
        np.testing.assert_array_equal(filled[key], outlined[key])
    inked = [(images["image"] != images["image"][:, :1, :1]).any(-1).sum(axis=(1, 2)) for images in (filled, outlined)]
    solid = np.isin(filled["label"], [shapes.FORMS.index(form) for form in ("circle", "square")])
    assert (inked[1] <= inked[0]).all()
    assert (inked[1][solid] < 0.95 * inked[0][solid]).all()


def test_edges_run_along_the_mask():
    examples = shapes.Shapes(num_examples=50, size=64, edges=True).take(np.arange(50))
    mask, dark = examples["mask"][..., 0] > 0, examples["edges"][..., 0] < 128
    change = (mask[:, 1:, :-1] != mask[:, :-1, :-1]) | (mask[:, :-1, 1:] != mask[:, :-1, :-1])
    near = change
    for axis in (1, 2):
        near = np.any([np.roll(near, shift, axis) for shift in range(-4, 5)], axis=0)
    assert dark.sum(axis=(1, 2)).min() > 10
    assert (near | ~dark[:, :-1, :-1]).all()
    assert (examples["edges"][~(mask | dark)] > 100).all()


def sample(image, x, y):
    """Bilinear interpolation of (size, size, channels) at pixel coordinates (centres at whole numbers)."""
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = (x - left)[:, None], (y - top)[:, None]
    upper = image[top, left] * (1 - right) + image[top, left + 1] * right
    lower = image[top + 1, left] * (1 - right) + image[top + 1, left + 1] * right
    return upper * (1 - bottom) + lower * bottom


def test_flow_carries_each_frame_to_the_next():
    errors, still = [], []
    for index in range(8):
        frames, flow = moving(0, index, 6, size=64)
        scenes = paths(0, index, 6)
        masks = shapes.render(scenes, 64)["mask"][..., 0] > 0
        assert frames.dtype == np.uint8
        assert frames.shape == (6, 64, 64, 3)
        assert flow.dtype == np.float32
        assert flow.shape == (5, 64, 64, 2)
        assert (flow[~masks[:-1]] == 0).all()
        for t in range(5):
            # The signed distance is the sharpest witness: it is the same for the same point of the object.
            depth = shapes.distance(scenes, 0, 64)[..., None].astype(float)
            y, x = np.nonzero(masks[t])
            there = sample(depth[t + 1], x + flow[t, y, x, 0], y + flow[t, y, x, 1])
            errors.append(np.abs(there - depth[t, y, x]).mean())
            still.append(np.abs(depth[t + 1, y, x] - depth[t, y, x]).mean())
            colours = sample(frames[t + 1].astype(float), x + flow[t, y, x, 0], y + flow[t, y, x, 1])
            assert np.abs(colours - frames[t, y, x]).mean() < 12
    assert max(errors) < 0.15
    assert np.mean(still) > 5 * np.mean(errors)


def test_films_start_with_the_still_scene_and_stay_in_the_picture():
    frames, _ = moving(0, 4, 1)
    np.testing.assert_array_equal(frames[0], shapes.Shapes(num_examples=5).take(np.array([4]))["image"][0])
    for index in range(4):
        areas = (shapes.render(paths(0, index, 200), 64)["mask"] > 0).sum(axis=(1, 2, 3))
        assert areas.min() > 0.9 * areas.max()
    several, _ = moving(0, 4, 3, max_objects=3)
    assert (several[0] != several[2]).any()
