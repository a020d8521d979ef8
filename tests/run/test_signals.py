"""A signal while there is nothing to save: a message, the status a shell gives, and the handlers as they were."""

import signal

import pytest

from imgcls.errors import Interrupted
from imgcls.run.signals import interruptible


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_it_ends_the_block_with_a_message(number, status):
    before = signal.getsignal(number)
    with (
        pytest.raises(Interrupted, match=f"Stopped by {number.name}; nothing was under way") as stopped,
        interruptible(),
    ):
        signal.raise_signal(number)
    assert stopped.value.status == status
    assert signal.getsignal(number) is before


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
