"""The cache that is shared and bounded: what was not used for longest goes first, damage is fetched anew."""

import os
from concurrent.futures import ProcessPoolExecutor

from imgcls.machine.bounded_cache import PARTS, BoundedCache


def kept(directory):
    return [path for path in directory.glob("??/*") if not path.name.startswith(".")]


def fill(directory, limit, first):
    cache = BoundedCache(directory, limit)
    for number in range(first, first + 200):
        cache.put(f"name {number}", bytes([number % 256]) * 500)


def test_several_processes_stay_within_the_bound(tmp_path):
    limit = 100 * 504
    with ProcessPoolExecutor(3) as pool:
        list(pool.map(fill, [tmp_path] * 3, [limit] * 3, [0, 100, 200]))
    assert 0 < sum(path.stat().st_size for path in kept(tmp_path)) <= limit
    cache = BoundedCache(tmp_path, limit)
    found = [cache.get(f"name {number}") for number in range(400)]
    assert any(found)
    assert all(one in (None, bytes([number % 256]) * 500) for number, one in enumerate(found))


def test_what_was_used_last_stays(tmp_path):
    cache = BoundedCache(tmp_path, 300 * PARTS)
    alike = [f"x{number}" for number in range(9999) if cache._path(f"x{number}").parent.name == "07"][:4]
    for age, name in enumerate(alike[:3]):
        cache.put(name, bytes([age]) * 80)
        os.utime(cache._path(name), (age, age))
    assert cache.get(alike[0]) == bytes(80)
    cache.put(alike[3], b"new" * 20)
    assert cache.get(alike[1]) is None
    assert cache.get(alike[3]) == b"new" * 20


def test_damage_and_what_is_too_large_are_not_kept(tmp_path):
    cache = BoundedCache(tmp_path, PARTS * 1000)
    cache.put("a", b"content")
    cache._path("a").write_bytes(b"\0\0\0\0content")
    assert cache.get("a") is None
    assert not cache._path("a").exists()
    cache.put("b", bytes(1000))
    assert cache.get("b") is None
    nothing = BoundedCache(tmp_path / "none", 0)
    nothing.put("a", b"")
    assert nothing.get("a") is None
    assert not (tmp_path / "none").exists()


def test_where_nothing_can_be_written_it_does_no_harm(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    cache = BoundedCache(tmp_path / "file", 1 << 20)
    cache.put("a", b"content")
    assert cache.get("a") is None
