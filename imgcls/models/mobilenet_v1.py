"""MobileNetV1 (arXiv:1704.04861)."""

from functools import partial

from paddle import nn

from imgcls.models.layers import ConvBNAct, Network, linear, scaled

INIT = nn.initializer.KaimingUniform()

# name, output channels at scale 1, stride
LAYERS = (
    ("conv2_1", 64, 1),
    ("conv2_2", 128, 2),
    ("conv3_1", 128, 1),
    ("conv3_2", 256, 2),
    ("conv4_1", 256, 1),
    ("conv4_2", 512, 2),
    ("conv5_1", 512, 1),
    ("conv5_2", 512, 1),
    ("conv5_3", 512, 1),
    ("conv5_4", 512, 1),
    ("conv5_5", 512, 1),
    ("conv5_6", 1024, 2),
    ("conv6", 1024, 1),
)


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, name: str, **options) -> ConvBNAct:
    return ConvBNAct(
        in_channels, out_channels, kernel_size, weight=f"{name}_weights", bn=f"{name}_bn", init=INIT, **options
    )


def separable(in_channels: int, out_channels: int, stride: int, act: str, name: str) -> nn.Sequential:
    """A 3x3 convolution of each channel alone, then a 1x1 convolution across them."""
    return nn.Sequential(
        conv_bn(in_channels, in_channels, 3, f"{name}_dw", act=act, stride=stride, groups=in_channels),
        conv_bn(in_channels, out_channels, 1, f"{name}_sep", act=act),
    )


class MobileNetV1(Network):
    """Stem, thirteen separable convolutions, global average, fully connected.

    Args:
        scale: multiplies every width.
        act: a key of ``layers.ACTIVATIONS``; timm's has ``relu6``.
    """

    def __init__(self, scale: float = 1.0, act: str = "relu", num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        self.act = act
        channels = scaled(32, scale)
        layers = [conv_bn(in_channels, channels, 3, "conv1", act=act, stride=2)]
        for name, width, stride in LAYERS:
            out_channels = scaled(width, scale)
            layers.append(separable(channels, out_channels, stride, act, name))
            channels = out_channels
        self.features = nn.Sequential(*layers)
        self.num_features = channels
        self.head = linear(channels, num_classes, weight="fc7_weights", bias="fc7_offset", init=INIT)


VARIANTS = {
    "mobilenetv1_x0_25": partial(MobileNetV1, scale=0.25),
    "mobilenetv1_x0_5": partial(MobileNetV1, scale=0.5),
    "mobilenetv1_x0_75": partial(MobileNetV1, scale=0.75),
    "mobilenetv1_x1_0": partial(MobileNetV1, scale=1.0),
    "mobilenetv1": partial(MobileNetV1, scale=1.0),
}
