"""Disks that fill up or turn read-only under a run, and names that are no files where files are expected."""

import csv
import logging
import os

import pytest

from imgcls.errors import UserError
from imgcls.machine.spreadsheet import harmless
from imgcls.report.tables import _write_csv
from imgcls.run.lock import LOCK, hold
from imgcls.run.logs import log, start_log


def test_a_log_that_cannot_be_written_is_said_once(tmp_path, capsys):
    handlers, level, propagate = list(log.handlers), log.level, log.propagate
    try:
        start_log(tmp_path / "train.log")
        log.handlers[1].stream.close()
        log.handlers[1].stream = open("/dev/full", "w", buffering=1)  # noqa: SIM115 (closed by the handler)
        for number in range(3):
            log.info("line %d", number)
    finally:
        shown = capsys.readouterr().err.splitlines()
        log.handlers[:], log.level, log.propagate = handlers, level, propagate
    lacking = f"{tmp_path / 'train.log'} cannot be written (No space left on device): it lacks lines."
    assert sorted(shown) == sorted([lacking, *(f"line {number}" for number in range(3))])


def test_nobody_who_listens_is_no_error(monkeypatch, capsys):
    handlers, level, propagate = list(log.handlers), log.level, log.propagate
    try:
        start_log()
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w", buffering=1) as broken:
            log.handlers[0].stream = broken
            log.info("to nobody")
            os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # what it still holds has to go somewhere
    finally:
        log.handlers[:], log.level, log.propagate = handlers, level, propagate
    assert capsys.readouterr().err == ""


LOCKS = {
    "a directory": lambda path, other: path.mkdir(),
    "a link": lambda path, other: path.symlink_to(other),
    "a link to itself": lambda path, other: path.symlink_to(path.name),
    "a pipe": lambda path, other: os.mkfifo(path),
    "a device": lambda path, other: path.symlink_to("/dev/null"),
}


@pytest.mark.parametrize("kind", LOCKS)
def test_a_lock_that_is_no_file(tmp_path, kind):
    other = tmp_path / "diary.txt"
    other.write_text("dear diary")
    LOCKS[kind](tmp_path / LOCK, other)
    with pytest.raises(UserError, match=r"\.lock is no file of ours"):
        os.close(hold(tmp_path))
    assert other.read_text() == "dear diary"


def test_cells_that_a_spreadsheet_would_compute(tmp_path):
    """In every table: those for spreadsheets, and those that are opened with one all the same."""
    values = ["=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "@SUM(1)", "＝1", "-1.5", "+1e-3", "a=b", 7, -7.5, None]
    expected = ["'=cmd|' /C calc'!A0", "'+1+cmd", "'-2+3", "'@SUM(1)", "'＝1", *values[5:]]
    assert [harmless(value) for value in values] == expected
    _write_csv(tmp_path / "per_class.csv", ["class", "=x"], [["=cmd", 7, "-0.5"], ["dog", -7, "0.5"]])
    with (tmp_path / "per_class.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["class", "'=x"], ["'=cmd", "7", "-0.5"], ["dog", "-7", "0.5"]]


def test_a_log_shows_escapes_as_text(tmp_path, capsys):
    handlers, level, propagate = list(log.handlers), log.level, log.propagate
    try:
        start_log(tmp_path / "train.log")
        logging.getLogger("imgcls").warning("photo %s", "\x1b]0;owned\x07\x1b[2J\u202egpj.exe\x9b31m")
        for handler in log.handlers:
            handler.flush()
    finally:
        log.handlers[:], log.level, log.propagate = handlers, level, propagate
    for text in (capsys.readouterr().err, (tmp_path / "train.log").read_text(encoding="utf-8")):
        assert not set("\x1b\x07\u202e\x9b") & set(text)
        assert r"\x1b[2J" in text
