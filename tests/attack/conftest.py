"""Hostile files go to readers whose memory and CPU time the system limits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from locations import ROOT


@pytest.fixture(scope="session")
def ask_bounded():
    """``ask_bounded(reader, *paths)``: for each path the reader's message, or ``"read"``.

    What fails the test by itself: a child that dies of memory, of time or of a crash, and any error but a
    ``UserError``. A message that owes itself to the limit on memory is a failure too.
    """
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("bounded.py"))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(reader: str, *paths: Path) -> list[str]:
        process.stdin.write(json.dumps({"reader": reader, "paths": list(map(str, paths))}) + "\n")
        process.stdin.flush()
        result = json.loads(process.stdout.readline())
        assert "died" not in result, f"{reader} of {paths[:3]} ended with {result['died']}"
        for path, answer in zip(paths, result["answers"], strict=True):
            assert not answer.startswith("!"), f"{reader} of {path}: {answer}"
            assert "MemoryError" not in answer, f"{reader} of {path}: {answer}"
            assert "allocate" not in answer, f"{reader} of {path}: {answer}"
            assert len(answer) < 4000, f"{reader} of {path}: a message of {len(answer):,} characters"
        return result["answers"]

    yield ask
    process.stdin.close()
    process.wait(30)
    process.stdout.close()


@pytest.fixture
def refused(ask_bounded):
    """``refused(reader, path)``: the one message with which the reader refuses it."""

    def refuse(reader: str, path: Path) -> str:
        (answer,) = ask_bounded(reader, path)
        assert answer != "read", f"{reader} took {path}"
        return answer

    return refuse
