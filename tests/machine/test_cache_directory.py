"""Where downloads are kept, also where nobody knows of a home."""

import os
import stat
import tempfile

import pytest

from imgcls.errors import UserError
from imgcls.machine.cache import cache_at, cache_directory


@pytest.fixture
def homeless(tmp_path, monkeypatch):
    """The directory among the temporary files that is taken then."""
    monkeypatch.delenv("IMGCLS_CACHE", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"imgcls-{os.getuid()}"


def test_without_a_home_nobody_else_can_write_there(homeless):
    assert cache_directory() == homeless
    assert stat.S_IMODE(homeless.stat().st_mode) == 0o700
    assert cache_directory() == homeless


def test_what_somebody_else_has_put_there_is_refused(homeless, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    homeless.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="IMGCLS_CACHE names another directory"):
        cache_directory()
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "elsewhere"))
    assert cache_directory() == tmp_path / "elsewhere"


@pytest.mark.parametrize("former", ["", "former"])
def test_another_one_meanwhile(former, monkeypatch, tmp_path):
    monkeypatch.delenv("IMGCLS_CACHE", raising=False)
    if former:
        monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / former))
    before = cache_directory()
    with cache_at(tmp_path / "meanwhile"):
        assert cache_directory() == tmp_path / "meanwhile"
    assert cache_directory() == before
