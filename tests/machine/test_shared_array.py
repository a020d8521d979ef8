"""Memory that processes share without being relatives."""

import os
import subprocess
import sys

import numpy as np
import pytest
from locations import ROOT

from imgcls.machine.shared_array import SentArray, borrowed

SHAPE = (2, 3)
BORROWER = """
import sys
from imgcls.machine.shared_array import borrowed
array = borrowed(sys.argv[1], (2, 3))
print(None if array is None else array.tolist())
if array is not None:
    array[1] += 1
"""


def borrow_elsewhere(name: str) -> str:
    command = [sys.executable, "-c", BORROWER, name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


def test_another_process_finds_it_by_its_name():
    sent = SentArray(SHAPE)
    sent.array[:] = 5
    assert borrow_elsewhere(sent.lend()) == "[[5, 5, 5], [5, 5, 5]]"
    assert sent.array.tolist() == [[5, 5, 5], [6, 6, 6]]


def test_it_stays_where_the_lender_has_gone():
    sent = SentArray(SHAPE)
    array = borrowed(sent.lend(), SHAPE)
    array[0] = 7
    lenders = sent.array
    del sent
    assert lenders[0].tolist() == [7, 7, 7]


@pytest.mark.parametrize("change", ["process", "file", "identity", "nothing", "words", "a path"])
def test_what_is_not_that_memory_is_not_taken(change, tmp_path):
    """A file of the same number in another process, or on another machine."""
    sent, other = SentArray(SHAPE), SentArray(SHAPE)
    process, file, identity = sent.lend().split(" ")
    name = {
        "process": f"{2**22} {file} {identity}",
        "file": f"{process} {other.lend().split(' ')[1]} {identity}",
        "identity": f"{process} {file} {other.lend().split(' ')[2]}",
        "nothing": "",
        "words": f"self {file} {identity}",
        "a path": f"1/../../{process} {file} {identity}",
    }[change]
    assert borrowed(name, SHAPE) is None
    assert np.all(sent.array == 0)


def test_too_little_memory_is_not_taken():
    sent = SentArray(SHAPE)
    assert borrowed(sent.lend(), (2, 4)) is None
