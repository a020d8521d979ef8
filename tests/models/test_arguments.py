"""Arguments that cannot be and images too small: refused in a message, before Paddle stumbles over them."""

import inspect
from importlib import import_module

import numpy as np
import paddle
import pytest
from paddle import nn
from zoo import families

import imgcls
from imgcls.errors import UserError

MISTAKES = [
    ("resnet50", {"depth": 20}, "depth=20 is not possible. Take one of: 18, 34, 50, 101, 152, 200"),
    ("resnext50_32x4d", {"depth": [50]}, r"depth=\[50\] is no int"),
    ("resnet18_acnet", {"depth": "18"}, "depth='18' is no int"),
    ("vgg16", {"depth": 12}, "depth=12 is not possible. Take one of: 11, 13, 16, 19"),
    ("shufflenetv2_x1_0", {"scale": 0.7}, "scale=0.7 is not possible. Take one of: 0.25, 0.33"),
    ("shufflenetv2_x1_0", {"act": "gelu"}, "act=gelu is not possible. Take one of: .*swish"),
    ("mobilenetv3_small_x1_0", {"size": "medium"}, "size=medium is not possible. Take one of: large, small"),
    ("mobilenetv1", {"scale": 0.01}, "A width scale of 0.01 leaves nothing of 32 channels"),
    ("mobilenetv2", {"scale": "half"}, "scale='half' is no float"),
    ("darts_4m", {"genotype": "5M"}, "genotype=5M is not possible. Take one of: 4M, 6M"),
    (
        "efficientnetb0",
        {"padding_type": "same"},
        "padding_type=same is not possible. Take one of: SAME, VALID",
    ),
    ("efficientnetb0", {"use_se": "no"}, "use_se='no' is no bool"),
    ("efficientnetb0", {"depth": 0}, "depth=0 is not possible. Take one above 0"),
    ("efficientnetb0", {"drop_connect_rate": 1}, "drop_connect_rate=1 is not a probability"),
    ("googlenet", {"aux_dropout": -0.1}, "aux_dropout=-0.1 is not a probability"),
    ("resnext50_32x4d", {"groups": 5}, r"128 to 128 channels in 5 groups \(res2a_branch2b_weights\)"),
    ("se_resnet50_vd", {"width": 0}, "to 0 channels"),
    ("densenet121", {"growth": -1}, "to -2 channels"),
    ("resnet50", {"in_channels": 0}, "from 0 to 64 channels"),
    ("resnet50", {"num_classes": 0}, "num_classes=0 is not possible. Take one from 1 to 1,000,000"),
    ("resnet50", {"num_classes": 10**12}, "num_classes=1000000000000 is not possible. Take one from 1 to 1,000,000"),
    ("resnet50", {"num_classes": "ten"}, "num_classes='ten' is no int"),
    ("resnet50", {"drop_out": 0.1}, "takes no argument 'drop_out'. Did you mean 'dropout'"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), MISTAKES)
def test_impossible_arguments(name, arguments, message):
    with pytest.raises(UserError, match=f"^{name}.*{message}"):
        imgcls.create_model(name, **arguments)


def variant(name: str):
    return import_module(f"imgcls.models.{imgcls.model_info(name).module}").VARIANTS[name]


def arguments_text(network: type) -> str:
    """The ``Args`` of a network class and of those it extends."""
    return "".join(inspect.getdoc(cls) for cls in network.__mro__ if issubclass(cls, nn.Layer) and cls.__doc__)


def rates_of(name: str) -> list[str]:
    return [key for key in inspect.signature(variant(name)).parameters if "drop" in key]


@pytest.mark.parametrize("name", filter(rates_of, families()))
def test_dropping(name):
    """Every rate is documented, checked, and reaches the network."""
    build, rates = variant(name), rates_of(name)
    for rate in rates:
        assert f"{rate}: " in arguments_text(build.func)
        with pytest.raises(UserError, match=f"{rate}=1.0 is not a probability"):
            imgcls.create_model(name, **{rate: 1.0})
    if "dropout" in rates:
        with paddle.LazyGuard():
            network = imgcls.create_model(name, dropout=0.125)
        assert network.dropout.p == 0.125


class OverreachError(Exception):
    """A window is larger than the map, its padding included."""


def refuse_overreach(network: nn.Layer) -> None:
    """Make every convolution and pool of the network check its windows before it runs."""

    def check(layer, inputs):
        sides = inputs[0].shape[2:]
        if isinstance(layer, nn.Conv2D):
            kernel, padding, dilation = layer._kernel_size, layer._updated_padding, layer._dilation
            fits_always = layer._padding_algorithm == "SAME"
        else:
            kernel, padding, dilation = [layer.ksize] * 2, [layer.padding] * 2, [1, 1]
            fits_always = layer.ceil_mode
        for side, k, p, d in zip(sides, kernel, padding, dilation, strict=True):
            if not fits_always and side + 2 * p < d * (k - 1) + 1:
                raise OverreachError(f"{layer} on {sides}")

    for layer in network.sublayers():
        if isinstance(layer, nn.Conv2D | nn.MaxPool2D | nn.AvgPool2D):
            layer.register_forward_pre_hook(check)


@pytest.mark.parametrize("name", [*families(), "squeezenet1_0"])
def test_smallest_image(name, build):
    """It is the size at which all windows fit and below which they do not: there Paddle reads what is not there."""
    network = build(name, num_classes=5)
    network.eval()
    smallest = network.min_input_size
    with pytest.raises(UserError, match=f"too small for this network, which needs {smallest}"):
        network(paddle.zeros([1, 3, smallest + 8, smallest - 1]))
    refuse_overreach(network)
    with paddle.no_grad():
        logits = network(paddle.randn([1, 3, smallest, smallest])).numpy()
        assert logits.shape == (1, 5)
        assert np.isfinite(logits).all()
        if smallest > 1:
            with pytest.raises(OverreachError):
                network.forward_maps(paddle.randn([1, 3, smallest - 1, smallest - 1]))


def test_smallest_image_under_valid_padding():
    """It follows from width, depth and kernels; that of B0 as published is known."""
    with paddle.LazyGuard():
        assert imgcls.create_model("efficientnetb0", padding_type="VALID").min_input_size == 851
    network = imgcls.create_model("efficientnetb0", padding_type="VALID", depth=0.25, width=0.25, num_classes=5)
    network.eval()
    smallest = network.min_input_size
    refuse_overreach(network)
    with paddle.no_grad():
        assert network(paddle.randn([1, 3, smallest, smallest])).shape == [1, 5]
        with pytest.raises(OverreachError):
            network.forward_maps(paddle.randn([1, 3, smallest - 1, smallest - 1]))


def test_too_small_for_a_static_graph_too(tmp_path):
    network = imgcls.create_model("alexnet")
    network.eval()
    spec = paddle.static.InputSpec([None, 3, 32, 32])
    with pytest.raises(UserError, match="too small"):
        paddle.jit.save(network, str(tmp_path / "network"), input_spec=[spec])
