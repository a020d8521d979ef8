"""MobileNetV4, its networks of convolutions alone (arXiv:2404.10518)."""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.models.checks import require_choice, require_positive, require_probability
from imgcls.models.layers import ConvBNAct
from imgcls.models.modern_layers import Chain, SourceNetwork, conv_bn, rounded

# by stage; conv: kernel, channels, stride; fused: channels, stride; else the paper's universal block: first and
# second depthwise kernel (0 for none), expansion, channels, stride, and how often
SMALL = (
    (("conv", 3, 32, 2), ("conv", 1, 32, 1)),
    (("conv", 3, 96, 2), ("conv", 1, 64, 1)),
    ((5, 5, 3, 96, 2, 1), (0, 3, 2, 96, 1, 4), (3, 0, 4, 96, 1, 1)),
    ((3, 3, 6, 128, 2, 1), (5, 5, 4, 128, 1, 1), (0, 5, 4, 128, 1, 1), (0, 5, 3, 128, 1, 1), (0, 3, 4, 128, 1, 2)),
    (("conv", 1, 960, 1),),
)
MEDIUM = (
    (("fused", 48, 2),),
    ((3, 5, 4, 80, 2, 1), (3, 3, 2, 80, 1, 1)),
    (
        (3, 5, 6, 160, 2, 1),
        (3, 3, 4, 160, 1, 2),
        (3, 5, 4, 160, 1, 1),
        (3, 3, 4, 160, 1, 1),
        (3, 0, 4, 160, 1, 1),
        (0, 0, 2, 160, 1, 1),
        (3, 0, 4, 160, 1, 1),
    ),
    (
        (5, 5, 6, 256, 2, 1),
        (5, 5, 4, 256, 1, 1),
        (3, 5, 4, 256, 1, 2),
        (0, 0, 4, 256, 1, 1),
        (3, 0, 4, 256, 1, 1),
        (3, 5, 2, 256, 1, 1),
        (5, 5, 4, 256, 1, 1),
        (0, 0, 4, 256, 1, 2),
        (5, 0, 2, 256, 1, 1),
    ),
    (("conv", 1, 960, 1),),
)
LARGE = (
    (("fused", 48, 2),),
    ((3, 5, 4, 96, 2, 1), (3, 3, 4, 96, 1, 1)),
    ((3, 5, 4, 192, 2, 1), (3, 3, 4, 192, 1, 3), (3, 5, 4, 192, 1, 1), (5, 3, 4, 192, 1, 5), (3, 0, 4, 192, 1, 1)),
    (
        (5, 5, 4, 512, 2, 4),
        (5, 0, 4, 512, 1, 1),
        (5, 3, 4, 512, 1, 1),
        (5, 0, 4, 512, 1, 2),
        (5, 3, 4, 512, 1, 1),
        (5, 5, 4, 512, 1, 1),
        (5, 0, 4, 512, 1, 3),
    ),
    (("conv", 1, 960, 1),),
)
SIZES = {"small": (32, SMALL), "medium": (32, MEDIUM), "large": (24, LARGE)}
HIDDEN = 1280


def universal(
    in_channels: int, start: int, middle: int, expansion: int, channels: int, stride: int, drop_path: float
) -> Chain:
    """Depthwise, expand, depthwise, project; either depthwise convolution may be absent, the stride is the last's."""
    width = rounded(in_channels * expansion)
    layers = []
    if start:
        options = {"groups": in_channels, "stride": 1 if middle else stride}
        layers.append(("dw_start", ConvBNAct(in_channels, in_channels, start, **options, act=None)))
    layers.append(("pw_exp", ConvBNAct(in_channels, width, 1, "relu")))
    if middle:
        layers.append(("dw_mid", ConvBNAct(width, width, middle, "relu", groups=width, stride=stride)))
    layers.append(("pw_proj", ConvBNAct(width, channels, 1, act=None)))
    return Chain(layers, adds=stride == 1 and in_channels == channels, drop_path=drop_path)


def fused(in_channels: int, channels: int, stride: int) -> Chain:
    """Expand by 4 through 3x3, project."""
    width = rounded(in_channels * 4)
    layers = [
        *conv_bn(("conv_exp", "bn1"), in_channels, width, 3, act="relu", stride=stride),
        *conv_bn(("conv_pwl", "bn2"), width, channels, 1),
    ]
    return Chain(layers)


class MobileNetV4(SourceNetwork):
    """Stem, stages of universal blocks, 1x1 convolution, global average, a wide layer with a norm, fully connected.

    Args:
        size: a key of ``SIZES``.
        scale: multiplies every width but that of the layer before the last; rounded to multiples of 8.
        drop_path: probability of dropping the last block's branch in training, growing from 0 at the first.
        dropout: probability of dropping a feature before the last layer, in training.
    """

    head_layers = ("neck", "head", "dropout")
    source_names: ClassVar[dict] = {r"^(stem|neck)\.": "", r"^head\.": "classifier."}

    def __init__(
        self,
        size: str,
        scale: float = 1.0,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        require_choice(SIZES, size=size)
        require_positive(scale=scale)
        require_probability(drop_path=drop_path, dropout=dropout)
        channels, table = SIZES[size]
        channels = channels if scale < 1 else rounded(channels * scale)
        self.stem = Chain(conv_bn(("conv_stem", "bn1"), in_channels, channels, 3, act="relu", stride=2))
        count = sum(1 if isinstance(row[0], str) else row[5] for rows in table for row in rows)
        stages, number = [], 0
        for rows in table:
            blocks = []
            for row in rows:
                if row[0] == "conv":
                    _, kernel_size, width, stride = row
                    width = rounded(width * scale)
                    convolution = conv_bn(("conv", "bn1"), channels, width, kernel_size, act="relu", stride=stride)
                    made = [Chain(convolution)]
                elif row[0] == "fused":
                    width = rounded(row[1] * scale)
                    made = [fused(channels, width, row[2])]
                else:
                    start, middle, expansion, width, stride, repeat = row
                    width = rounded(width * scale)
                    made = []
                    for index in range(repeat):
                        shape = start, middle, expansion, width, 1 if index else stride
                        rate = drop_path * (number + index) / count
                        made.append(universal(width if index else channels, *shape, rate))
                blocks += made
                number += len(made)
                channels = width
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.num_features = channels
        self.neck = Chain(conv_bn(("conv_head", "norm_head"), channels, HIDDEN, 1, act="relu"))
        self.add_head(HIDDEN, num_classes, dropout)

    def steps(self) -> Iterable[nn.Layer]:
        return self.stem, *(each for stage in self.blocks for each in stage)

    def forward_head(self, features: paddle.Tensor) -> paddle.Tensor:
        hidden = self.neck(F.adaptive_avg_pool2d(features, 1))
        return self.head(self.dropout(hidden.flatten(1)))


VARIANTS = {
    "mobilenetv4_conv_small_050": partial(MobileNetV4, size="small", scale=0.5),
    **{f"mobilenetv4_conv_{size}": partial(MobileNetV4, size=size) for size in SIZES},
}
