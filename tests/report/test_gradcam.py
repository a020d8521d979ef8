"""Grad-CAM against closed forms, finite differences, and what it is for."""

import numpy as np
import paddle
import pytest
from locations import ROOT
from paddle import nn
from PIL import Image

import imgcls
from imgcls.functional.normalize import normalize
from imgcls.models.layers import Network
from imgcls.report.gradcam import grad_cam

SMALL = 14e6  # parameters a network may have to run by default


def smallest_of_each_family() -> list:
    smallest: dict[str, imgcls.models.registry.ModelInfo] = {}
    for info in map(imgcls.model_info, imgcls.list_models()):
        if info.module not in smallest or info.params < smallest[info.module].params:
            smallest[info.module] = info
    marks = {True: (), False: (pytest.mark.full,)}
    return [pytest.param(info.name, marks=marks[info.params < SMALL], id=info.name) for info in smallest.values()]


def normalised(maps: np.ndarray) -> np.ndarray:
    maps = np.maximum(maps, 0)
    return maps / np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-12)


def test_with_an_average_and_one_layer_it_is_the_class_activation_map():
    """There the gradient is the layer's weight, the same everywhere (arXiv:1610.02391, section 3.1)."""
    paddle.seed(5)
    network = imgcls.create_model("mobilenetv1_x0_25", num_classes=7)
    network.eval()
    images, classes = paddle.randn([7, 3, 96, 96]), list(range(7))
    features = network.forward_features(images).numpy()
    weights = network.head.weight.numpy().T[classes]
    expected = normalised(np.einsum("nkhw,nk->nhw", features, weights))
    maps = grad_cam(network, images, paddle.to_tensor(classes))
    assert maps.dtype == np.float32
    assert expected.any(axis=(1, 2)).sum() > 3
    np.testing.assert_allclose(maps, expected, atol=1e-5)


class Curved(Network):
    """Four maps, and a head whose gradient is another at every place."""

    num_features = 4

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2D(3, 4, 3, stride=4)
        self.head = nn.Linear(4, 3)

    def forward_maps(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.stem(x)

    def forward_head(self, features: paddle.Tensor) -> paddle.Tensor:
        return self.head((features**3).mean(axis=(2, 3)))


def test_weights_are_mean_gradients():
    """Raising a whole map by a little changes the logit by the sum of its gradient."""
    paddle.seed(2)
    network = Curved()
    network.eval()
    images, classes, little = paddle.randn([2, 3, 33, 33]), [2, 1], 1e-2
    features = network.forward_features(images).detach()
    weights = np.zeros((2, 4))
    for channel in range(4):
        step = paddle.zeros_like(features)
        step[:, channel] = little
        up, down = (network.forward_head(features + sign * step).numpy() for sign in (1, -1))
        weights[:, channel] = (up - down)[[0, 1], classes] / (2 * little) / features[0, 0].size
    expected = normalised(np.einsum("nkhw,nk->nhw", features.numpy(), weights))
    np.testing.assert_allclose(grad_cam(network, images, paddle.to_tensor(classes)), expected, atol=2e-3)


@pytest.mark.parametrize("name", smallest_of_each_family())
def test_every_family(name):
    info = imgcls.model_info(name)
    size = 139 if info.module in ("inception_v4", "xception", "xception_deeplab") else min(96, info.input_size)
    paddle.seed(1)
    network = imgcls.create_model(name, num_classes=4)
    network.eval()
    before = {key: tensor.numpy().copy() for key, tensor in network.state_dict().items()}
    images = paddle.randn([2, 3, size, size])
    maps = np.concatenate([grad_cam(network, images, paddle.full([2], label, "int64")) for label in range(4)])
    assert maps.shape == (8, *network.forward_features(images).shape[2:])
    assert maps.min() >= 0
    strongest = maps.max(axis=(1, 2))
    assert set(strongest.tolist()) <= {0.0, 1.0}
    assert strongest.any()
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(np.array_equal(before[key], tensor.numpy()) for key, tensor in network.state_dict().items())


def test_channels_last_computes_the_same():
    paddle.seed(3)
    network = imgcls.create_model("mobilenetv1_x0_25", num_classes=4)
    network.eval()
    images, classes = paddle.randn([2, 3, 64, 64]), paddle.to_tensor([1, 3])
    expected = grad_cam(network, images, classes)
    network.set_data_format("NHWC")
    np.testing.assert_allclose(grad_cam(network, images, classes), expected, atol=1e-4)


def test_what_speaks_for_nothing_is_all_zero():
    network = Curved()
    network.eval()
    network.head.weight.set_value(paddle.zeros([4, 3]))
    images, classes = paddle.randn([1, 3, 33, 33]), paddle.to_tensor([0])
    assert not grad_cam(network, images, classes).any()
    network.head.weight.set_value(paddle.full([4, 3], float("nan")))
    assert not grad_cam(network, images, classes).any()


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_map_is_where_the_animal_is(side):
    """A cat beside an even grey: what the bundled network calls a cat lies on the cat's side."""
    photo = next((ROOT / "imgcls" / "assets" / "sample_photos").rglob("siamese*.jpg"))
    size = 224
    canvas = Image.new("RGB", (size, size), (124, 116, 104))
    canvas.paste(Image.open(photo).convert("RGB").resize((size // 2, size)), (0 if side == "left" else size // 2, 0))
    network = imgcls.create_model("squeezenet1_1", pretrained=True)
    network.eval()
    pixels = paddle.to_tensor(np.asarray(canvas)[None])
    (heat,) = grad_cam(
        network, normalize(pixels, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), paddle.to_tensor([284])
    )
    half = heat.shape[1] // 2
    halves = {"left": heat[:, :half].mean(), "right": heat[:, -half:].mean()}
    assert halves.pop(side) > 2 * max(halves.values())
