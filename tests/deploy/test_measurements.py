"""The measurements of exports run and give figures that can be true."""

from imgcls.benchmarks.inference import measure_inference
from imgcls.benchmarks.predict import measure_predict


def test_inference():
    figures = measure_inference("mobilenetv1_x0_25", size=64, batch_size=2, steps=3, warmup=1, repeats=2)
    ways = {name.rpartition("_p50_ms")[0] for name in figures if name.endswith("_p50_ms")}
    assert {"eager", "jit", "inference"} <= ways
    for way in ways:
        assert 0 < figures[f"{way}_p50_ms"] <= figures[f"{way}_p90_ms"] <= figures[f"{way}_p99_ms"]
        assert abs(figures[f"{way}_images_per_s"] * figures[f"{way}_p50_ms"] / 1000 - 2) < 1e-6


def test_predict():
    figures = measure_predict("mobilenetv1_x0_25", size=64, batch_size=4, steps=6, warmup=2, repeats=1)
    assert figures["photos"] == 32
    slower = min(figures["decode_rate"], figures["network_rate"])
    assert abs(figures["of_the_slower"] - figures["predict_rate"] / slower) < 1e-9
    assert figures["predict_rate"] > 0
