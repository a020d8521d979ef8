"""MobileNetV3, large and small (arXiv:1905.02244)."""

from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.models.checks import require_choice, require_probability
from imgcls.models.layers import ConvBNAct, Network, SqueezeExcite, conv2d, linear, scaled

# tables 1 and 2 of the paper, at scale 1: kernel size, expanded width, output channels, squeeze, activation, stride
BLOCKS = {
    "large": (
        (3, 16, 16, False, "relu", 1),
        (3, 64, 24, False, "relu", 2),
        (3, 72, 24, False, "relu", 1),
        (5, 72, 40, True, "relu", 2),
        (5, 120, 40, True, "relu", 1),
        (5, 120, 40, True, "relu", 1),
        (3, 240, 80, False, "hard_swish", 2),
        (3, 200, 80, False, "hard_swish", 1),
        (3, 184, 80, False, "hard_swish", 1),
        (3, 184, 80, False, "hard_swish", 1),
        (3, 480, 112, True, "hard_swish", 1),
        (3, 672, 112, True, "hard_swish", 1),
        (5, 672, 160, True, "hard_swish", 2),
        (5, 960, 160, True, "hard_swish", 1),
        (5, 960, 160, True, "hard_swish", 1),
    ),
    "small": (
        (3, 16, 16, True, "relu", 2),
        (3, 72, 24, False, "relu", 2),
        (3, 88, 24, False, "relu", 1),
        (5, 96, 40, True, "hard_swish", 2),
        (5, 240, 40, True, "hard_swish", 1),
        (5, 240, 40, True, "hard_swish", 1),
        (5, 120, 48, True, "hard_swish", 1),
        (5, 144, 48, True, "hard_swish", 1),
        (5, 288, 96, True, "hard_swish", 2),
        (5, 576, 96, True, "hard_swish", 1),
        (5, 576, 96, True, "hard_swish", 1),
    ),
}


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, name: str, **options) -> ConvBNAct:
    return ConvBNAct(in_channels, out_channels, kernel_size, weight=f"{name}_weights", bn=f"{name}_bn", **options)


class Bottleneck(nn.Layer):
    """Inverted residual: expand (unless the width stays), depthwise, squeeze and excite, project.

    Args:
        residual: add the input.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        out_channels: int,
        kernel_size: int,
        name: str,
        *,
        squeeze: bool,
        act: str,
        stride: int,
        residual: bool,
    ):
        super().__init__()
        self.residual = residual
        layers = []
        if width != out_channels:
            layers.append(conv_bn(in_channels, width, 1, f"{name}_expand", act=act))
        layers.append(conv_bn(width, width, kernel_size, f"{name}_depthwise", act=act, stride=stride, groups=width))
        if squeeze:
            names = {"squeeze": f"{name}_se_1", "excite": f"{name}_se_2"}
            layers.append(
                SqueezeExcite(width, max(1, width // 4), ("reduce", "expand"), **names, gate="hard_sigmoid", convs=True)
            )
        layers.append(conv_bn(width, out_channels, 1, f"{name}_linear", act=None))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        out = self.layers(x)
        return x + out if self.residual else out


class MobileNetV3(Network):
    """Stem, bottlenecks, 1x1 convolution; then global average, a 1280 wide layer, dropout, fully connected.

    Args:
        size: ``large`` or ``small``.
        scale: multiplies every width but 1280, rounding down.
        dropout: probability of dropping one of the 1280, in training.
    """

    hidden = 1280
    head_layers = ("neck", "head")

    def __init__(
        self,
        size: str,
        scale: float = 1.0,
        dropout: float = 0.2,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        require_probability(dropout=dropout)
        require_choice(BLOCKS, size=size)
        blocks = BLOCKS[size]
        channels = scaled(16, scale)
        # The published networks compare the first block's output with an unscaled stem.
        previous = 16
        layers = [conv_bn(in_channels, channels, 3, "conv1", act="hard_swish", stride=2)]
        for number, (kernel_size, width, out_channels, squeeze, act, stride) in enumerate(blocks, start=2):
            width, out_channels = scaled(width, scale), scaled(out_channels, scale)
            residual = stride == 1 and out_channels == previous
            options = {"squeeze": squeeze, "act": act, "stride": stride, "residual": residual}
            layers.append(Bottleneck(channels, width, out_channels, kernel_size, f"conv{number}", **options))
            channels = previous = out_channels
        self.num_features = scaled(blocks[-1][1], scale)
        layers.append(conv_bn(channels, self.num_features, 1, "conv_last", act="hard_swish"))
        self.features = nn.Sequential(*layers)
        self.neck = conv2d(self.num_features, self.hidden, 1, weight="last_1x1_conv_weights")
        self.dropout = nn.Dropout(dropout, mode="downscale_in_infer")
        self.head = linear(self.hidden, num_classes, weight="fc_weights", bias="fc_offset")

    def forward_head(self, features: paddle.Tensor) -> paddle.Tensor:
        hidden = F.hardswish(self.neck(F.adaptive_avg_pool2d(features, 1)))
        return self.head(self.dropout(hidden.flatten(1)))


SCALES = {"x0_25": 0.25, "x0_5": 0.5, "x0_75": 0.75, "x1_0": 1.0, "x1_25": 1.25}

VARIANTS = {
    f"mobilenetv3_{size}_{suffix}": partial(MobileNetV3, size=size, scale=scale)
    for size in BLOCKS
    for suffix, scale in SCALES.items()
}
