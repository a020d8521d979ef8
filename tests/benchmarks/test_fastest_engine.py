"""Whether what ``predict.engine=auto`` takes is the fastest: a line a network, and one about them all."""

import importlib.util

import pytest

from imgcls.benchmarks import fastest_engine
from imgcls.benchmarks.fastest_engine import Chosen, fastest_engines, measure_chosen
from imgcls.deploy import fastest
from imgcls.machine.cache import cache_directory
from imgcls.models.registry import model_info


def test_engines_are_measured_and_nothing_is_kept(monkeypatch, tmp_path):
    """Each that is installed, on a network that is fused for it."""
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path))
    monkeypatch.setattr(fastest, "ROUNDS", 1)
    chosen = measure_chosen(model_info("pplcnetv2_small"), 32, batch_size=1, steps=2, warmup=1, repeats=2)
    needed = {"inference": ["paddle"], "openvino": ["openvino"], "onnxruntime": ["onnxruntime", "paddle2onnx", "onnx"]}
    installed = {name for name, packages in needed.items() if all(map(importlib.util.find_spec, packages))}
    assert set(chosen.milliseconds) == installed
    assert chosen.engine in installed
    assert chosen.over_best >= 1
    assert min(chosen.milliseconds.values()) > 0
    assert cache_directory() == tmp_path
    assert not list(tmp_path.iterdir())


def test_what_is_far_is_not_measured_at_length(monkeypatch):
    def run(images):
        raise AssertionError

    engines = {"inference": run, "onnxruntime": lambda images: None, "openvino": lambda images: None}
    monkeypatch.setattr(fastest_engine.Fastest, "runs", lambda self, images: engines)
    times = {"inference": 8.0, "onnxruntime": 5.0, "openvino": 6.0}
    monkeypatch.setattr(fastest_engine, "measure", lambda runs, images: times)
    turns = iter([[4.0, 9.0], [4.0], [3.0, 3.0], [3.0]])
    monkeypatch.setattr(fastest_engine, "run_for_a_while", lambda *_: next(turns))
    chosen = measure_chosen(model_info("mobilenetv1_x0_25"), 32, 1, steps=1, warmup=0, repeats=2)
    assert chosen == Chosen("onnxruntime", {"inference": 8.0, "onnxruntime": 3.5, "openvino": 3.5})


def test_the_lines(monkeypatch):
    found = iter(
        [
            Chosen("openvino", {"inference": 3.0, "openvino": 2.0}),
            Chosen("openvino", {"inference": 2.0, "openvino": 2.2}),
            Chosen("inference", {"inference": 2.0, "openvino": 2.0}),
        ]
    )
    monkeypatch.setattr(fastest_engine, "measure_chosen", lambda *_: next(found))
    networks = [(model_info(name), 64) for name in ("resnet18", "resnet34", "resnet50")]
    *lines, last = fastest_engines(networks, batch_size=4, steps=3, warmup=1, repeats=2)
    assert lines == [
        "resnet18, 64 px: openvino 2.00, inference 3.00 ms; auto takes openvino: 1.00 of the best",
        "resnet34, 64 px: inference 2.00, openvino 2.20 ms; auto takes openvino: 1.10 of the best",
        "resnet50, 64 px: inference 2.00, openvino 2.00 ms; auto takes inference: 1.00 of the best",
    ]
    assert last.startswith(
        "3 networks, batch 4; taken: openvino 2, inference 1. Over the best at most 1.10; above 1.05: "
    )
    assert "above 1.05: resnet34." in last


@pytest.mark.parametrize("word", ["resnt50", "resnt*"])
def test_an_unknown_network_is_refused(ask, tmp_path, word):
    said = ask("benchmark", "auto", f"benchmark.networks=[resnet18,{word}]", cwd=tmp_path)
    assert said.returncode != 0
    assert f"benchmark.networks: there is no model '{word}'. Did you mean" in said.stderr
