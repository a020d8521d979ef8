"""Reading ahead: order, batches, pictures that fail, and how far ahead."""

import threading
import time

import numpy as np
import pytest

from imgcls.deploy.reader import read_batches
from imgcls.errors import UserError


def read(path: str) -> np.ndarray:
    time.sleep(0.01 if int(path) % 3 == 0 else 0)  # the first of three is overtaken
    if int(path) % 5 == 4:
        raise UserError(f"{path} is broken")
    return np.full((2, 2, 3), int(path), np.uint8)


@pytest.mark.parametrize("num_workers", [0, 1, 4])
def test_batches_in_order_without_the_bad(num_workers):
    bad = []
    paths = [str(number) for number in range(13)]
    batches = list(read_batches(paths, read, 4, num_workers, lambda path, error: bad.append((path, str(error)))))
    good = [path for path in paths if int(path) % 5 != 4]
    assert [names for names, _ in batches] == [good[:4], good[4:8], good[8:]]
    for names, images in batches:
        assert images.shape == (len(names), 2, 2, 3)
        assert [str(image[0, 0, 0]) for image in images] == names
    assert bad == [("4", "4 is broken"), ("9", "9 is broken")]


def test_reads_only_so_far_ahead():
    started = []

    def count(path: str) -> np.ndarray:
        started.append(path)
        return np.zeros((2, 2, 3), np.uint8)

    batches = read_batches(map(str, range(10_000)), count, 4, 2, lambda path, error: None)
    next(batches)
    time.sleep(0.2)
    assert len(started) <= 4 + 2 * 4 + 2 + 1
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reader")]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bug_is_not_taken_for_a_bad_picture(num_workers):
    def buggy(path: str) -> np.ndarray:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(read_batches(["1", "2"], buggy, 1, num_workers, lambda path, error: None))


def test_no_workers_reads_in_this_thread():
    threads = []

    def where(path: str) -> np.ndarray:
        threads.append(threading.current_thread())
        return np.zeros((2, 2, 3), np.uint8)

    list(read_batches(["1", "2"], where, 2, 0, lambda path, error: None))
    assert set(threads) == {threading.main_thread()}
