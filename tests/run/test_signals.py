"""Signals to a program that has nothing to save, sent for real."""

import os
import signal
import threading
import time

import pytest

from imgcls.errors import Interrupted
from imgcls.run.signals import STOPPING, interruptible


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(1)  # not needed: the handler runs before


@pytest.mark.parametrize("number", STOPPING)
def test_it_ends_with_a_message_and_the_handlers_are_as_they_were(number):
    before = [signal.getsignal(one) for one in STOPPING]
    message = f"Stopped by {number.name}; the answers so far are kept."
    with pytest.raises(Interrupted, match=message) as stopped, interruptible("the answers so far are kept"):
        send(number)
    assert stopped.value.status == 128 + number
    assert before == [signal.getsignal(one) for one in STOPPING]


def test_below_nohup_a_closed_terminal_is_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            with pytest.raises(Interrupted):
                send(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_thread_may_train_and_is_not_asked_for_handlers():
    """As in a window or a notebook: Python lets only the main thread have them."""
    entered = []

    def work():
        with interruptible():
            entered.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered


def test_afterwards_they_mean_what_they_meant():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("outer"))
    try:
        with interruptible():
            pass
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == ["outer"]
