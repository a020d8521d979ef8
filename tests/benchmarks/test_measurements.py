"""Each measurement runs and gives figures that can be true."""

import pytest

from imgcls.benchmarks.inference import measure_inference
from imgcls.benchmarks.model import measure_model
from imgcls.benchmarks.predict import measure_predict
from imgcls.benchmarks.trainer import measure_trainer
from imgcls.models.registry import model_info


@pytest.fixture(autouse=True)
def without_rests(monkeypatch):
    monkeypatch.setattr("imgcls.benchmarks.inference.REST_SECONDS", 0)


def test_inference(monkeypatch):
    monkeypatch.setattr("imgcls.benchmarks.inference._are_installed", lambda *packages: False)  # test_inference_table
    figures = measure_inference("mobilenetv1_x0_25", size=64, batch_size=2, steps=3, warmup=1, repeats=2)
    ways = {name.rpartition("_p50_ms")[0] for name in figures if name.endswith("_p50_ms")}
    assert {"eager", "jit", "inference"} <= ways
    for way in ways:
        assert 0 < figures[f"{way}_p50_ms"] <= figures[f"{way}_p90_ms"] <= figures[f"{way}_p99_ms"]
        assert abs(figures[f"{way}_images_per_s"] * figures[f"{way}_p50_ms"] / 1000 - 2) < 1e-6


def test_inference_table(monkeypatch, capsys):
    """The fastest first; how busy the machine was is in it, and warned of. int8 takes long to make, and is left out."""
    pytest.importorskip("openvino")
    from rich.console import Console

    from imgcls.benchmarks import inference
    from imgcls.machine import cpu

    monkeypatch.setattr(cpu, "load", lambda: 1000.0)
    monkeypatch.setattr(inference, "_are_installed", lambda *packages: "openvino" in packages)
    told = []
    monkeypatch.setattr(inference.log, "warning", lambda text, *values: told.append(text % values))
    (table,) = inference.inference_table("mobilenetv1_x0_25", size=64, batch_size=2, steps=2, warmup=1, repeats=1)
    Console(width=200).print(table)
    shown = capsys.readouterr().out
    assert "load 1000.0 before" in shown
    assert "the machine is busy (load 1000.0" in told[0]
    assert set(table.columns[0].cells) >= {"eager", "jit", "inference", "openvino", "openvino_streams"}
    ratios = list(map(float, table.columns[-1].cells))
    assert ratios == sorted(ratios)
    assert ratios[0] == 1


def test_predict():
    figures = measure_predict("mobilenetv1_x0_25", size=64, batch_size=4, steps=6, warmup=2, repeats=1)
    assert figures["photos"] == 32
    slower = min(figures["decode_rate"], figures["network_rate"])
    assert abs(figures["of_the_slower"] - figures["predict_rate"] / slower) < 1e-9
    assert figures["predict_rate"] > 0


@pytest.mark.parametrize("name", ["mobilenetv1_x0_25", "googlenet", pytest.param("darts_4m", marks=pytest.mark.full)])
def test_model(name):
    """Also with three heads in training, and where one pass of oneDNN fails on the graph."""
    figures = measure_model(name, size=64, batch_size=1, steps=1, warmup=0, repeats=2)
    info = model_info(name)
    assert figures["parameters"] == info.params
    assert 0 < figures["macs"] < info.macs
    assert min(figures[way] for way in ("forward_ms", "forward_backward_ms", "inference_ms")) > 0
    assert figures["speedup"] == pytest.approx(figures["forward_ms"] / figures["inference_ms"])


def test_trainer():
    figures = measure_trainer("mobilenetv1_x0_25", size=32, batch_size=2, steps=2, warmup=1, repeats=3)
    assert figures["fit"] > 0
    assert figures["loop"] > 0
    assert figures["ratio"] > 0
