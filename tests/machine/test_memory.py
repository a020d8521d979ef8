"""Memory that programs can still have: of a container, what the kernel keeps of files counts as free."""

import pytest

from imgcls.machine import memory

GB = 1 << 30


@pytest.fixture
def group(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "GROUP", tmp_path)

    def write(limit, taken, stat=""):
        for name, content in {"memory.max": limit, "memory.current": taken, "memory.stat": stat}.items():
            (tmp_path / name).write_text(f"{content}\n")

    return write


def test_files_that_a_container_has_read_do_not_fill_it(group):
    """Training reads more of them than the container has memory."""
    group(GB // 8, GB // 8, f"anon {GB // 32}\nactive_file 7\ninactive_file {GB // 16}\nfile {GB // 8}")
    assert memory.available() == GB // 16
    group(GB // 8, GB // 16)
    assert memory.available() == GB // 16
    group(GB // 8, GB // 4)
    assert memory.available() == 0


def test_without_a_limit_it_is_the_machines(group):
    group("max", GB // 16)
    whole = memory.available()
    assert whole is None or whole > GB // 16
