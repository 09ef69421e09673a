import numpy as np

from experiments.studies.approximation import on_line, parabola, split


def test_split_of_the_parabola_is_the_text_s():
    train, test = split(on_line(parabola, np.arange(1.0, 11.0)))
    assert train.inputs[:, 0].tolist() == [5, 10, 2, 7, 8, 4, 1, 6]
    assert test.inputs[:, 0].tolist() == [3, 9]
    np.testing.assert_array_equal(train.targets, train.inputs[:, 0] ** 2 + 5)
    assert train.inputs.dtype == train.targets.dtype == np.float32


def test_split_of_ninety_points():
    train, test = split(on_line(parabola, 1 + 0.1 * np.arange(90)))
    assert (len(train.targets), len(test.targets)) == (72, 18)
