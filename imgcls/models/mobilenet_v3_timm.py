"""MobileNetV3 (arXiv:1905.02244) as timm and torchvision have it.

The original's networks (``mobilenet_v3.py``) round widths and gate otherwise, and have other names.
"""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.models.checks import require_choice, require_positive, require_probability
from imgcls.models.layers import SqueezeExcite, conv2d
from imgcls.models.modern_layers import Chain, SourceNetwork, conv_bn, rounded

# by stage: kernel size, expansion, output channels, squeeze, activation, stride
STAGES = {
    "large": (
        ((3, 1, 16, False, "relu", 1),),
        ((3, 4, 24, False, "relu", 2), (3, 3, 24, False, "relu", 1)),
        ((5, 3, 40, True, "relu", 2), (5, 3, 40, True, "relu", 1), (5, 3, 40, True, "relu", 1)),
        (
            (3, 6, 80, False, "hard_swish", 2),
            (3, 2.5, 80, False, "hard_swish", 1),
            (3, 2.3, 80, False, "hard_swish", 1),
            (3, 2.3, 80, False, "hard_swish", 1),
        ),
        ((3, 6, 112, True, "hard_swish", 1), (3, 6, 112, True, "hard_swish", 1)),
        ((5, 6, 160, True, "hard_swish", 2), (5, 6, 160, True, "hard_swish", 1), (5, 6, 160, True, "hard_swish", 1)),
    ),
    "small": (
        ((3, 1, 16, True, "relu", 2),),
        ((3, 4.5, 24, False, "relu", 2), (3, 3.67, 24, False, "relu", 1)),
        ((5, 4, 40, True, "hard_swish", 2), (5, 6, 40, True, "hard_swish", 1), (5, 6, 40, True, "hard_swish", 1)),
        ((5, 3, 48, True, "hard_swish", 1), (5, 3, 48, True, "hard_swish", 1)),
        ((5, 6, 96, True, "hard_swish", 2), (5, 6, 96, True, "hard_swish", 1), (5, 6, 96, True, "hard_swish", 1)),
    ),
}
LAST = {"large": (960, 1280), "small": (576, 1024)}
"""Channels of the last map, and of the layer between the average and the last."""


def block(
    in_channels: int, kernel_size: int, expansion: float, channels: int, se: bool, act: str, stride: int, same: bool,
    first: bool, drop_path: float,
) -> Chain:  # fmt: skip
    """Expand (but in the first), depthwise, squeeze and excite, project; added to the input where the shape stays."""
    norm = {"epsilon": 1e-3 if same else 1e-5}
    width = rounded(in_channels * expansion)
    squeeze = SqueezeExcite(
        width, rounded(width / 4), ("conv_reduce", "conv_expand"), gate="hard_sigmoid_6", convs=True
    )
    padding = "SAME" if same and stride > 1 else None
    names = ("bn1", "bn2") if first else ("bn2", "bn3")
    layers = [] if first else conv_bn(("conv_pw", "bn1"), in_channels, width, 1, act=act, **norm)
    depthwise = {"stride": stride, "groups": width, "padding": padding}
    layers += conv_bn(("conv_dw", names[0]), width, width, kernel_size, act=act, **depthwise, **norm)
    layers += [("se", squeeze)] if se else []
    layers += conv_bn(("conv_pw" if first else "conv_pwl", names[1]), width, channels, 1, **norm)
    return Chain(layers, adds=stride == 1 and in_channels == channels, drop_path=drop_path)


class MobileNetV3(SourceNetwork):
    """Stem, stages of inverted residuals, 1x1 convolution, global average, a wide layer, fully connected.

    Args:
        size: ``large`` or ``small``.
        scale: multiplies every width but that of the layer before the last; rounded to multiples of 8.
        same: pad as TensorFlow does, at the bottom and right under a stride, and an epsilon of 0.001.
        drop_path: probability of dropping the last block's branch in training, growing from 0 at the first.
        dropout: probability of dropping a feature before the last layer, in training.
    """

    head_layers = ("neck", "head", "dropout")
    source_names: ClassVar[dict] = {r"^stem\.": "", r"^neck\.": "conv_head.", r"^head\.": "classifier."}

    def __init__(
        self,
        size: str,
        scale: float = 1.0,
        same: bool = False,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        require_choice(STAGES, size=size)
        require_positive(scale=scale)
        require_probability(drop_path=drop_path, dropout=dropout)
        self.same = same
        norm = {"act": "hard_swish", "epsilon": 1e-3 if same else 1e-5}
        channels = 16 if scale < 0.75 else rounded(16 * scale)
        padding = "SAME" if same else None
        self.stem = Chain(conv_bn(("conv_stem", "bn1"), in_channels, channels, 3, stride=2, padding=padding, **norm))
        count, number, stages = sum(map(len, STAGES[size])) + 1, 0, []
        for rows in STAGES[size]:
            blocks = []
            for kernel_size, expansion, out_channels, *rest in rows:
                shape = channels, kernel_size, expansion, rounded(out_channels * scale)
                blocks.append(block(*shape, *rest, same, number == 0, drop_path * number / count))
                channels, number = shape[-1], number + 1
            stages.append(nn.Sequential(*blocks))
        last, hidden = LAST[size]
        self.num_features = rounded(last * scale)
        stages.append(nn.Sequential(Chain(conv_bn(("conv", "bn1"), channels, self.num_features, 1, **norm))))
        self.blocks = nn.Sequential(*stages)
        self.neck = conv2d(self.num_features, hidden, 1, bias=True)
        self.add_head(hidden, num_classes, dropout)

    def steps(self) -> Iterable[nn.Layer]:
        return self.stem, *(each for stage in self.blocks for each in stage)

    def forward_head(self, features: paddle.Tensor) -> paddle.Tensor:
        hidden = F.hardswish(self.neck(F.adaptive_avg_pool2d(features, 1)))
        return self.head(self.dropout(hidden.flatten(1)))


SCALES = {"050": 0.5, "075": 0.75, "100": 1.0}

VARIANTS = {
    f"{tf}mobilenetv3_{size}_{suffix}": partial(MobileNetV3, size=size, scale=scale, same=bool(tf))
    for tf in ("", "tf_")
    for size in STAGES
    for suffix, scale in SCALES.items()
    if suffix != "050" or (size, tf) == ("small", "")
}
