"""How long a figure is waited for."""

import pytest

from imgcls.functional.patience import Patience


@pytest.mark.parametrize(
    ("direction", "min_delta", "values", "ends_at"),
    [
        ("max", 0.0, [0.5, 0.6, 0.6, 0.5, 0.6], 5),
        ("min", 0.0, [0.5, 0.6, 0.4, 0.4, 0.5, 0.5], 6),
        ("max", 0.1, [0.5, 0.55, 0.59, 0.58, 0.9], 4),
        ("min", 0.1, [0.5, 0.45, 0.35, 0.3, 0.28, 0.27], 6),
        ("max", 0.0, [0.5, float("nan"), float("nan"), float("nan")], 4),
        ("max", 0.0, [0.1, 0.2, 0.3, 0.4], None),
    ],
)
def test_it_ends_after_three_looks_without_a_better_figure(direction, min_delta, values, ends_at):
    account = Patience(3, direction, min_delta)
    ends = [number for number, value in enumerate(values, start=1) if account.look(value)]
    assert (ends[0] if ends else None) == ends_at


def test_a_state_of_the_other_direction_is_left_alone():
    account = Patience(2, "max")
    account.look(0.7)
    account.look(0.6)
    other = Patience(2, "max")
    assert other.load(account.state())
    assert other == account
    assert not Patience(2, "min").load(account.state())
