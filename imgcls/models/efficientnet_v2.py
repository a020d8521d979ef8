"""EfficientNetV2 (arXiv:2104.00298), as timm has it, and as the authors' TensorFlow weights need it (``tf_``)."""

import math
from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from paddle import nn

from imgcls.models.checks import require_choice, require_positive, require_probability
from imgcls.models.layers import SqueezeExcite
from imgcls.models.modern_layers import Chain, SourceNetwork, conv_bn, rounded

# kind of the blocks, expansion, channels, blocks, stride of the first; kernels are 3x3
STAGES = {
    "b": (
        ("conv", 1, 16, 1, 1),
        ("fused", 4, 32, 2, 2),
        ("fused", 4, 48, 2, 2),
        ("depthwise", 4, 96, 3, 2),
        ("depthwise", 6, 112, 5, 1),
        ("depthwise", 6, 192, 8, 2),
    ),
    "s": (
        ("conv", 1, 24, 2, 1),
        ("fused", 4, 48, 4, 2),
        ("fused", 4, 64, 4, 2),
        ("depthwise", 4, 128, 6, 2),
        ("depthwise", 6, 160, 9, 1),
        ("depthwise", 6, 256, 15, 2),
    ),
    "m": (
        ("conv", 1, 24, 3, 1),
        ("fused", 4, 48, 5, 2),
        ("fused", 4, 80, 5, 2),
        ("depthwise", 4, 160, 7, 2),
        ("depthwise", 6, 176, 14, 1),
        ("depthwise", 6, 304, 18, 2),
        ("depthwise", 6, 512, 5, 1),
    ),
    "l": (
        ("conv", 1, 32, 4, 1),
        ("fused", 4, 64, 7, 2),
        ("fused", 4, 96, 7, 2),
        ("depthwise", 4, 192, 10, 2),
        ("depthwise", 6, 224, 19, 1),
        ("depthwise", 6, 384, 25, 2),
        ("depthwise", 6, 640, 7, 1),
    ),
}
STEMS = {"b": 32, "s": 24, "m": 24, "l": 32}
ROUNDING = {"b": 0.0, "s": 0.9, "m": 0.9, "l": 0.9}
"""Of its width, what the rounding to a multiple of 8 must leave."""


def block(
    kind: str, in_channels: int, channels: int, expansion: int, stride: int, same: bool, drop_path: float
) -> Chain:
    """A convolution, or an expansion and a projection: through 3x3 (``fused``), or 1x1 and depthwise 3x3 with SE."""
    width = rounded(in_channels * expansion)
    options = {"epsilon": 1e-3 if same else 1e-5}
    strided = {**options, "stride": stride, "padding": "SAME" if same and stride > 1 else None}
    if kind == "conv":
        layers = conv_bn(("conv", "bn1"), in_channels, channels, 3, act="swish", **strided)
    elif kind == "fused":
        layers = [
            *conv_bn(("conv_exp", "bn1"), in_channels, width, 3, act="swish", **strided),
            *conv_bn(("conv_pwl", "bn2"), width, channels, 1, **options),
        ]
    else:
        squeezed = round(in_channels / 4)
        layers = [
            *conv_bn(("conv_pw", "bn1"), in_channels, width, 1, act="swish", **options),
            *conv_bn(("conv_dw", "bn2"), width, width, 3, act="swish", groups=width, **strided),
            ("se", SqueezeExcite(width, squeezed, ("conv_reduce", "conv_expand"), act="swish", convs=True)),
            *conv_bn(("conv_pwl", "bn3"), width, channels, 1, **options),
        ]
    return Chain(layers, adds=stride == 1 and in_channels == channels, drop_path=drop_path)


class EfficientNetV2(SourceNetwork):
    """Stem, stages of fused and of depthwise inverted residuals, a wide 1x1 convolution, average, fully connected.

    Args:
        size: a key of ``STAGES``.
        width: multiplies every width; the result is rounded to a multiple of 8.
        depth: multiplies the number of blocks of a stage, rounding up.
        same: pad as TensorFlow does, at the bottom and right under a stride, and an epsilon of 0.001.
        drop_path: probability of dropping the last block's branch in training, growing from 0 at the first.
        dropout: probability of dropping a feature before the last layer, in training.
    """

    source_names: ClassVar[dict] = {r"^(stem|last)\.": "", r"^head\.": "classifier."}

    def __init__(
        self,
        size: str,
        width: float = 1.0,
        depth: float = 1.0,
        same: bool = False,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        require_choice(STAGES, size=size)
        require_positive(width=width, depth=depth)
        require_probability(drop_path=drop_path, dropout=dropout)
        self.same = same
        norm = {"act": "swish", "epsilon": 1e-3 if same else 1e-5}
        channels = rounded(STEMS[size] * width, ROUNDING[size])
        padding = "SAME" if same else None
        self.stem = Chain(conv_bn(("conv_stem", "bn1"), in_channels, channels, 3, stride=2, padding=padding, **norm))
        repeats = [math.ceil(depth * stage[3]) for stage in STAGES[size]]
        stages, number = [], 0
        for (kind, expansion, out_channels, _, first_stride), repeat in zip(STAGES[size], repeats, strict=True):
            out_channels = rounded(out_channels * width, ROUNDING[size])
            blocks = []
            for index in range(repeat):
                rate, stride = drop_path * number / sum(repeats), 1 if index else first_stride
                blocks.append(block(kind, channels, out_channels, expansion, stride, same, rate))
                channels = out_channels
                number += 1
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.num_features = rounded(1280 * width, ROUNDING[size]) if size == "b" else 1280
        self.last = Chain(conv_bn(("conv_head", "bn2"), channels, self.num_features, 1, **norm))
        self.add_head(self.num_features, num_classes, dropout)

    def steps(self) -> Iterable[nn.Layer]:
        return self.stem, *(each for stage in self.blocks for each in stage), self.last


SCALES = {"b0": (1.0, 1.0), "b1": (1.0, 1.1), "b2": (1.1, 1.2), "b3": (1.2, 1.4)}

VARIANTS = {
    **{f"efficientnetv2_{size}": partial(EfficientNetV2, size=size) for size in ("s", "m", "l")},
    **{f"tf_efficientnetv2_{size}": partial(EfficientNetV2, size=size, same=True) for size in ("s", "m", "l")},
    **{
        f"tf_efficientnetv2_{name}": partial(EfficientNetV2, size="b", width=width, depth=depth, same=True)
        for name, (width, depth) in SCALES.items()
    },
}
