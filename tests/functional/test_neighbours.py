"""Nearest neighbours by the cosine, groups of copies and outliers, against what a sort of all products says."""

import numpy as np
import pytest

from imgcls.functional import neighbours
from imgcls.functional.neighbours import (
    Neighbours,
    alike,
    apart,
    groups,
    is_exact,
    nearest,
    nearest_others,
    unit,
    votes,
)

ENGINES = ["numpy", "faiss"]


@pytest.fixture(params=ENGINES)
def engine(request):
    if request.param == "faiss":
        pytest.importorskip("faiss")
    return request.param


@pytest.fixture(scope="module")
def base():
    features = np.random.default_rng(0).standard_normal((700, 24)).astype(np.float32)
    features[13] = 0
    return unit(features)


def test_rows_have_length_1_and_none_is_not_a_number(base):
    lengths = np.linalg.norm(base, axis=1)
    assert lengths[13] == 0
    np.testing.assert_allclose(np.delete(lengths, 13), 1, rtol=1e-6)


def test_the_nearest_are_those_of_a_sort(base, engine):
    found = nearest(base[:300], base, 7, engine)
    cosines = base[:300].astype(np.float64) @ base.T.astype(np.float64)
    expected = np.sort(cosines, axis=1)[:, ::-1][:, :7]
    np.testing.assert_allclose(found.similarities, expected, atol=1e-6)
    taken = np.take_along_axis(cosines, found.numbers, axis=1)
    np.testing.assert_allclose(taken, expected, atol=1e-6)
    assert nearest(base[:2], base[:3], 9, engine).numbers.shape == (2, 3)


def test_a_row_is_no_neighbour_of_itself_even_among_copies(base, engine):
    rows = np.concatenate([np.repeat(base[:1], 5, axis=0), base[1:20]])
    found = nearest_others(rows, 3, engine)
    assert found.numbers.shape == (24, 3)
    assert not (found.numbers == np.arange(24)[:, None]).any()
    assert set(found.numbers[:5].ravel()) <= set(range(5))
    assert groups((one, two) for one, two, _ in alike(found, 0.999)) == [[0, 1, 2, 3, 4]]


def test_many_are_searched_in_parts_and_nearly_all_are_found(base, monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(neighbours, "EXACT", 600)
    assert is_exact(700, "numpy")
    assert not is_exact(700, "faiss")
    found, exact = nearest_others(base, 3, "faiss"), nearest_others(base, 3, "numpy")
    assert (found.numbers[:, 0] == exact.numbers[:, 0]).mean() > 0.6  # noise has no parts; photos have
    assert found.similarities.dtype == np.float32


def test_groups_hang_together():
    assert groups([(4, 7), (1, 2), (2, 3), (7, 9), (0, 9)]) == [[0, 4, 7, 9], [1, 2, 3]]
    assert groups([]) == []


def test_pairs_are_named_once(base):
    rows = np.concatenate([base[:4], base[2:3]])
    assert [pair[:2] for pair in alike(nearest_others(rows, 2, "numpy"), 0.99)] == [(2, 4)]


def test_what_is_far_from_the_rest_is_apart():
    rng = np.random.default_rng(1)
    rows = unit(np.array([1.0, 0, 0, 0]) + 0.05 * rng.standard_normal((60, 4)))
    rows[17] = [0, 0, 1, 0]
    nearness, far = apart(nearest_others(rows, 5, "numpy"), 6.0)
    assert far.tolist()[0] == 17
    assert nearness[17] < 0.2 < np.median(nearness)
    assert len(far) < 5


def test_copies_of_one_another_are_not_apart_by_rounding():
    similarities = np.ones((61, 5), np.float32)
    similarities[40:60] -= 2e-7
    similarities[60] = 0.5
    assert apart(Neighbours(similarities, np.zeros((61, 5), np.int64)), 3.0)[1].tolist() == [60]


def test_votes_weigh_by_how_near_they_are():
    found = Neighbours(np.array([[0.9, 0.83, 0.2], [0.5, 0.5, -1.0]], np.float32), np.array([[2, 0, 1], [0, 1, -1]]))
    shares = votes(found, np.array([1, 1, 3]), num_classes=4)
    near, far, farther = np.exp(np.array([0.9, 0.83, 0.2]) / 0.07)
    np.testing.assert_allclose(shares[0, [1, 3]], np.array([far + farther, near]) / (near + far + farther), rtol=1e-5)
    np.testing.assert_allclose(shares[1], [0, 1, 0, 0])  # what was not found has no vote
    np.testing.assert_allclose(shares.sum(axis=1), 1)
