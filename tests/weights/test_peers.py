"""Weights of other libraries, held to the logits that those libraries gave for them (``reference/peers.npz``).

The values of both come from the names alone (``peers.values``); ``peers/test_cells.py`` has every network.
"""

import contextlib
import json

import numpy as np
import paddle
import pytest
from locations import REFERENCE
from peers.values import CLASSES, images, value

from imgcls import create_model
from imgcls.errors import UserError
from imgcls.models.registry import build_model, model_info
from imgcls.weights.load import load_pretrained
from imgcls.weights.peers import tricks
from imgcls.weights.peers.adopt import named_for_torch
from imgcls.weights.peers.convert import layers_of
from imgcls.weights.safetensors_file import write_safetensors
from imgcls.weights.torch_file import write_torch

SYMMETRIC, CEIL = {"padding_type": "DYNAMIC"}, {"ceil_mode": True}
CELLS = [
    ("torchvision/resnet18", "resnet18", {}, 64),
    ("torchvision/mobilenet_v2", "mobilenetv2", {}, 64),
    ("torchvision/mobilenet_v3_small", "mobilenetv3_small_100", {}, 64),
    ("torchvision/shufflenet_v2_x0_5", "shufflenetv2_x0_5", {}, 64),
    ("torchvision/squeezenet1_0", "squeezenet1_0", CEIL, 75),
    ("torchvision/squeezenet1_1", "squeezenet1_1", {**CEIL, "stem": (64, 3, 0)}, 75),
    ("torchvision/efficientnet_b0", "efficientnetb0", SYMMETRIC, 64),
    ("timm/resnet18d", "resnet18_vd", {}, 65),
    ("timm/mobilenetv1_100", "mobilenetv1", {"act": "relu6"}, 64),
    ("timm/mobilenetv2_100", "mobilenetv2", {}, 64),
    ("timm/efficientnet_b0", "efficientnetb0", SYMMETRIC, 64),
    ("timm/tf_efficientnet_b0", "efficientnetb0", {}, 65),
    ("timm/dpn68", "dpn68", {}, 64),
    *(
        pytest.param(*cell, marks=pytest.mark.full)
        for cell in (
            ("torchvision/densenet121", "densenet121", {}, 64),
            ("timm/seresnext50_32x4d", "se_resnext50_32x4d", {}, 64),
            ("timm/hrnet_w18", "hrnet_w18_c", {"align_corners": False}, 64),
            ("timm/darknet53", "darknet53", {"act": "leaky_relu"}, 64),
        )
    ),
]


def theirs(network, name, peer):
    """A state dict of the other library's network, by our map of its names and shapes."""
    identities(network)
    arrays, _ = named_for_torch(network, model_info(name), peer)
    return {key: array if "num_batches" in key else value(key, array.shape) for key, array in arrays.items()}


def identities(network):
    """Make identities of what a peer may not have, as weights that came from there do."""
    for key, layer in network.named_sublayers():
        if key in ("stages.0.0.shortcut", "features.1.expand") and hasattr(layer, "conv"):
            if key.startswith("stages") and network.depth >= 50:
                continue
            layer.conv.weight.set_value(tricks.identity_convolution(tuple(layer.conv.weight.shape)))
            for leaf, values in tricks.identity_batch_norm(layer.bn.weight.shape[0], 1e-5).items():
                getattr(layer.bn, leaf).set_value(values)


def logits(network, size):
    network.eval()
    with paddle.no_grad():
        return network(paddle.to_tensor(images(size))).numpy()


@pytest.mark.parametrize(("cell", "name", "arguments", "size"), CELLS)
def test_the_logits_of_the_other_library(tmp_path, cell, name, arguments, size):
    peer = cell.partition("/")[0]
    network = build_model(name, num_classes=CLASSES, **arguments)
    arrays = theirs(network, name, peer)
    file = tmp_path / ("weights.pth" if peer == "torchvision" else "weights.safetensors")
    write = write_torch if file.suffix == ".pth" else lambda path, tensors: write_safetensors(path, tensors, {})
    write(file, arrays)
    report = load_pretrained(network, model_info(name), file, pretrained_from=cell if "effic" in name else None)
    assert report.peer
    with np.load(REFERENCE / "peers.npz") as stored:
        expected = stored[cell]
    assert np.abs(logits(network, size) - expected).max() < 2e-5 * np.abs(expected).max()
    back, whose = named_for_torch(network, model_info(name), peer)
    assert whose == peer
    assert back.keys() == arrays.keys()
    for key, array in arrays.items() if "hrnet" not in name else ():  # whose biases are in its means now
        assert back[key].dtype == array.dtype
        np.testing.assert_allclose(back[key], array, rtol=1e-5, atol=1e-7)


@pytest.fixture(scope="module")
def resnet_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("peers") / "resnet18.pth"
    write_torch(file, theirs(build_model("resnet18", num_classes=CLASSES), "resnet18", "torchvision"))
    return file


def test_a_new_head_goes_on_top(resnet_file):
    network = create_model("resnet18", num_classes=3, pretrained=resnet_file)
    assert network.head.weight.shape == [512, 3]
    assert np.array_equal(network.stem[0].conv.weight.numpy(), value("conv1.weight", (64, 3, 7, 7)))


def test_without_a_last_layer(tmp_path):
    """As networks are kept that give features."""
    network = build_model("resnet18", num_classes=CLASSES)
    arrays, info = theirs(network, "resnet18", "torchvision"), model_info("resnet18")
    headless, half = tmp_path / "headless.pth", tmp_path / "half.pth"
    write_torch(headless, {key: array for key, array in arrays.items() if not key.startswith("fc.")})
    write_torch(half, {key: array for key, array in arrays.items() if key != "fc.bias"})
    with pytest.raises(UserError, match=r"no last layer and gives features\. 'model\.exclude=\[head\]'"):
        load_pretrained(network, info, headless)
    report = load_pretrained(network, info, headless, ["head"])
    assert report.excluded == ["head.weight", "head.bias"]
    with pytest.raises(UserError, match=r"missing: fc\.bias"):
        load_pretrained(network, info, half)


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [
        ("resnet34", None, r"not its resnet34; nothing was loaded\. missing: layer1\.2\.conv1\.weight"),
        ("resnet18_vd", None, "not its resnet18_vd; nothing was loaded"),
        ("resnet50", None, "does not fit resnet50; nothing was loaded"),
        ("mobilenetv1", None, "does not fit mobilenetv1; nothing was loaded"),
        ("mobilenetv3_small_x1_0", None, "its attention has other widths"),
        ("inceptionv4", None, "timm's is another form of the network"),
        ("resnet18", "keras", r"no such library\. Known are imgcls, torchvision, timm, paddleclas, paddle_vision"),
        ("resnet18", "paddleclas", "does not fit resnet18"),
    ],
)
def test_what_is_not_equal_is_refused(resnet_file, name, said, message):
    with pytest.raises(UserError, match=message):
        load_pretrained(build_model(name, num_classes=CLASSES), model_info(name), resnet_file, pretrained_from=said)


def test_a_larger_network_of_the_same_names_is_refused(tmp_path, resnet_file):
    write_torch(tmp_path / "a.pth", theirs(build_model("resnet34", num_classes=CLASSES), "resnet34", "torchvision"))
    with pytest.raises(UserError, match=r"left over: layer1\.2\.conv1\.weight"):
        create_model("resnet18", num_classes=CLASSES, pretrained=tmp_path / "a.pth")


def test_what_an_argument_would_make_equal(tmp_path):
    network = build_model("squeezenet1_0", num_classes=CLASSES, ceil_mode=True)
    write_torch(tmp_path / "s.pth", theirs(network, "squeezenet1_0", "torchvision"))
    with pytest.raises(UserError, match=r"It is the same with model\.args\.ceil_mode=true\."):
        create_model("squeezenet1_0", num_classes=CLASSES, pretrained=tmp_path / "s.pth")


def test_two_networks_of_the_same_names_are_asked_about(tmp_path):
    network = build_model("efficientnetb0", num_classes=CLASSES)
    arrays = theirs(network, "efficientnetb0", "timm")
    write_torch(tmp_path / "a.pth", arrays)
    with pytest.raises(UserError, match="pretrained_from=timm/tf_efficientnet_b0, or"):
        create_model("efficientnetb0", num_classes=CLASSES, pretrained=tmp_path / "a.pth")
    write_torch(tmp_path / "tf_efficientnet_b0-1234.pth", arrays)  # its own name tells
    create_model("efficientnetb0", num_classes=CLASSES, pretrained=tmp_path / "tf_efficientnet_b0-1234.pth")
    with pytest.raises(UserError, match=r"the same with model\.args\.padding_type=SAME"):
        create_model(
            "efficientnetb0", num_classes=CLASSES, pretrained=tmp_path / "tf_efficientnet_b0-1234.pth", **SYMMETRIC
        )


def test_a_network_that_only_looks_the_same(resnet_file, tmp_path):
    """A ``config.json`` says that it blurs, which no tensor shows."""
    copy = tmp_path / "model.pth"
    copy.write_bytes(resnet_file.read_bytes())
    for architecture, is_equal in (("resnet18.a1_in1k", True), ("resnetblur18", False), ("resnetaa18d", False)):
        copy.with_name("config.json").write_text(json.dumps({"architecture": architecture}), encoding="utf-8")
        refused = pytest.raises(UserError, match=f"is timm's {architecture}, which is not exactly resnet18")
        with contextlib.nullcontext() if is_equal else refused:
            create_model("resnet18", num_classes=CLASSES, pretrained=copy)


def test_a_file_for_a_family_that_no_other_library_has(tmp_path):
    write_torch(tmp_path / "a.pth", {"w": np.ones(3, np.float32)})
    with pytest.raises(UserError, match="No tensor of the file fits"):
        create_model("darts_4m", pretrained=tmp_path / "a.pth")


def test_what_was_learned_where_the_other_has_nothing_is_not_dropped():
    network = build_model("resnet18", num_classes=CLASSES)
    with pytest.raises(UserError, match=r"no stages\.0\.0\.shortcut, and this one has learned something there"):
        named_for_torch(network, model_info("resnet18"))
    arrays, whose = named_for_torch(network, model_info("resnet18"), "imgcls")
    assert whose == "imgcls"
    assert arrays.keys() == network.state_dict().keys()
    with pytest.raises(UserError, match="No weights of torchvision are exactly inceptionv4's"):
        named_for_torch(build_model("inceptionv4"), model_info("inceptionv4"))


def test_paddle_vision_by_order(tmp_path):
    for name, ours, size in (("mobilenet_v2", "mobilenetv2", 64), ("shufflenet_v2_x0_25", "shufflenetv2_x0_25", 64)):
        other = getattr(paddle.vision.models, name)(num_classes=CLASSES)
        for key, tensor in other.state_dict().items():
            tensor.set_value(value(key, tuple(tensor.shape)))
        paddle.save(other.state_dict(), str(tmp_path / "v.pdparams"))
        network = build_model(ours, num_classes=CLASSES)
        report = load_pretrained(network, model_info(ours), tmp_path / "v.pdparams")
        assert report.peer == "paddle.vision"
        expected = logits(other, size)
        assert np.abs(logits(network, size) - expected).max() < 2e-5 * np.abs(expected).max()


def test_paddleclas_by_its_variable_names(tmp_path):
    """A file of other structured names, and of ours as variable names; its dropout does not scale at inference."""
    source = build_model("squeezenet1_1", num_classes=CLASSES)
    state = source.state_dict()
    layers = reversed(layers_of(state).items())
    other = {f"_{n}._conv.{leaf}": state[f"{key}.{leaf}"] for n, (key, leaves) in enumerate(layers) for leaf in leaves}
    paddle.save(other, str(tmp_path / "clas.pdparams"))
    network = build_model("squeezenet1_1", num_classes=CLASSES)
    report = load_pretrained(network, model_info("squeezenet1_1"), tmp_path / "clas.pdparams")
    assert report.peer == "PaddleClas"
    assert np.array_equal(logits(network, 64), logits(source, 64))
