from dataclasses import replace

import numpy as np
import pytest

from gdl_jax.data import faces
from gdl_jax.data.faces_canvas import PARTS
from gdl_jax.data.faces_drawing import render
from gdl_jax.data.faces_geometry import ellipse, landmarks, lens, lens_point, rounded_box
from gdl_jax.data.faces_people import ATTRIBUTES, HAIR_COLOURS, draw_looks, draw_people
from gdl_jax.data.source import DataSettings, load

SIZE = 128
EVERY_PERSON = np.arange(0, 8 * 300, 8)


@pytest.fixture(scope="module")
def source():
    return load(DataSettings(name="faces", size=SIZE), "train")


@pytest.fixture(scope="module")
def examples(source):
    return source.take(EVERY_PERSON)


def attribute(examples, name):
    return examples["attributes"][:, ATTRIBUTES.index(name)].astype(bool)


def five_points(landmarks):
    """Centres of the eyes, tip of the nose, corners of the mouth, left before right."""
    eyes = [landmarks[..., first : first + 6, :].mean(axis=-2) for first in (36, 42)]
    return np.stack([*eyes, *(landmarks[..., index, :] for index in (30, 48, 54))], axis=-2)


def part(examples, name):
    return examples["mask"][..., 0] == PARTS.index(name)


def colour_of(examples, name):
    """Mean colour of a part of each picture; NaN where it is not seen."""
    seen = part(examples, name)[..., None]
    with np.errstate(invalid="ignore"):
        return (examples["image"] * seen).sum(axis=(1, 2)) / seen.sum(axis=(1, 2))


def separation(values, truth):
    """Probability that the value of one who has an attribute is above that of one who has not."""
    with_it, without = values[truth], values[~truth]
    assert len(with_it) > 10
    assert len(without) > 10
    return (with_it[:, None] > without[None, :]).mean()


@pytest.mark.parametrize("size", [64, 128])
def test_a_face_depends_on_its_index_alone_not_on_its_batch(size):
    source = faces.Faces(num_examples=400, size=size)
    whole = source.take(np.arange(400))
    for few in (np.array([399]), np.array([7, 250]), np.arange(100, 131)):
        for key, values in source.take(few).items():
            np.testing.assert_array_equal(values, whole[key][few])


def test_splits_share_no_person():
    train, test = (load(DataSettings(name="faces", size=16), split) for split in ("train", "test"))
    persons = [set(s.take(np.arange(len(s)))["identity"].tolist()) for s in (train, test)]
    assert [len(p) for p in persons] == [1250, 250]
    assert not persons[0] & persons[1]


def test_pictures_of_a_person_share_what_is_the_persons_own():
    source = faces.Faces(num_examples=160)
    examples = source.take(np.arange(160))
    np.testing.assert_array_equal(examples["identity"], np.arange(160) // 8)
    own = [ATTRIBUTES.index(name) for name in ("beard", "moustache", "lipstick", "long_hair", "blond_hair")]
    of_persons = examples["attributes"].reshape(20, 8, -1)
    assert (of_persons[:, :, own] == of_persons[:, :1, own]).all()
    changing = [ATTRIBUTES.index(name) for name in ("smiling", "mouth_open", "eyeglasses", "hat")]
    assert (of_persons[:, :, changing] != of_persons[:, :1, changing]).any(axis=(0, 1)).all()
    skin = colour_of(examples, "skin").reshape(20, 8, 3)
    assert skin.mean(axis=1).std(axis=0).mean() > 3 * skin.std(axis=1).mean()
    assert len({image.tobytes() for image in examples["image"]}) == 160


def test_mask_names_every_pixel_and_the_parts_are_where_they_belong(examples):
    assert set(np.unique(examples["mask"])) == set(range(len(PARTS)))
    for name, low, high in (
        ("skin", 0.08, 0.5),
        ("background", 0.2, 0.75),
        ("eyes", 0.001, 0.03),
        ("mouth", 0.002, 0.04),
    ):
        share = part(examples, name).mean(axis=(1, 2))
        assert low < share.min(), name
        assert share.max() < high, name
    rows = np.arange(SIZE)[None, :]
    heights = [
        (part(examples, name).sum(axis=2) * rows).sum(axis=1) / part(examples, name).sum(axis=(1, 2))
        for name in ("eyes", "mouth", "clothes")
    ]
    assert (heights[0] < heights[1]).all()
    assert (heights[1] < heights[2]).all()
    for name, flag in (("glasses", "eyeglasses"), ("hat", "hat")):
        np.testing.assert_array_equal(part(examples, name).any(axis=(1, 2)), attribute(examples, flag))
    bearded = attribute(examples, "beard") | attribute(examples, "moustache")
    np.testing.assert_array_equal(part(examples, "beard").any(axis=(1, 2)), bearded)


def test_landmarks_lie_in_their_parts(examples, source):
    people, looks = source.traits(EVERY_PERSON)
    # What may hide a part is taken off.
    bare = replace(looks, eyeglasses=np.zeros(300, bool), hat=np.zeros(300, np.int64))
    mask = render(people, bare, SIZE)["mask"][..., 0]
    assert np.abs(landmarks(people, bare) - examples["landmarks"]).max() < 1e-6

    def found(points, wanted, reach):
        """Share of the points that have one of the wanted parts within `reach` pixels, and others' names."""
        x, y = (np.clip((points * SIZE).astype(int), reach, SIZE - 1 - reach)[..., axis] for axis in (0, 1))
        near = np.zeros(x.shape, bool)
        picture = np.arange(len(x))[:, None]
        for right in range(-reach, reach + 1):
            for down in range(-reach, reach + 1):
                near |= np.isin(mask[picture, y + down, x + right], [PARTS.index(name) for name in wanted])
        return near.mean()

    points = examples["landmarks"]
    five = five_points(points)
    assert found(five[:, :2], ("eyes",), 0) > 0.99
    assert found(five[:, 2:3], ("skin",), 0) > 0.99
    # A corner is thinner than a pixel: the nearest one whose centre is inside may be a little off.
    assert found(five[:, 3:], ("mouth", "beard"), 3) > 0.99
    assert found(points[:, 36:48], ("eyes", "hair"), 1) > 0.99
    assert found(points[:, 60:68], ("mouth", "beard"), 1) > 0.99
    assert found(points[:, [18, 19, 20, 23, 24, 25]], ("brows", "hair"), 1) > 0.99
    assert found(points[:, [17, 21, 22, 26]], ("brows", "hair"), 3) > 0.99
    # The jaw is where skin ends, or where beard or hair lie over it.
    assert found(points[:, 2:15], ("skin", "beard", "hair"), 1) > 0.99


def test_jaw_landmarks_separate_face_from_background(source):
    people, looks = source.traits(EVERY_PERSON)
    points = landmarks(people, looks)
    centre = points[:, 27:28]
    mask = render(replace(people, beard=0 * people.beard, hair_style=0 * people.hair_style), looks, SIZE)["mask"][
        ..., 0
    ]
    for factor, skin in ((0.93, True), (1.07, False)):
        # Between ears and neck.
        x, y = np.moveaxis(((centre + factor * (points[:, [4, 5, 11, 12]] - centre)) * SIZE).astype(int), -1, 0)
        assert ((mask[np.arange(300)[:, None], y, x] == PARTS.index("skin")) == skin).mean() > 0.97


def test_hair_colour_can_be_measured_back(examples, source):
    colours = np.array(list(HAIR_COLOURS.values()), float)
    bare = render(*_without_hat(source), SIZE)
    measured = colour_of({"image": bare["image"], "mask": bare["mask"]}, "hair")
    # Light and shade change the brightness more than anything else.
    nearest = np.abs(measured[:, None] - 0.97 * colours[None]).sum(axis=-1).argmin(axis=1)
    np.testing.assert_array_equal(nearest, examples["label"])
    for index, name in enumerate(HAIR_COLOURS):
        np.testing.assert_array_equal(attribute(examples, f"{name}_hair"), examples["label"] == index)


def _without_hat(source):
    people, looks = source.traits(EVERY_PERSON)
    return people, replace(looks, hat=np.zeros(300, np.int64))


def test_expression_and_paint_can_be_measured_back(examples):
    points = examples["landmarks"]
    corners = points[:, [48, 54]].mean(axis=1)
    middle = (points[:, 62] + points[:, 66]) / 2
    up = points[:, 27] - points[:, 8]
    height = (up * (corners - middle)).sum(axis=1) / (up * up).sum(axis=1)
    assert separation(height, attribute(examples, "smiling")) > 0.99
    clear = ~(attribute(examples, "moustache") | attribute(examples, "beard"))
    seen = {key: values[clear] for key, values in examples.items()}
    area = part(seen, "mouth").mean(axis=(1, 2))
    assert separation(area, attribute(seen, "mouth_open")) > 0.97
    shut = {key: values[~attribute(seen, "mouth_open")] for key, values in seen.items()}
    lips, skin = colour_of(shut, "mouth"), colour_of(shut, "skin")
    redness = (lips[:, 0] - lips[:, 1]) - (skin[:, 0] - skin[:, 1])
    assert separation(redness, attribute(shut, "lipstick")) > 0.97


def test_attributes_are_as_frequent_as_said_and_independent():
    people, looks = draw_people(0, np.arange(4000)), draw_looks(0, np.arange(4000))
    values = faces.attributes(people, looks)
    frequency = dict(zip(ATTRIBUTES, values.mean(axis=0), strict=True))
    expected = {"smiling": 0.5, "mouth_open": 0.4, "eyeglasses": 0.25, "hat": 0.2, "beard": 0.25, "blond_hair": 0.2}
    for name, wanted in expected.items():
        assert frequency[name] == pytest.approx(wanted, abs=0.03)
    free = [ATTRIBUTES.index(name) for name in ("smiling", "mouth_open", "eyeglasses", "hat", "beard", "lipstick")]
    assert np.abs(np.corrcoef(values[:, free].T) - np.eye(len(free))).max() < 0.06


def test_turn_and_tilt_move_the_landmarks_as_a_turned_head_does():
    people = draw_people(3, np.zeros(3, np.int64))
    still = replace(draw_looks(3, np.zeros(3, np.int64)), turn=np.zeros(3), nod=np.zeros(3), tilt=np.zeros(3))
    turned = five_points(landmarks(people, replace(still, turn=np.array([-0.4, 0.0, 0.4]))))
    # The nose leads, and the eye it turns to comes nearer to it.
    assert (np.diff(turned[:, 2, 0]) > 0).all()
    gaps = np.abs(turned[:, :2, 0] - turned[:, 2:3, 0])
    assert gaps[0, 0] < gaps[1, 0] < gaps[2, 0]
    assert gaps[1, 0] == pytest.approx(gaps[1, 1], abs=1e-6)
    tilted = five_points(landmarks(people, replace(still, tilt=np.array([0.0, 0.3, -0.3]))))
    eyes = tilted[:, 1] - tilted[:, 0]
    np.testing.assert_allclose(np.arctan2(eyes[:, 1], eyes[:, 0]), [0, 0.3, -0.3], atol=0.01)


def test_sizes_show_the_same_face():
    small, large = (faces.Faces(num_examples=40, size=size).take(np.arange(40)) for size in (64, 128))
    halved = large["image"].reshape(40, 64, 2, 64, 2, 3).mean(axis=(2, 4))
    assert np.abs(halved - small["image"]).mean() < 2.5
    np.testing.assert_array_equal(small["landmarks"], large["landmarks"])


def test_talking_moves_the_mouth_as_it_says():
    film = faces.frames(0, 5, 60, size=SIZE)
    assert film.image.shape == (60, SIZE, SIZE, 3)
    gap = np.linalg.norm(film.landmarks[:, 62] - film.landmarks[:, 66], axis=1)
    np.testing.assert_allclose(np.corrcoef(gap, film.open)[0, 1], 1, atol=1e-3)
    assert film.open.max() > 0.5
    assert film.open.min() == 0
    mouth = (film.mask[..., 0] == PARTS.index("mouth")).sum(axis=(1, 2))
    assert np.corrcoef(mouth, film.open)[0, 1] > 0.9
    # Neighbouring frames are alike: a film, not a heap of pictures.
    assert np.abs(np.diff(film.landmarks, axis=0)).max() < 0.06
    shorter = faces.frames(0, 5, 7, size=SIZE)
    np.testing.assert_array_equal(shorter.image, film.image[:7])
    assert (faces.frames(0, 6, 1, size=SIZE).image != shorter.image[:1]).any()


def test_forms_are_distances():
    x, y = np.meshgrid(np.linspace(-1, 1, 400), np.linspace(-1, 1, 400))
    np.testing.assert_allclose(ellipse(x, y, 0.5, 0.5), np.hypot(x, y) - 0.5, atol=1e-6)
    area = 4 * 1.0
    assert (ellipse(x, y, 0.6, 0.3) < 0).mean() * area == pytest.approx(np.pi * 0.18, rel=0.01)
    assert (rounded_box(x, y, 0.5, 0.4, 0.1) < 0).mean() * area == pytest.approx(0.8 - (4 - np.pi) * 0.01, rel=0.01)
    assert rounded_box(np.array(0.9), np.array(0.0), 0.5, 0.4, 0.1) == pytest.approx(0.4)
    # Between two parabolas: 2/3 of the box, whatever the bend.
    for bend, slant in ((0.0, 0.0), (0.2, -0.1)):
        assert (lens(x, y, 0.8, 0.3, 0.1, bend, slant) < 0).mean() * area == pytest.approx(1.6 * 0.4 * 2 / 3, rel=0.01)
        for t, side in ((-1.0, -1), (0.3, -1), (0.3, 1), (0.9, 1)):
            on = lens_point(t, side, np.array(0.8), np.array(0.3), np.array(0.1), bend, slant)
            assert lens(*map(np.asarray, on), 0.8, 0.3, 0.1, bend, slant) == pytest.approx(0, abs=1e-9)
