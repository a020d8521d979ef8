"""A file system without locks, as its error tells of it: no such file system can be made here."""

import errno
import fcntl

import pytest

from imgcls.errors import UserError
from imgcls.run.directory import RunDirectory
from imgcls.weights.download import fetch


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP])
def no_locks(request, monkeypatch):
    def refuse(*arguments):
        raise OSError(request.param, "No locks available")

    for name in ("lockf", "flock"):
        monkeypatch.setattr(fcntl, name, refuse)


def test_it_is_named_and_can_be_used_by_choice(tmp_path, no_locks):
    with pytest.raises(UserError) as refused:
        RunDirectory(tmp_path / "run", None, pytest.fail)
    assert f"The file system of {tmp_path / 'run'} has no locks (No locks available)" in str(refused.value)
    assert "run.lock=false" in str(refused.value)
    assert "Another process" not in str(refused.value)
    with RunDirectory(tmp_path / "run", None, pytest.fail, lock=False) as run:
        assert run.start_from is None
    assert '"finished"' in (run.path / "status.json").read_text(encoding="utf-8")


def test_a_held_run_is_still_another_processs(tmp_path, monkeypatch):
    def held(*arguments):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(fcntl, "lockf", held)
    with pytest.raises(UserError, match="Another process is writing the run"):
        RunDirectory(tmp_path / "run", None, pytest.fail)


def test_the_cache_of_weights_says_where_else_it_can_be(tmp_path, no_locks):
    with pytest.raises(UserError, match="Point IMGCLS_CACHE to a directory on another disk"):
        fetch("http://localhost:9/ResNet50_pretrained.tar", cache=tmp_path)
