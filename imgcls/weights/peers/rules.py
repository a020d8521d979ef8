"""Which weights of which library are exactly ours: a rule for each library and family, and reasons for the others.

Layers are paired in their order of creation; torchvision's and timm's by the names of ``peers.names`` in that order,
PaddleClas's by the variable names that its files carry, where they are ours, and else, like paddle.vision's, by order
alone. Every pair must be of one kind and shape. Where a network computes something else in its published form, an
argument of ours may make it the same: ``needs``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from imgcls.models.layers import Network
from imgcls.weights.peers import names

Peer = Literal["torchvision", "timm", "paddleclas", "paddle_vision"]
TITLES = {"paddleclas": "PaddleClas", "paddle_vision": "paddle.vision"}


@dataclass(frozen=True)
class Rule:
    """How a family of a peer becomes ours.

    Attributes:
        layers: the peer's names of our layers, in the order of ours; of Paddle's peers only which of ours they lack.
        epsilon: of the peer's batch norms, by the network, where it is not ours.
        scales_dropout: the peer's dropout scales at inference, as ours does.
        knows: whether the peer has the network at all, of a family of which it has some.
        needs: what must be set for the network to compute the same, as ``key=value``; ``None`` for nothing.
        called: what timm calls its equal networks; others have layers without tensors, such as a blur.
        asks: architectures among which the file's names do not tell, each with what it ``needs``.
    """

    layers: Callable[[Network], names.Names] | None = None
    epsilon: Callable[[Network], float] | None = None
    scales_dropout: bool = False
    knows: Callable[[Network], bool] = lambda network: True
    needs: Callable[[Network], str | None] = lambda network: None
    called: str = ".*"
    asks: tuple[str, ...] = ()


def _is_plain(network: Network) -> bool:
    """A ResNet of neither variant c nor d."""
    return len(network.stem) == 1 and not network.pool_shortcut


def _pads_alike(network: Network) -> bool:
    """Not as TensorFlow does."""
    return not network.same


def _vgg(network: Network) -> str | None:
    return None if network.features[0].bias is not None else "model.args.bias=true"


def _squeezenet(network: Network) -> str | None:
    stem = "" if network.stem_padding == 0 else " 'model.args.stem=[64,3,0]'"
    return None if network.ceil_mode and not stem else f"model.args.ceil_mode=true{stem}"


def _symmetric(network: Network) -> str | None:
    return None if network.padding_type == "DYNAMIC" else "model.args.padding_type=DYNAMIC"


def _leaky(network: Network) -> str | None:
    return None if network.act == "leaky_relu" else "model.args.act=leaky_relu"


def _capped(network: Network) -> str | None:
    return None if network.act == "relu6" else "model.args.act=relu6"


def _corners(network: Network) -> str | None:
    return None if not network.align_corners else "model.args.align_corners=false"


def _epsilon(value: float) -> Callable[[Network], float]:
    return lambda network: value


def _torchvision_efficientnet_epsilon(network: Network) -> float:
    """B5 to B7 are TensorFlow's, which have 39 blocks and more."""
    return 1e-3 if len(network.blocks) >= 39 else 1e-5


def _timm_efficientnet_epsilon(network: Network) -> float:
    return 1e-5 if network.padding_type == "DYNAMIC" else 1e-3


RESNETS = r"(se)?resnex?t\d+[cd]?(_\d+x\d+d)?"

RULES: dict[Peer, dict[str, Rule]] = {
    "torchvision": {
        "resnet": Rule(names.resnet, knows=_is_plain),
        "resnext": Rule(names.resnet, knows=_is_plain),
        "resnext_wsl": Rule(names.resnet, knows=_is_plain),
        "alexnet": Rule(names.alexnet_torchvision),
        "vgg": Rule(names.vgg_torchvision, needs=_vgg),
        "squeezenet": Rule(names.squeezenet_torchvision, needs=_squeezenet),
        "densenet": Rule(names.densenet),
        "mobilenet_v2": Rule(names.mobilenet_v2_torchvision),
        "mobilenet_v3_timm": Rule(names.mobilenet_v3_torchvision, epsilon=_epsilon(1e-3), knows=_pads_alike),
        "efficientnet_v2": Rule(names.efficientnet_v2_torchvision, epsilon=_epsilon(1e-3), knows=_pads_alike),
        "shufflenet_v2": Rule(names.shufflenet_v2_torchvision),
        "efficientnet": Rule(
            names.efficientnet_torchvision, epsilon=_torchvision_efficientnet_epsilon, needs=_symmetric
        ),
    },
    "timm": {
        "resnet": Rule(names.resnet, called=RESNETS),
        "resnext": Rule(names.resnet, called=RESNETS),
        "resnext_wsl": Rule(names.resnet, called=RESNETS),
        "senet": Rule(names.resnet, called=RESNETS),
        "vgg": Rule(names.vgg_timm, needs=_vgg, called=r"vgg\d+"),
        "densenet": Rule(names.densenet, called=r"densenet\d+"),
        "mobilenet_v1": Rule(names.mobilenet_v1_timm, needs=_capped, called=r"mobilenetv1_\d+"),
        "mobilenet_v2": Rule(names.mobilenet_v2_timm, called=r"mobilenetv2_\d+"),
        "efficientnet": Rule(
            names.efficientnet_timm,
            epsilon=_timm_efficientnet_epsilon,
            called=r"(tf_)?efficientnet_b\d",
            asks=("tf_efficientnet", "efficientnet"),
        ),
        "dpn": Rule(names.dpn_timm, epsilon=_epsilon(1e-3), called=r"dpn\d+"),
        "darknet": Rule(names.darknet_timm, needs=_leaky, called="darknet53"),
        "hrnet": Rule(names.hrnet_timm, needs=_corners, called=r"hrnet_w\d+"),
    },
    "paddleclas": {
        "resnet": Rule(),
        "resnext": Rule(),
        "resnext_wsl": Rule(),
        "senet": Rule(),
        "alexnet": Rule(scales_dropout=True),
        "vgg": Rule(scales_dropout=True),
        "squeezenet": Rule(scales_dropout=True),
        "googlenet": Rule(scales_dropout=True),
        "densenet": Rule(),
        "mobilenet_v1": Rule(),
        "mobilenet_v2": Rule(),
        "shufflenet_v2": Rule(),
        "efficientnet": Rule(),
        "inception_v4": Rule(scales_dropout=True),
        "xception": Rule(scales_dropout=True),
        "xception_deeplab": Rule(scales_dropout=True),
        "dpn": Rule(),
        "res2net": Rule(),
        "darknet": Rule(),
        "hrnet": Rule(needs=_corners),
    },
    "paddle_vision": {
        "resnet": Rule(names.resnet, knows=_is_plain),
        "resnext": Rule(names.resnet, knows=_is_plain),
        "alexnet": Rule(scales_dropout=True),
        "vgg": Rule(names.vgg_torchvision, needs=_vgg),
        "squeezenet": Rule(scales_dropout=True),
        "googlenet": Rule(scales_dropout=True),
        "densenet": Rule(),
        "mobilenet_v1": Rule(),
        "mobilenet_v2": Rule(names.mobilenet_v2_torchvision),
        "shufflenet_v2": Rule(),
    },
}

PADDLE_VISION_BEGINS = (
    *("conv1.weight", "features.0.weight", "features.0.0.weight", "conv1.0.weight", "_conv1.0.weight"),
    *("_conv.weight", "_conv1._conv.weight", "_conv._conv.weight", "conv1_func._conv.weight"),
)
"""The first tensor of paddle.vision's networks; PaddleClas's files begin otherwise, or carry variable names of ours."""

REASONS: dict[tuple[Peer, str], str] = {
    ("torchvision", "googlenet"): "torchvision's has batch norms, and 3x3 convolutions in place of the 5x5 ones",
    ("torchvision", "mobilenet_v3"): "its attention has other widths",
    ("timm", "mobilenet_v3"): "its attention has other widths",
    ("timm", "res2net"): "the first block of a stage adds no results on in timm's, and ours does in the first stage",
    ("timm", "xception"): "timm's is another form of the network",
    ("timm", "inception_v4"): "timm's is another form of the network",
    ("paddleclas", "mobilenet_v3"): "PaddleClas's has a 1x1 convolution more in its first block",
    ("paddle_vision", "mobilenet_v3"): "its attention has other widths",
}
"""Why the nearest relative is no equal, where that is known."""


def title(peer: str) -> str:
    """How a library calls itself."""
    return TITLES.get(peer, peer)
