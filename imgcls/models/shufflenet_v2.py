"""ShuffleNetV2 (arXiv:1807.11164), with ReLU or swish."""

from functools import partial

import paddle
from paddle import nn

from imgcls.models.checks import require_choice
from imgcls.models.data_format import MapLayer
from imgcls.models.layers import ConvBNAct, Network, linear
from imgcls.models.pooling import MaxPool2D

INIT = nn.initializer.KaimingUniform()

# scale: output channels of the three stages and of the last convolution
WIDTHS = {
    0.25: (24, 48, 96, 512),
    0.33: (32, 64, 128, 512),
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (224, 488, 976, 2048),
}
REPEATS = (4, 8, 4)


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, name: str, **options) -> ConvBNAct:
    return ConvBNAct(
        in_channels, out_channels, kernel_size, weight=f"{name}_weights", bn=f"{name}_bn", init=INIT, **options
    )


def interleave(left: paddle.Tensor, right: paddle.Tensor, axis: int) -> paddle.Tensor:
    """Concatenation and channel shuffle in one: channels of two maps of equal width, taken in turn."""
    if axis == 1 and paddle.in_dynamic_mode():  # on a CPU this trains three times as fast as a stack
        return paddle.concat([left.unsqueeze(2), right.unsqueeze(2)], 2).flatten(1, 2)
    return paddle.stack([left, right], axis=axis + 1).flatten(axis, axis + 1)


def branch(in_channels: int, out_channels: int, stride: int, act: str, name: str) -> nn.Sequential:
    """1x1, 3x3 of each channel alone (no activation), 1x1."""
    return nn.Sequential(
        conv_bn(in_channels, out_channels, 1, f"{name}_conv1", act=act),
        conv_bn(out_channels, out_channels, 3, f"{name}_conv2", act=None, stride=stride, groups=out_channels),
        conv_bn(out_channels, out_channels, 1, f"{name}_conv3", act=act),
    )


class Unit(MapLayer):
    """Half of the channels pass unchanged, half through a branch."""

    def __init__(self, channels: int, act: str, name: str):
        super().__init__()
        self.branch = branch(channels // 2, channels // 2, 1, act, name)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        kept, rest = paddle.split(x, 2, axis=self.channel_axis)
        return interleave(kept, self.branch(rest), self.channel_axis)


class DownsamplingUnit(MapLayer):
    """All channels through two branches of stride 2."""

    def __init__(self, in_channels: int, out_channels: int, act: str, name: str):
        super().__init__()
        half = out_channels // 2
        self.shortcut = nn.Sequential(
            conv_bn(in_channels, in_channels, 3, f"{name}_conv4", act=None, stride=2, groups=in_channels),
            conv_bn(in_channels, half, 1, f"{name}_conv5", act=act),
        )
        self.branch = branch(in_channels, half, 2, act, name)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return interleave(self.shortcut(x), self.branch(x), self.channel_axis)


class ShuffleNetV2(Network):
    """Stem, max pool, three stages of units, a 1x1 convolution, global average, fully connected.

    Args:
        scale: a key of ``WIDTHS``.
        act: a key of ``layers.ACTIVATIONS``.
    """

    def __init__(self, scale: float = 1.0, act: str = "relu", num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        require_choice(WIDTHS, scale=scale)
        *stages, last = WIDTHS[scale]
        channels = 24
        layers = [conv_bn(in_channels, channels, 3, "stage1_conv", act=act, stride=2), MaxPool2D(3, 2, padding=1)]
        for stage, (out_channels, repeat) in enumerate(zip(stages, REPEATS, strict=True), start=2):
            layers.append(DownsamplingUnit(channels, out_channels, act, f"stage_{stage}_1"))
            layers.extend(Unit(out_channels, act, f"stage_{stage}_{number}") for number in range(2, repeat + 1))
            channels = out_channels
        layers.append(conv_bn(channels, last, 1, "conv5", act=act))
        self.features = nn.Sequential(*layers)
        self.num_features = last
        self.head = linear(last, num_classes, weight="fc6_weights", bias="fc6_offset", init=INIT)


_swish = partial(ShuffleNetV2, act="swish")

VARIANTS = {
    "shufflenetv2_x0_25": partial(ShuffleNetV2, scale=0.25),
    "shufflenetv2_x0_33": partial(ShuffleNetV2, scale=0.33),
    "shufflenetv2_x0_5": partial(ShuffleNetV2, scale=0.5),
    "shufflenetv2_x1_0": partial(ShuffleNetV2, scale=1.0),
    "shufflenetv2_x1_5": partial(ShuffleNetV2, scale=1.5),
    "shufflenetv2_x2_0": partial(ShuffleNetV2, scale=2.0),
    "shufflenetv2": partial(ShuffleNetV2, scale=1.0),
    "shufflenetv2_x0_5_swish": partial(_swish, scale=0.5),
    "shufflenetv2_x1_0_swish": partial(_swish, scale=1.0),
    "shufflenetv2_x1_5_swish": partial(_swish, scale=1.5),
    "shufflenetv2_x2_0_swish": partial(_swish, scale=2.0),
    "shufflenetv2_swish": partial(_swish, scale=1.0),
}
