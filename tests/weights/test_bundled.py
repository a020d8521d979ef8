"""The SqueezeNet1_1 weights that come with the library: small, offline, and right about four cats."""

import runpy

import numpy as np
import paddle
import pytest
from locations import ROOT
from PIL import Image

from imgcls import create_model, model_info
from imgcls.weights.load import ASSETS, load_pretrained
from imgcls.weights.source import read_weights

PHOTOS = ROOT / "imgcls" / "assets" / "sample_photos"
CATS = {
    "val/land_animal/tabby_cat.jpg": 281,
    "train/land_animal/persian_cat.jpg": 283,
    "train/land_animal/siamese_cat.jpg": 284,
    "train/land_animal/egyptian_cat.jpg": 285,
}


def preprocess(path):
    """Resize the short side to 256, crop 224 from the centre, normalise."""
    image = Image.open(path).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BILINEAR)
    left, top = ((side - 224) // 2 for side in image.size)
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
    info = model_info("squeezenet1_1")
    return ((pixels - np.float32(info.mean)) / np.float32(info.std)).transpose(2, 0, 1)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_arguments):
        raise AssertionError("the network was used")

    monkeypatch.setattr("socket.socket.connect", refuse)


def test_four_cats(no_network):
    network = create_model("squeezenet1_1", pretrained=True)
    network.eval()
    photos = np.stack([preprocess(PHOTOS / name) for name in CATS])
    assert network(paddle.to_tensor(photos)).argmax(1).tolist() == list(CATS.values())


def test_size_type_and_fit():
    file = ASSETS / "squeezenet1_1.npz"
    assert file.stat().st_size <= 2_700_000
    arrays = read_weights(file).arrays
    assert {array.dtype for array in arrays.values()} == {np.dtype("float16")}
    assert sum(array.size for array in arrays.values()) == model_info("squeezenet1_1").params
    network = create_model("squeezenet1_1", num_classes=5)
    report = load_pretrained(network, model_info("squeezenet1_1"), True)
    assert [mismatch.name for mismatch in report.reinitialised] == ["head.weight", "head.bias"]
    assert (len(report.loaded), report.unexpected) == (50, [])


def test_the_folded_first_convolution_equals_the_original():
    script = runpy.run_path(str(ROOT / "scripts" / "convert_squeezenet.py"))
    random = np.random.RandomState(0)
    weight, bias = random.randn(4, 3, 3, 3).astype(np.float32), random.randn(4).astype(np.float32)
    pixels = random.randint(0, 256, (1, 3, 8, 8)).astype(np.float64)  # RGB
    info = model_info("squeezenet1_1")
    normalised = (pixels / 255 - np.reshape(info.mean, (3, 1, 1))) / np.reshape(info.std, (3, 1, 1))
    caffe = pixels[:, ::-1] - np.reshape([103.939, 116.779, 123.68], (3, 1, 1))

    def conv(x, weight, bias):
        tensors = [paddle.to_tensor(np.ascontiguousarray(array), "float64") for array in (x, weight, bias)]
        return paddle.nn.functional.conv2d(*tensors).numpy()

    folded = script["fold_input"](weight, bias)
    np.testing.assert_allclose(conv(normalised, *folded), conv(caffe, weight, bias), rtol=1e-9)
