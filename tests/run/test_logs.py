"""Where the library's messages go, and what the first of them says."""

import logging
import re

import numpy as np
import paddle
import pytest

from imgcls.run.logs import log, start_log, system_line


@pytest.fixture
def restored():
    handlers, level, propagate = list(log.handlers), log.level, log.propagate
    yield
    for handler in log.handlers:
        handler.close()
    log.handlers[:], log.level, log.propagate = handlers, level, propagate


def test_to_the_terminal_as_they_are_and_to_the_file_with_times(restored, tmp_path, capsys):
    start_log()
    log.info("before there was a file")
    start_log(tmp_path / "train.log")
    log.warning("%d of %d", 1, 2)
    log.debug("too much")
    logging.getLogger("another").warning("somebody else's")
    assert capsys.readouterr().err.splitlines() == ["before there was a file", "1 of 2"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [\d:,]+ WARNING 1 of 2\n", (tmp_path / "train.log").read_text())


def test_a_file_is_continued(restored, tmp_path):
    for number in (1, 2):
        start_log(tmp_path / "train.log")
        log.info("part %d", number)
    assert [line[-6:] for line in (tmp_path / "train.log").read_text().splitlines()] == ["part 1", "part 2"]


def test_what_numbers_depend_on_is_in_one_line():
    line = system_line("0123456789ab")
    for part in (
        r"imgcls \d",
        rf"paddlepaddle(-gpu)? {re.escape(paddle.__version__)}",
        rf"numpy {re.escape(np.__version__)}",
        r"Python 3\.1\d",
        r"; commit \w",
        "; config 01",
    ):
        assert re.search(part, line), part
    assert "\n" not in line
