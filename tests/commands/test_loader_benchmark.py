"""``imgcls.benchmark benchmark.what=loader``: every way of reading in one table, on pictures of one's own."""

import re
from importlib.util import find_spec

import numpy as np
from PIL import Image

OTHERS = {"OpenCV, as the original": "cv2", "DALI on the CPU": "nvidia.dali"}


def installed(module):
    return find_spec(module.split(".")[0]) is not None and find_spec(module) is not None


def test_rates_of_every_way_on_given_pictures(run_program, tmp_path):
    directory = tmp_path / "photos" / "train" / "noise"
    directory.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(5):
        pixels = rng.integers(0, 256, (240, 320, 3), np.uint8)
        Image.fromarray(pixels).save(directory / f"{number}.jpg")
    arguments = ("benchmark.what=loader", "benchmark.steps=15", "benchmark.repeats=1", "benchmark.batch_size=4")
    text = run_program("benchmark", *arguments, "data=folder", f"data.root={tmp_path / 'photos'}", cwd=tmp_path).stdout
    assert "the given pictures (320 x 240" in text
    rates = {}
    figure = r"([\d,.]+|nan)"  # a machine that is busy may need longer for few pictures than for more
    for name, *figures in re.findall(rf"│ (\S.*?) +│ {figure} +│ {figure} +│ {figure} +│", text):
        rates[name] = [float(figure.replace(",", "")) for figure in figures]
    by_opencv = {"this library, OpenCV's pixels", "OpenCV's pixels, one process"} if installed("cv2") else set()
    available = {name for name, module in OTHERS.items() if installed(module)}
    own = {"decoding alone (Pillow)", "this library", "this library, one process", "paddle.vision.transforms"}
    assert rates.keys() == own | by_opencv | available
    assert all(figure > 0 or np.isnan(figure) for figures in rates.values() for figure in figures)
    assert rates["this library"][2] == 1 or np.isnan(rates["this library"][2])
    for name in OTHERS.keys() - available:
        assert re.search(f"{name}: .* is not installed", text)
    assert re.search(r"this library: ([\d.]+|nan) of decoding alone by CPU time; 2 workers", text)
    assert 0 < int(re.search(r"decoding is (\d+)% of this library's own time", text)[1]) < 100
