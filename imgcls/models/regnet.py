"""RegNetX and RegNetY (arXiv:2003.13678)."""

import math
from collections.abc import Iterable
from functools import partial
from itertools import groupby
from typing import ClassVar

import paddle
from paddle import nn

from imgcls.models.checks import require_choice, require_probability
from imgcls.models.layers import ConvBNAct, SqueezeExcite
from imgcls.models.modern_layers import DropPath, SourceNetwork, drop_path_rates

# initial width, slope, multiplier, channels of a group, blocks: the paper's table of the networks found, by MMACs / 100
X = {
    "002": (24, 36.44, 2.49, 8, 13),
    "004": (24, 24.48, 2.54, 16, 22),
    "006": (48, 36.97, 2.24, 24, 16),
    "008": (56, 35.73, 2.28, 16, 16),
    "016": (80, 34.01, 2.25, 24, 18),
    "032": (88, 26.31, 2.25, 48, 25),
    "040": (96, 38.65, 2.43, 40, 23),
    "064": (184, 60.83, 2.07, 56, 17),
    "080": (80, 49.56, 2.88, 120, 23),
    "120": (168, 73.36, 2.37, 112, 19),
    "160": (216, 55.59, 2.1, 128, 22),
}
Y = {
    "002": (24, 36.44, 2.49, 8, 13),
    "004": (48, 27.89, 2.09, 8, 16),
    "006": (48, 32.54, 2.32, 16, 15),
    "008": (56, 38.84, 2.4, 16, 14),
    "016": (48, 20.71, 2.65, 24, 27),
    "032": (80, 42.63, 2.66, 24, 21),
    "040": (96, 31.41, 2.24, 64, 22),
    "064": (112, 33.22, 2.27, 72, 25),
    "080": (192, 76.82, 2.19, 56, 17),
    "120": (168, 73.36, 2.37, 112, 19),
    "160": (200, 106.23, 2.48, 112, 18),
}
STEM = 32


def widths(first: int, slope: float, multiplier: float, group: int, depth: int) -> list[tuple[int, int, int]]:
    """Width, channels of a group and blocks of each stage.

    Widths grow linearly from block to block, are rounded to powers of the multiplier and to multiples of 8
    (section 3.3), and then so that they can be divided into groups.
    """
    powers = [round(math.log(1 + slope * number / first) / math.log(multiplier)) for number in range(depth)]
    rounded = [8 * round(first * multiplier**power / 8) for power in powers]
    stages = []
    for width, blocks in groupby(rounded):
        group_width = min(group, width)
        stages.append((group_width * round(width / group_width), group_width, len(list(blocks))))
    return stages


class Block(nn.Layer):
    """1x1, 3x3 in groups, squeeze and excite (Y), 1x1; added to the input, or to a 1x1 convolution of it."""

    def __init__(self, in_channels: int, channels: int, group: int, stride: int, se: bool, drop_path: float):
        super().__init__()
        self.conv1 = ConvBNAct(in_channels, channels, 1, "relu")
        self.conv2 = ConvBNAct(channels, channels, 3, "relu", stride=stride, groups=channels // group)
        self.se = SqueezeExcite(channels, round(in_channels / 4), ("fc1", "fc2"), convs=True) if se else nn.Identity()
        self.conv3 = ConvBNAct(channels, channels, 1, act=None)
        self.downsample = nn.Identity()
        if stride > 1 or in_channels != channels:
            self.downsample = ConvBNAct(in_channels, channels, 1, stride=stride, act=None)
        self.drop_path = DropPath(drop_path)
        self.act = nn.ReLU()

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        branch = self.conv3(self.se(self.conv2(self.conv1(x))))
        return self.act(self.drop_path(branch) + self.downsample(x))


class RegNet(SourceNetwork):
    """A convolution of stride 2, stages of blocks, the first of each with stride 2, global average, fully connected.

    Args:
        size: a key of ``X`` or ``Y``.
        se: squeeze and excitation in every block: RegNetY.
        drop_path: probability of dropping the last block's branch in training, growing from 0 at the first.
        dropout: probability of dropping a feature before the last layer, in training.
    """

    source_names: ClassVar[dict] = {
        r"^stages\.(\d+)\.(\d+)\.": lambda found: f"s{int(found[1]) + 1}.b{int(found[2]) + 1}.",
        r"^head\.": "head.fc.",
    }

    def __init__(
        self,
        size: str,
        se: bool = False,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        table = Y if se else X
        require_choice(table, size=size)
        require_probability(drop_path=drop_path, dropout=dropout)
        self.stem = ConvBNAct(in_channels, STEM, 3, "relu", stride=2)
        rates = iter(drop_path_rates(drop_path, table[size][-1]))
        stages, channels = [], STEM
        for width, group, depth in widths(*table[size]):
            before = [channels] + [width] * (depth - 1)
            strides = [2] + [1] * (depth - 1)
            blocks = [
                Block(entry, width, group, stride, se, next(rates))
                for entry, stride in zip(before, strides, strict=True)
            ]
            stages.append(nn.Sequential(*blocks))
            channels = width
        self.stages = nn.Sequential(*stages)
        self.num_features = channels
        self.add_head(channels, num_classes, dropout)

    def steps(self) -> Iterable[nn.Layer]:
        return self.stem, *self.stages


VARIANTS = {
    **{f"regnetx_{size}": partial(RegNet, size=size) for size in X},
    **{f"regnety_{size}": partial(RegNet, size=size, se=True) for size in Y},
}
