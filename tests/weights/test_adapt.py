"""Head tensors for other classes."""

import numpy as np
import pytest

from imgcls.weights.adapt import keep_classes, of_other_classes

SHARES = np.float32([[1, 0, 0], [0, 0.25, 0.75], [0, 0, 0]])


@pytest.mark.parametrize("kind", ["linear", "convolution", "bias"])
def test_a_class_without_pictures_keeps_its_row(kind):
    """The others are means of the old ones, whichever axis the classes are on."""
    rows = np.arange(15, dtype=np.float32).reshape(3, 5) + 1
    as_stored = {
        "linear": lambda rows: rows.T.copy(),
        "convolution": lambda rows: rows[:, :, np.newaxis, np.newaxis],
        "bias": lambda rows: rows[:, 0],
    }[kind]
    fresh = as_stored(np.full((3, 5), -1, np.float32))
    found = of_other_classes(as_stored(rows), SHARES)
    keep_classes(found, fresh, np.array([False, False, True]))
    expected = np.stack([rows[0], 0.25 * rows[1] + 0.75 * rows[2], np.full(5, -1)])
    assert np.allclose(found, as_stored(expected))
    assert found.dtype == np.float32
