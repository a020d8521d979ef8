"""MobileNetV2 (arXiv:1801.04381)."""

from functools import partial

import paddle
from paddle import nn

from imgcls.models.layers import ConvBNAct, Network, linear, scaled

# table 2 of the paper: name, expansion, output channels at scale 1, blocks, stride of the first
STAGES = (
    ("conv2", 1, 16, 1, 1),
    ("conv3", 6, 24, 2, 2),
    ("conv4", 6, 32, 3, 2),
    ("conv5", 6, 64, 4, 2),
    ("conv6", 6, 96, 3, 1),
    ("conv7", 6, 160, 3, 2),
    ("conv8", 6, 320, 1, 1),
)


def conv_bn(
    in_channels: int, out_channels: int, kernel_size: int, name: str, act: str | None = "relu6", **options
) -> ConvBNAct:
    return ConvBNAct(
        in_channels, out_channels, kernel_size, weight=f"{name}_weights", bn=f"{name}_bn", act=act, **options
    )


class InvertedResidual(nn.Layer):
    """1x1 to a wide layer, 3x3 of each channel alone, 1x1 back to a narrow one, no activation there.

    The input is added where the shapes agree. An expansion of 1 has its first convolution too.
    """

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int, name: str):
        super().__init__()
        width = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        self.expand = conv_bn(in_channels, width, 1, f"{name}_expand")
        self.depthwise = conv_bn(width, width, 3, f"{name}_dwise", stride=stride, groups=width)
        self.project = conv_bn(width, out_channels, 1, f"{name}_linear", act=None)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        out = self.project(self.depthwise(self.expand(x)))
        return x + out if self.residual else out


class MobileNetV2(Network):
    """Stem, seven stages of inverted residuals, a wide 1x1 convolution, global average, fully connected.

    Args:
        scale: multiplies every width, that of the last convolution only above 1.
    """

    def __init__(self, scale: float = 1.0, num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        channels = scaled(32, scale)
        layers = [conv_bn(in_channels, channels, 3, "conv1_1", stride=2)]
        for name, expansion, width, repeat, first_stride in STAGES:
            out_channels = scaled(width, scale)
            for index in range(repeat):
                stride = first_stride if index == 0 else 1
                layers.append(InvertedResidual(channels, out_channels, expansion, stride, f"{name}_{index + 1}"))
                channels = out_channels
        self.num_features = scaled(1280, max(scale, 1.0))
        layers.append(conv_bn(channels, self.num_features, 1, "conv9"))
        self.features = nn.Sequential(*layers)
        self.head = linear(self.num_features, num_classes, weight="fc10_weights", bias="fc10_offset")


VARIANTS = {
    "mobilenetv2_x0_25": partial(MobileNetV2, scale=0.25),
    "mobilenetv2_x0_5": partial(MobileNetV2, scale=0.5),
    "mobilenetv2_x0_75": partial(MobileNetV2, scale=0.75),
    "mobilenetv2_x1_0": partial(MobileNetV2, scale=1.0),
    "mobilenetv2_x1_5": partial(MobileNetV2, scale=1.5),
    "mobilenetv2_x2_0": partial(MobileNetV2, scale=2.0),
    "mobilenetv2": partial(MobileNetV2, scale=1.0),
}
