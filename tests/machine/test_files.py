"""Whatever happens while something is written, there is the old or the new, whole, and nothing beside it."""

import hashlib
import os
from multiprocessing import get_context

import pytest

from imgcls.machine.files import atomic_write, remove, sha256


def make(path, kind, text):
    if kind == "file":
        path.write_text(text)
    elif kind == "link":
        path.symlink_to(text)
    else:
        (path / "inner").mkdir(parents=True)
        (path / "inner" / "file").write_text(text)


def content(path, kind):
    if kind == "link":
        return os.readlink(path)
    return (path if kind == "file" else path / "inner" / "file").read_text()


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_new_and_replaced(tmp_path, kind, durable):
    for text in ("old", "new"):
        with atomic_write(tmp_path / "name", durable=durable) as partial:
            make(partial, kind, text)
            assert not (tmp_path / "name").exists() or content(tmp_path / "name", kind) == "old"
        assert content(tmp_path / "name", kind) == text
        assert os.listdir(tmp_path) == ["name"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_a_failure_leaves_what_was_there(tmp_path, kind, error):
    def fail():
        with atomic_write(tmp_path / "name") as partial:
            make(partial, kind, "new")
            raise error

    for expected in ([], ["name"]):
        with pytest.raises(error):
            fail()
        assert os.listdir(tmp_path) == expected
        if not expected:
            make(tmp_path / "name", kind, "old")
    assert content(tmp_path / "name", kind) == "old"


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_a_kill_left_is_no_obstacle(tmp_path, kind):
    make(tmp_path / ".name.partial", kind, "half of what a killed process wrote")
    with atomic_write(tmp_path / "name") as partial:
        assert not partial.exists()
        make(partial, "file", "whole")
    assert os.listdir(tmp_path) == ["name"]


def test_a_name_that_cannot_be_taken(tmp_path):
    (tmp_path / "name").mkdir()
    with pytest.raises(IsADirectoryError), atomic_write(tmp_path / "name") as partial:
        partial.write_text("a file where an empty directory is")
    assert os.listdir(tmp_path) == ["name"]


def _write_often(path, text):
    for _ in range(50):
        with atomic_write(path, shared=True) as partial:
            partial.write_text(text * 10_000)


def test_processes_that_write_the_same_file(tmp_path):
    """Each time it is the whole text of one of them."""
    context = get_context("fork")
    writers = [context.Process(target=_write_often, args=(tmp_path / "name", text)) for text in "ab"]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if (tmp_path / "name").exists():
            seen.add((tmp_path / "name").read_text())
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen <= {"a" * 10_000, "b" * 10_000}
    assert os.listdir(tmp_path) == ["name"]


def test_remove(tmp_path):
    make(tmp_path / "kept", "directory", "text")
    for kind in ("file", "directory", "link"):
        path = tmp_path / "name"
        make(path, kind, str(tmp_path / "kept") if kind == "link" else "text")
        remove(path)
        remove(path)
        assert os.listdir(tmp_path) == ["kept"]
    assert content(tmp_path / "kept", "directory") == "text"


def test_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"content" * 100_000)
    assert sha256(tmp_path / "file") == hashlib.sha256(b"content" * 100_000).hexdigest()
