"""Calls that end in time, or are given up."""

import threading

import pytest

from imgcls.machine.deadline import within


def test_what_a_call_returns_and_raises_comes_through():
    assert within(120, lambda: 3) == 3
    with pytest.raises(KeyError, match="here"):
        within(120, lambda: {}["here"])


def test_a_call_that_hangs_is_given_up():
    ended = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.01, ended.wait)
    ended.set()
