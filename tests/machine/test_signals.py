"""Signals to a program that has nothing to save, sent for real."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from locations import ROOT

from imgcls.errors import Interrupted
from imgcls.machine.signals import STOPPING, held_back, interruptible, status_of


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


def test_an_error_that_a_library_makes_of_it_is_taken_for_it():
    """As Paddle's translation of a network to a graph does, and the start of any module of pybind11."""

    def start_of_a_module():
        try:
            send(signal.SIGTERM)
        except BaseException as stopped:
            raise ImportError("initialization failed") from stopped

    with pytest.raises(Interrupted, match="Stopped by SIGTERM"), interruptible():
        start_of_a_module()
    with pytest.raises(ImportError, match="of its own"), interruptible():
        raise ImportError("of its own")


def test_held_back_they_come_afterwards_to_the_handler_that_python_knows():
    reached = []

    def work():
        with held_back():
            signal.raise_signal(signal.SIGTERM)
            reached.append("the end")
        reached.append("behind")

    with pytest.raises(Interrupted), interruptible():
        work()
    assert reached == ["the end"]
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_held_back_they_do_not_come_by_another_thread_either():
    """As those of NumPy's, which a signal goes to that the main thread blocks."""
    reached = []
    threads = threading.Event()
    thread = threading.Thread(target=threads.wait)
    thread.start()

    def work():
        with held_back():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
            reached.append("the end")
        reached.append("behind")

    try:
        with pytest.raises(Interrupted), interruptible():
            work()
    finally:
        threads.set()
    assert reached == ["the end"]


def test_a_program_without_configuration_says_so_too(capsys):
    assert status_of(lambda: 3) == 3
    assert status_of(lambda: send(signal.SIGINT)) == 130
    assert capsys.readouterr().err == "Stopped by SIGINT; nothing was under way that had to be saved.\n"


def test_while_paddle_is_imported(tmp_path):
    """Its import has handlers of its own for a while, and makes an ``ImportError`` of what ours raise."""
    (tmp_path / "paddle.py").write_text(
        "import os, signal\n"
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\n    for _ in range(1000): pass\n"
        "except BaseException:\n    raise ImportError('initialization failed')\n",
        encoding="utf-8",
    )
    imports = "import sys; from imgcls.machine import installation, signals"
    command = [sys.executable, "-c", f"{imports}; sys.exit(signals.status_of(installation.require_paddle))"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (143, "Stopped by SIGTERM; nothing was under way that had to be saved.\n")
