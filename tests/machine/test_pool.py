"""The pool of processes: order, how far ahead, what fails, who dies, and that nobody is left behind."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from imgcls.errors import UserError
from imgcls.machine.pool import Pool, WorkerDied, WorkersSilent
from imgcls.machine.shared_array import SentArray, shared_array


def children():
    return [process.pid for process in multiprocessing.active_children()]


def wait_until(condition):
    """The time is for a machine that is busy with other things; what is waited for has no time of its own."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid):
    """One that nobody has asked for its end yet has ended all the same."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def square(task, slot):
    return task * task


def who(task, slot):
    """The process, whether signals are ignored, those that are blocked, and its threads."""
    ignored = [signal.getsignal(number) == signal.SIG_IGN for number in (signal.SIGINT, signal.SIGTERM)]
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return os.getpid(), ignored, blocked, threading.active_count()


def trouble(task, slot):
    if task == "user":
        raise OwnError("кот.jpg is empty")
    if task == "awkward":
        raise AwkwardError("here", "there")
    if task == "bug":
        return {}["no such key"]
    if task == "unsendable":
        return lambda: None
    if task == "exit":
        os._exit(3)
    return task


class OwnError(UserError):
    pass


class AwkwardError(UserError):
    """Cannot be unpickled: needs two arguments."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class Writer:
    def __init__(self, room):
        self.room = room

    def __call__(self, task, slot):
        self.room.array[slot] = task
        return slot


@pytest.mark.parametrize("num_workers", [0, 1, 3])
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_results_come_in_the_order_of_the_tasks(num_workers, start):
    pool = Pool(square, num_workers, ahead=5, start=start)
    assert list(pool.map(range(40))) == [number**2 for number in range(40)]
    assert list(pool.map(iter([]))) == []
    assert list(pool.map(range(3), receive=lambda result: -result)) == [0, -1, -4]
    assert children() == []


def test_a_result_that_is_late_is_waited_for():
    """The first task ends only after other workers have done what comes after it."""
    done = shared_array((3,))

    def function(task, slot):
        if task == 0:
            wait_until(lambda: done[1:].all())
        done[task] = 1
        return task

    assert list(Pool(function, 3, ahead=3).map(range(3))) == [0, 1, 2]


def test_no_more_tasks_are_taken_than_may_be_ahead():
    taken, done = [], shared_array((100,))

    def tasks():
        for task in range(100):
            taken.append(task)
            yield task

    def function(task, slot):
        done[task] = 1
        return slot

    results = Pool(function, 2, ahead=7).map(tasks())
    assert taken == []
    assert next(results) == 0
    assert taken == list(range(8))  # one has been received
    wait_until(lambda: done.sum() == 8)
    assert [next(results) for _ in range(10)] == [number % 7 for number in range(1, 11)]
    assert taken == list(range(18))
    results.close()
    assert children() == []


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_slot_is_written_again_only_when_it_was_received(start):
    room = SentArray((3, 100))
    results = Pool(Writer(room), 2, ahead=3, start=start).map(range(200), receive=lambda slot: room.array[slot].copy())
    for number, array in enumerate(results):
        assert (array == number).all()
    assert number == 199


def test_large_tasks_and_results_do_not_wait_for_each_other(capfd):
    """Each is larger than a pipe, so a worker with a result waits for the parent while that has tasks for it."""
    pool = Pool(lambda task, slot: task, 2, ahead=8)
    sizes = [len(result) for result in pool.map(bytes(300_000 + number) for number in range(40))]
    assert sizes == list(range(300_000, 300_040))
    results = pool.map(bytes(300_000) for _ in range(40))
    next(results)
    results.close()  # in the middle of some task that is being sent
    assert children() == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_what_a_worker_is(start):
    seen = list(Pool(who, 2, ahead=4, start=start).map(range(20)))
    assert {pid for pid, *_ in seen}.isdisjoint({os.getpid()})
    assert len({pid for pid, *_ in seen}) == 2
    for _, ignored, blocked, threads in seen:
        assert ignored == [True, True]
        assert blocked == set()
        assert threads == 1


def test_without_workers_all_happens_here():
    assert next(Pool(who, 0, ahead=4).map([0]))[0] == os.getpid()
    with pytest.raises(KeyError):
        list(Pool(trouble, 0, ahead=4).map(["bug"]))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_failures_arrive_in_their_turn(start):
    results = Pool(trouble, 2, ahead=4, start=start).map(["a", "b", "user", "c"])
    assert [next(results), next(results)] == ["a", "b"]
    with pytest.raises(OwnError, match=r"^кот\.jpg is empty$"):
        next(results)
    assert children() == []


def test_failures_that_cannot_be_sent():
    with pytest.raises(UserError, match=r"^here and there$"):
        list(Pool(trouble, 1, ahead=1).map(["awkward"]))
    with pytest.raises(RuntimeError, match="no such key") as caught:
        list(Pool(trouble, 1, ahead=1).map(["bug"]))
    assert 'return {}["no such key"]' in str(caught.value)
    with pytest.raises(RuntimeError, match="pickle"):
        list(Pool(trouble, 1, ahead=1).map(["unsendable"]))


def test_a_dead_worker_is_named_with_its_tasks():
    with pytest.raises(WorkerDied) as caught:
        list(Pool(trouble, 1, ahead=3).map(["a", "exit", "b", "c"]))
    assert caught.value.exitcode == 3
    assert next(iter(caught.value.tasks.items())) == (1, "exit")
    assert set(caught.value.tasks.values()) <= {"exit", "b", "c"}
    assert children() == []

    def killed(task, slot):
        if task == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return task

    with pytest.raises(WorkerDied) as caught:
        list(Pool(killed, 2, ahead=4).map(range(20)))
    assert caught.value.exitcode == -signal.SIGKILL
    assert next(iter(caught.value.tasks.values())) == 5


def test_a_worker_that_dies_idle_is_noticed_with_the_next_result():
    results = Pool(square, 2, ahead=2).map(range(10))
    next(results)
    victim = children()[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in children())
    with pytest.raises(WorkerDied):
        list(results)
    assert children() == []


def test_silence_is_not_waited_for():
    results = Pool(lambda task, slot: time.sleep(600), 2, ahead=2, patience=0.2).map(range(4))
    with pytest.raises(WorkersSilent):
        next(results)
    assert children() == []


def test_only_waiting_is_counted():
    """What is there is taken, however long ago the one before was."""
    done = shared_array((5,))

    def function(task, slot):
        done[task] = 1
        return task

    pool = Pool(function, 1, ahead=5, patience=120)
    results = pool.map(range(5))
    assert next(results) == 0
    wait_until(lambda: len(pool.workers[0].tasks) == 4 and done.all())
    pool.patience = 1e-9
    wait_until(lambda: multiprocessing.connection.wait([pool.workers[0].results], 0))
    time.sleep(0.01)
    assert next(results) == 1
    pool.patience = 120
    assert list(results) == [2, 3, 4]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_an_early_end_leaves_nothing_behind(start):
    """Not even until the next garbage collection, which may be thousands of batches away."""
    list(Pool(square, 1, 1, start).map([1]))  # what Python opens once
    gc.collect()  # what other tests left
    gc.disable()
    try:
        before = sorted(os.listdir("/proc/self/fd"))
        results = Pool(square, 2, 4, start).map(range(1000))
        next(results)
        assert len(children()) == 2
        del results
        assert children() == []
        list(Pool(square, 1, 1, start).map([1]))
        assert sorted(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()


def test_a_worker_that_does_not_end_is_killed():
    results = Pool(lambda task, slot: task and time.sleep(600), 2, 4).map(range(10))
    next(results)
    workers = children()
    os.kill(workers[0], signal.SIGSTOP)
    results.close()
    assert children() == []
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)


def test_pools_beside_and_within_each_other():
    outer = Pool(lambda task, slot: sum(Pool(square, 2, 4).map(range(task))), 2, 4).map(range(6))
    for number, result in enumerate(outer):
        assert result == sum(i * i for i in range(number))
        assert list(Pool(square, 2, 4).map([number])) == [number**2]
    assert number == 5
    assert children() == []


def test_a_forked_child_has_no_part_in_it():
    results = Pool(square, 2, 4).map(range(100))
    first = next(results)
    pid = os.fork()
    if pid == 0:
        try:
            next(results)
        except RuntimeError:
            os._exit(5)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    assert [first, *results] == [number**2 for number in range(100)]


SCRIPT = """
import multiprocessing, os, signal, sys, threading, time
from imgcls.machine import processes
from imgcls.machine.pool import Pool

processes.POLL_SECONDS = 0.05

def work(task, slot):
    if task > 1:
        time.sleep(600)
    return os.getpid()

def start():
    global results
    results = Pool(work, 2, 8, sys.argv[1]).map(range(10))
    next(results), next(results)

if __name__ == "__main__":
    if sys.argv[2] == "thread":
        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
    else:
        start()
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    if sys.argv[2] == "exit":
        sys.exit(7)
    if sys.argv[2] == "raise":
        raise KeyError("a bug")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize(("end", "status"), [("exit", 7), ("raise", 1), ("kill", -9), ("thread", -9)])
def test_no_worker_outlives_its_parent(start, end, status, tmp_path):
    """Though all are in the middle of long tasks; a thread that started them may have ended long ago."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, str(script), start, end]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert process.wait() == status, process.stderr.read()
    assert len(workers) == 2
    wait_until(lambda: not any(map(is_running, workers)))


def test_a_shared_array_is_memory_of_both():
    array = shared_array((2, 3), np.int64)

    def function(task, slot):
        array[slot] += task
        return array[slot].tolist()

    assert list(Pool(function, 2, ahead=2).map([1, 2])) == [[1] * 3, [2] * 3]
    assert array.tolist() == [[1] * 3, [2] * 3]
    with pytest.raises((OSError, OverflowError)):
        shared_array((2**40, 2**20))
