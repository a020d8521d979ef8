"""PP-LCNet (arXiv:2109.15099) and PP-LCNetV2, as PaddleClas has them; V2 in training and in deploy form.

In training V2's later depthwise convolutions are several of different sizes on the same input, a batch norm each,
whose sum is one convolution with a bias in the deploy form.
"""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.errors import UserError
from imgcls.models.checks import require_positive, require_probability
from imgcls.models.layers import ConvBNAct, SqueezeExcite, conv2d
from imgcls.models.modern_layers import Chain, SourceNetwork, linear, rounded, with_norm

# by stage: kernel size, output channels, stride, squeeze and excitation
V1 = (
    ((3, 32, 1, False),),
    ((3, 64, 2, False), (3, 64, 1, False)),
    ((3, 128, 2, False), (3, 128, 1, False)),
    ((3, 256, 2, False), *[(5, 256, 1, False)] * 5),
    ((5, 512, 2, True), (5, 512, 1, True)),
)
# by stage: kernel size, output channels, pointwise split in two, several depthwise ones, squeeze, input added
V2 = (
    (3, 128, False, False, False, False),
    (3, 256, False, False, False, False),
    (5, 512, True, True, True, False),
    (5, 1024, False, True, False, True),
)
HIDDEN = 1280


class Depthwise(nn.Layer):
    """Depthwise convolutions of k, k - 2, ... 1 on the same input, a batch norm each; their sum through ReLU."""

    def __init__(self, channels: int, kernel_size: int, stride: int, deploy: bool):
        super().__init__()
        self.kernel_size, self.act = kernel_size, nn.ReLU()
        options = {"stride": stride, "groups": channels}
        if deploy:
            self.dw_conv = conv2d(channels, channels, kernel_size, bias=True, **options)
            return
        sizes = [size for size in range(kernel_size, 0, -2) if size > 1 or stride == 1]
        self.dw_conv_list = nn.LayerList([ConvBNAct(channels, channels, size, **options, act=None) for size in sizes])

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if hasattr(self, "dw_conv"):
            return self.act(self.dw_conv(x))
        total = self.dw_conv_list[0](x)
        for each in self.dw_conv_list[1:]:
            total = total + each(x)
        return self.act(total)

    def fused(self) -> tuple[np.ndarray, np.ndarray]:
        """Kernel and bias of the one convolution that does the same."""
        total, offset = 0.0, 0.0
        for each in self.dw_conv_list:
            kernel = each.conv.weight.numpy()
            margin = (self.kernel_size - kernel.shape[2]) // 2
            kernel, bias = with_norm(np.pad(kernel, ((0, 0), (0, 0), (margin, margin), (margin, margin))), each.bn)
            total, offset = total + kernel, offset + bias
        return total, offset


def block(in_channels: int, kernel_size: int, channels: int, stride: int, se: bool) -> Chain:
    """Of V1: depthwise, squeeze and excite, pointwise."""
    options = {"stride": stride, "groups": in_channels}
    layers = [("dw_conv", ConvBNAct(in_channels, in_channels, kernel_size, "hard_swish", **options))]
    if se:
        layers.append(
            ("se", SqueezeExcite(in_channels, in_channels // 4, ("conv1", "conv2"), gate="hard_sigmoid_6", convs=True))
        )
    return Chain([*layers, ("pw_conv", ConvBNAct(in_channels, channels, 1, "hard_swish"))])


def block_v2(
    in_channels: int, kernel_size: int, channels: int, split: bool, several: bool, se: bool, adds: bool,
    stride: int, deploy: bool,
) -> Chain:  # fmt: skip
    """Of V2: one or several depthwise, squeeze and excite, one or two pointwise."""
    if several:
        layers = [("dw", Depthwise(in_channels, kernel_size, stride, deploy))]
    else:
        options = {"stride": stride, "groups": in_channels}
        layers = [("dw_conv", ConvBNAct(in_channels, in_channels, kernel_size, "relu", **options))]
    if se:
        layers.append(("se", SqueezeExcite(in_channels, in_channels // 4, ("conv1", "conv2"), convs=True)))
    if split:
        half = channels // 2
        layers.append(("pw_conv_1", ConvBNAct(in_channels, half, 1, "relu")))
        layers.append(("pw_conv_2", ConvBNAct(half, channels, 1, "relu")))
    else:
        layers.append(("pw_conv", ConvBNAct(in_channels, channels, 1, "relu")))
    return Chain(layers, adds=adds and stride == 1 and in_channels == channels)


class PPLCNet(SourceNetwork):
    """Stem, stages of depthwise separable convolutions, global average, a wide layer, dropout, fully connected.

    Args:
        scale: multiplies every width but that of the layer before the last; rounded to multiples of 8.
        dropout: probability of dropping a feature before the last layer, in training.
    """

    head_layers = ("neck", "head", "dropout")
    statistics: ClassVar[dict] = {}
    source_names: ClassVar[dict] = {
        r"^stages\.(\d+)\.": lambda found: f"blocks{int(found[1]) + 2}.",
        r"^stem\.": "conv1.",
        r"^neck\.": "last_conv.",
        r"^head\.": "fc.",
    }

    def __init__(self, scale: float = 1.0, dropout: float = 0.2, num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        require_positive(scale=scale)
        require_probability(dropout=dropout)
        channels = rounded(16 * scale)
        self.stem = ConvBNAct(in_channels, channels, 3, "hard_swish", stride=2)
        stages = []
        for rows in V1:
            blocks = []
            for kernel_size, width, stride, se in rows:
                blocks.append(block(channels, kernel_size, rounded(width * scale), stride, se))
                channels = rounded(width * scale)
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.finish(channels, dropout, num_classes)

    def finish(self, channels: int, dropout: float, num_classes: int) -> None:
        self.num_features = channels
        self.neck = conv2d(channels, HIDDEN, 1)
        self.dropout = nn.Dropout(dropout, mode="downscale_in_infer")  # as the published weights were trained
        self.head = linear(HIDDEN, num_classes)
        self.name_as_source()

    def steps(self) -> Iterable[nn.Layer]:
        return self.stem, *self.stages

    def forward_head(self, features: paddle.Tensor) -> paddle.Tensor:
        hidden = F.hardswish(self.neck(F.adaptive_avg_pool2d(features, 1)))
        return self.head(self.dropout(hidden.flatten(1)))


class PPLCNetV2(PPLCNet):
    """As V1, with ReLU, and several depthwise convolutions at once in the last two stages.

    Args:
        scale: multiplies every width but that of the layer before the last; rounded to multiples of 8.
        third: blocks of the third stage; the others have two.
        deploy: build the form with one depthwise convolution with a bias for several; ``to_deploy`` fills it.
        dropout: probability of dropping a feature before the last layer, in training.
    """

    source_names: ClassVar[dict] = {
        r"\.dw\.": ".",
        r"^neck\.": "last_conv.",
        r"^head\.": "fc.",
    }

    def __init__(
        self,
        scale: float = 1.0,
        third: int = 6,
        deploy: bool = False,
        dropout: float = 0.2,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super(PPLCNet, self).__init__()
        require_positive(scale=scale, third=third)
        require_probability(dropout=dropout)
        self.deploy = deploy
        self.arguments = {"scale": scale, "third": third, "dropout": dropout, "in_channels": in_channels}
        first, channels = rounded(32 * scale), rounded(64 * scale)
        plain = (False, False, False, False)
        self.stem = nn.Sequential(
            ConvBNAct(in_channels, first, 3, "relu", stride=2), block_v2(first, 3, channels, *plain, 1, deploy)
        )
        stages = []
        for (kernel_size, width, *kinds), depth in zip(V2, (2, 2, third, 2), strict=True):
            width, blocks = rounded(width * scale), []
            for index in range(depth):
                blocks.append(block_v2(channels, kernel_size, width, *kinds, 1 if index else 2, deploy))
                channels = width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.finish(channels, dropout, num_classes)

    def forward_head(self, features: paddle.Tensor) -> paddle.Tensor:
        hidden = F.relu(self.neck(F.adaptive_avg_pool2d(features, 1)))
        return self.head(self.dropout(hidden.flatten(1)))

    def to_deploy(self) -> "PPLCNetV2":
        """The deploy form of this network with its weights fused, in evaluation mode.

        Raises:
            UserError: this is the deploy form already.
        """
        if self.deploy:
            raise UserError("This PP-LCNetV2 is the deploy form already: there is nothing to fuse.")
        network = PPLCNetV2(**self.arguments, deploy=True, num_classes=self.head.weight.shape[1])
        state = self.state_dict()
        for key, tensor in network.state_dict().items():
            if key in state:
                tensor.set_value(state[key])
        for several, one in zip(depthwise(self), depthwise(network), strict=True):
            kernel, bias = several.fused()
            one.dw_conv.weight.set_value(kernel)
            one.dw_conv.bias.set_value(bias)
        network.set_data_format(self.data_format)
        network.eval()
        return network


def depthwise(network: nn.Layer) -> list[Depthwise]:
    return [layer for layer in network.sublayers() if isinstance(layer, Depthwise)]


SCALES = {"x0_25": 0.25, "x0_35": 0.35, "x0_5": 0.5, "x0_75": 0.75, "x1_0": 1.0, "x1_5": 1.5, "x2_0": 2.0, "x2_5": 2.5}
SIZES = {"small": (0.75, 4), "base": (1.0, 6), "large": (1.25, 8)}

VARIANTS = {
    **{f"pplcnet_{suffix}": partial(PPLCNet, scale=scale) for suffix, scale in SCALES.items()},
    **{f"pplcnetv2_{size}": partial(PPLCNetV2, scale=scale, third=third) for size, (scale, third) in SIZES.items()},
}
