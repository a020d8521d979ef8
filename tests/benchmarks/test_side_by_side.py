"""Latencies of several networks in one run: a row each, whatever engines there are."""

import importlib.util

import pytest

from imgcls.benchmarks import side_by_side
from imgcls.models.registry import model_info

NAMES = ("mobilenetv1_x0_25", "pplcnetv2_small")  # the second in its fused form


def networks(size):
    return [(model_info(name), size) for name in NAMES]


def test_each_has_its_turns(monkeypatch):
    built = []
    monkeypatch.setattr(
        side_by_side, "eager", lambda network, eager=side_by_side.eager: built.append(network) or eager(network)
    )
    times = side_by_side.measure_side_by_side(networks(32), batch_size=2, steps=3, warmup=1, repeats=2)
    assert list(times) == list(NAMES)
    ways = [way for way in side_by_side.WAYS if way != "openvino" or importlib.util.find_spec("openvino")]
    for found in times.values():
        assert list(found) == ways
        assert all(len(values) == 6 and min(values) > 0 for values in found.values())
    assert [getattr(network, "deploy", None) for network in built] == [None, True]


def test_the_table(monkeypatch):
    """Medians in milliseconds, the largest spread, and how much faster the fastest engine is."""
    first = {"eager": [20.0, 30.0, 40.0], "inference": [10.0] * 3}
    second = {"eager": [5.0] * 3, "inference": [10.0] * 3}
    monkeypatch.setattr(side_by_side, "measure_side_by_side", lambda *_: dict(zip(NAMES, (first, second), strict=True)))
    (table,) = side_by_side.side_by_side_table(networks(64), batch_size=1, steps=3, warmup=1, repeats=1)
    assert [str(column.header) for column in table.columns] == [
        *("network", "px", "eager", "inference", "spread", "eager/\nbest")
    ]
    cells = list(zip(*(column.cells for column in table.columns), strict=True))
    assert cells[0] == ("mobilenetv1_x0_25", "64", "30.0", "10.0", "33%", "3.0")
    assert cells[1] == ("pplcnetv2_small", "64", "5.0", "10.0", "0%", "1.0")
    assert "load" in table.caption


def test_an_unknown_network_is_refused_before_anything_is_measured(ask, tmp_path):
    said = ask("benchmark", "latency", "benchmark.networks=[resnet18,resnet501]", cwd=tmp_path)
    assert said.returncode != 0
    assert "benchmark.networks: there is no model 'resnet501'. Did you mean" in said.stderr


@pytest.mark.parametrize("words", [("latency", "benchmark.networks=[]"), ("latency", "benchmark.image_size=0")])
def test_what_cannot_be_asked(ask, tmp_path, words):
    assert ask("benchmark", *words, cwd=tmp_path).returncode != 0
