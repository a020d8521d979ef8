"""What the losses of a learning-rate range test say."""

import numpy as np
import pytest

from imgcls.functional.lr_range import exponential_range, smoothed, suggestion


def test_rates_go_from_one_bound_to_the_other():
    schedule = exponential_range(1e-4, 1.0, 5)
    np.testing.assert_allclose([schedule(step) for step in range(5)], [1e-4, 1e-3, 1e-2, 1e-1, 1])


def test_a_constant_stays_one_when_it_is_smoothed():
    np.testing.assert_allclose(smoothed(np.full(40, 3.0)), 3.0)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_steepest_fall_is_suggested(noise):
    """A loss that falls around 0.001, is lowest at 0.03 and runs away after it."""
    rates = np.geomspace(1e-6, 1, 100)
    fall = 2 - 1.5 / (1 + np.exp(-3 * np.log(rates / 1e-3)))
    losses = fall + np.where(rates > 0.05, 40 * (rates - 0.05), 0) + noise * np.random.default_rng(0).normal(size=100)
    assert 3e-4 < suggestion(rates, losses) < 3e-3
    losses[-3:] = np.nan, np.inf, np.inf
    assert 3e-4 < suggestion(rates, losses) < 3e-3


def test_losses_that_never_fall_suggest_nothing():
    rates = np.geomspace(1e-6, 1, 50)
    assert suggestion(rates, 1 + np.linspace(0, 3, 50)) is None
    assert suggestion(rates, 1.6 + 0.01 * np.sin(np.arange(50))) is None
    assert suggestion(rates[:4], [4, 3, 2, 1]) is None
    assert suggestion(rates, np.full(50, np.nan)) is None
