"""DarkNet-53, the backbone of YOLOv3 (arXiv:1804.02767), here with ReLU."""

from functools import partial

import paddle
from paddle import nn

from imgcls.models.layers import BatchNormNames, ConvBNAct, Network, linear


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, name: str, **options) -> ConvBNAct:
    bn = BatchNormNames(*(f"{name}.bn.{part}" for part in ("scale", "offset", "mean", "var")))
    return ConvBNAct(in_channels, out_channels, kernel_size, weight=f"{name}.conv.weights", bn=bn, **options)


class Residual(nn.Layer):
    """1x1 to half the channels, 3x3 back, added to the input; no activation after the sum."""

    def __init__(self, channels: int, act: str, name: str):
        super().__init__()
        self.conv1 = conv_bn(channels, channels // 2, 1, f"{name}.0", act=act)
        self.conv2 = conv_bn(channels // 2, channels, 3, f"{name}.1", act=act)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return x + self.conv2(self.conv1(x))


class DarkNet(Network):
    """A 3x3 stem, then stages that halve the resolution, double the width and add residual blocks.

    Args:
        repeats: residual blocks of each stage.
        act: a key of ``layers.ACTIVATIONS``; timm's has ``leaky_relu``.
    """

    def __init__(self, repeats: tuple[int, ...], act: str = "relu", num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        self.act = act
        channels = 32
        layers = [conv_bn(in_channels, channels, 3, "yolo_input", act=act)]
        for stage, repeat in enumerate(repeats):
            before = "yolo_input" if stage == 0 else f"stage.{stage - 1}"
            layers.append(conv_bn(channels, 2 * channels, 3, f"{before}.downsample", act=act, stride=2))
            channels *= 2
            layers += [Residual(channels, act, f"stage.{stage}.{index}") for index in range(repeat)]
        self.features = nn.Sequential(*layers)
        self.num_features = channels
        self.head = linear(channels, num_classes, weight="fc_weights", bias="fc_offset", uniform=True)


VARIANTS = {"darknet53": partial(DarkNet, repeats=(1, 2, 8, 8, 4))}
