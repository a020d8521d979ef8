"""Reading ahead: order, batches, pictures that fail, how far ahead, and processes that die."""

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from imgcls.deploy.reader import read_batches
from imgcls.errors import UserError

SHAPE = (2, 2, 3)


def read(path: str) -> np.ndarray:
    time.sleep(0.01 if int(path) % 3 == 0 else 0)  # the first of three may be overtaken
    if int(path) % 5 == 4:
        raise UserError(f"{path} is broken")
    return np.full((2, 2, 3), int(path), np.uint8)


def buggy(path: str) -> np.ndarray:
    raise ZeroDivisionError("no such picture")


def deadly(path: str) -> np.ndarray:
    if path == "7":
        os.kill(os.getpid(), signal.SIGKILL)
    return np.zeros((2, 2, 3), np.uint8)


@dataclass(frozen=True)
class Noted:
    """Leaves a file named after each path it was asked for, with the number of its process in it."""

    directory: Path

    def __call__(self, path: str) -> np.ndarray:
        (self.directory / path).write_text(str(os.getpid()))
        return np.zeros((2, 2, 3), np.uint8)


def refuse(path: str, error: UserError) -> None:
    raise error


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_batches_in_order_without_the_bad(num_workers):
    bad = []
    paths = [str(number) for number in range(13)]
    batches = list(read_batches(paths, read, SHAPE, 4, num_workers, lambda path, error: bad.append((path, str(error)))))
    good = [path for path in paths if int(path) % 5 != 4]
    assert [names for names, _ in batches] == [good[:4], good[4:8], good[8:]]
    for names, images in batches:
        assert images.shape == (len(names), 2, 2, 3)
        assert [str(image[0, 0, 0]) for image in images] == names
    assert bad == [("4", "4 is broken"), ("9", "9 is broken")]


def test_other_processes_read_and_only_so_far_ahead(tmp_path):
    batches = read_batches(map(str, range(10_000)), Noted(tmp_path), SHAPE, 4, 2, refuse)
    next(batches)
    ahead = 2 * 4 + 2
    while len(os.listdir(tmp_path)) < 4 + ahead:
        time.sleep(0.01)
    assert {int(name) for name in os.listdir(tmp_path)} == set(range(4 + ahead))
    assert str(os.getpid()) not in {file.read_text() for file in tmp_path.iterdir()}
    batches.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bug_is_not_taken_for_a_bad_picture(num_workers):
    with pytest.raises(RuntimeError if num_workers else ZeroDivisionError, match="no such picture") as caught:
        list(read_batches(["1", "2"], buggy, SHAPE, 1, num_workers, refuse))
    if num_workers:
        assert 'raise ZeroDivisionError("no such picture")' in str(caught.value)


def test_a_process_that_is_killed():
    with pytest.raises(UserError, match=r"was killed at \d or soon after it.*predict\.resume=true"):
        list(read_batches(map(str, range(100)), deadly, SHAPE, 1, 2, refuse))


def test_no_workers_reads_in_this_process(tmp_path):
    list(read_batches(["1", "2"], Noted(tmp_path), SHAPE, 2, 0, refuse))
    assert {file.read_text() for file in tmp_path.iterdir()} == {str(os.getpid())}


def large(path: str) -> np.ndarray:
    return np.full((600, 600, 3), int(path), np.uint8)


def test_a_place_is_used_again_only_when_its_image_has_been_taken():
    read_one_by_one = read_batches(map(str, range(200)), large, (600, 600, 3), 1, 1, refuse, start="fork")
    for number, (_, images) in enumerate(read_one_by_one):
        assert (images == number).all()
