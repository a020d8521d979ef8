"""``engine=auto``: the engine that is fastest here for a batch, found once and remembered."""

import json

import numpy as np
import pytest

from imgcls.deploy import engines, fastest
from imgcls.deploy.fastest import Fastest
from imgcls.deploy.predictor import open_export
from imgcls.errors import UserError
from imgcls.machine import cpu


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Where choices are kept; on a machine that is idle, unless a test says otherwise."""
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fastest, "ROUNDS", 1)
    monkeypatch.setattr(fastest, "REST_SECONDS", 0)
    monkeypatch.setattr(cpu, "load", lambda: 0.0)
    return tmp_path / "cache" / "engines"


def slow(run):
    """An engine with the same answers that takes a thousand times its time, by the clock that measures."""

    def later(images):
        Clock.now += 1.0
        return run(images)

    return later


class Clock:
    """In place of the time module: time passes where a test says so, whatever the machine is doing."""

    now = 0.0

    @classmethod
    def perf_counter(cls):
        cls.now += 0.03
        return cls.now

    sleep = staticmethod(lambda seconds: None)


@pytest.fixture
def three(exports, monkeypatch):
    """Three engines that run the graph: the second is the fastest, the third is wrong and faster still."""
    real = engines.ENGINES["inference"]
    made = []

    def of(name, change):
        def engine(directory, threads=None, **options):
            made.append(name)
            return change(real(directory, threads=threads))

        return engine

    wrong = lambda run: lambda images: run(images) + 1.0  # noqa: E731
    table = {"a": of("a", slow), "b": of("b", lambda run: run), "c": of("c", wrong)}
    monkeypatch.setattr(fastest, "ENGINES", table)
    monkeypatch.setattr(fastest, "ENGINES_OF", dict.fromkeys(("paddle", "pir"), ("a", "b", "c")))
    monkeypatch.setattr(fastest, "time", Clock)
    return made


def network_input(count=2):
    return np.zeros((count, 3, 224, 224), np.float32)


def test_the_fastest_of_those_that_agree(three, exports, cache, caplog):
    caplog.set_level("INFO")
    run = Fastest(exports["float"])
    expected = open_export(exports["float"], "inference").run(network_input())
    assert (run(network_input()) == expected).all()
    assert "the engine c is left out: its answers differ from those of a" in caplog.text
    assert "engine for batches of 2: b is the fastest of: b" in caplog.text
    (kept,) = cache.iterdir()
    content = json.loads(kept.read_text())
    assert list(content["milliseconds"]) == ["b", "a"]
    assert content["batch"] == [2, 3, 224, 224]
    assert content["machine"] == cpu.name()


def test_it_is_remembered_for_this_shape(three, exports, cache, caplog):
    caplog.set_level("INFO")
    assert Fastest(exports["float"]).choose(network_input()) == "b"
    three.clear()
    assert Fastest(exports["float"]).choose(network_input()) == "b"
    assert three == ["b"]
    assert "as remembered" in caplog.text
    assert Fastest(exports["float"]).choose(network_input(1)) == "b"
    assert three == ["b", "a", "b", "c", "b"], "another shape is measured"
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"milliseconds": {"z": 1}, "was_busy": false}', "{" * 300])
def test_what_is_damaged_is_measured_anew(content, three, exports, cache):
    Fastest(exports["float"]).choose(network_input())
    (kept,) = cache.iterdir()
    whole = json.loads(kept.read_text())
    kept.write_text(content)
    assert Fastest(exports["float"]).choose(network_input()) == "b"
    assert json.loads(kept.read_text()).keys() == whole.keys()


def test_a_busy_machine_is_named_and_asked_again(three, exports, cache, caplog, monkeypatch):
    monkeypatch.setattr(cpu, "load", lambda: 1000.0)
    Fastest(exports["float"]).choose(network_input())
    assert "the machine is busy (load 1000.0)" in caplog.text
    three.clear()
    Fastest(exports["float"]).choose(network_input())
    assert three == ["b"], "as long as it is busy, what was found counts"
    monkeypatch.setattr(cpu, "load", lambda: 0.0)
    three.clear()
    Fastest(exports["float"]).choose(network_input())
    assert set(three) == {"a", "b", "c"}


def test_a_cache_that_cannot_be_written_is_no_hindrance(three, exports, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "file"))
    assert Fastest(exports["float"]).choose(network_input()) == "b"


def test_no_engine_at_all(exports, monkeypatch):
    def fails(directory, **options):
        raise UserError("it is broken")

    monkeypatch.setattr(fastest, "ENGINES", dict.fromkeys(("a", "b"), fails))
    monkeypatch.setattr(fastest, "ENGINES_OF", dict.fromkeys(("paddle", "pir"), ("a", "b")))
    with pytest.raises(UserError, match="No engine that is installed can run"):
        Fastest(exports["float"]).choose(network_input())


def test_the_engines_that_are_there(exports, images, monkeypatch):
    """Real ones, as far as they are installed: whichever it is, the answers are the network's."""
    monkeypatch.setattr(fastest, "CONVERTERS", ("a_package_that_nobody_has",))  # the others take no time to begin
    expected = open_export(exports["float"]).logits(images)
    found = open_export(exports["float"], "auto", threads=1).logits(images)
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("seconds", "batches"),
    [(0.002, 50), (0.09, 5), (0.3, 4), (2.0, 1)],
    ids=["small", "of a tenth of a second", "slow", "slowest"],
)
def test_a_block_has_enough_batches_and_an_end(seconds, batches):
    counts = [count for count in range(1, 100) if fastest.is_block(count * [1000 * seconds])]
    assert counts[0] == batches


def test_those_that_are_close_are_measured_again(monkeypatch):
    """Of two that are as fast, a program beside the first rounds of one does not make it the slower one."""
    monkeypatch.setattr(fastest, "ROUNDS", 3)
    monkeypatch.setattr(fastest, "ROUNDS_OF_CLOSE", 3)
    monkeypatch.setattr(fastest, "BLOCK_BATCHES", 1)
    monkeypatch.setattr(fastest, "time", Clock)
    monkeypatch.setattr(Clock, "now", 0.0)
    calls = []

    def takes(name, seconds):
        def run(images):
            calls.append(name)
            Clock.now += seconds[min(calls.count(name) - 1, len(seconds) - 1)]

        return run

    disturbed = 4 * [0.2 + 0.05] + [0.2]  # the second calls of two rounds of three
    runs = {"far": takes("far", [0.4]), "near": takes("near", [0.22]), "best": takes("best", disturbed)}
    times = fastest.measure(runs, None)
    assert [calls.count(name) for name in runs] == [6, 12, 12]
    assert min(times, key=times.get) == "best"
