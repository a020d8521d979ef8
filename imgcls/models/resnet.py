"""ResNet and its variants c and d ("Deep Residual Learning", arXiv:1512.03385; "Bag of Tricks", arXiv:1812.01187).

Variant c replaces the 7x7 stem by three 3x3 convolutions; d also halves the resolution of a shortcut
with an average pool before its 1x1 convolution. The stride of a bottleneck sits on its 3x3
convolution in all of them.

The relatives are this network with one thing changed: the 3x3 convolutions in groups (``resnext``,
``resnext_wsl``), in steps (``res2net``) or in three parallel kernels (``acnet``), channel attention
after each branch (``senet``), other initial values (``fast_imagenet``). ``ResNet`` therefore names
and makes its parts in methods, and a relative overrides the one it differs in.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.models.checks import require_choice, require_probability
from imgcls.models.layers import ConvBNAct, Network, linear
from imgcls.models.pooling import MaxPool2D

REPEATS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 12, 48, 3),
}
STEM = {"conv1": 64}
DEEP_STEM = {"conv1_1": 32, "conv1_2": 32, "conv1_3": 64}


class Names(NamedTuple):
    """What a family called the convolutions of a block, and its last layer."""

    conv1: str = "branch2a"
    conv2: str = "branch2b"
    conv3: str = "branch2c"
    shortcut: str = "branch1"
    head_weight: str = "fc_0.w_0"
    head_bias: str = "fc_0.b_0"


class Residual(nn.Layer):
    """The sum of a branch and a shortcut, then ReLU."""

    def __init__(self, branch: nn.Layer, shortcut: nn.Layer):
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.relu(self.branch(x) + self.shortcut(x))


class ResNet(Network):
    """Stem, four stages of residual blocks, global average, fully connected.

    Args:
        depth: a key of ``REPEATS``; up to 34 layers the branches are pairs of 3x3 convolutions,
            from 50 on bottlenecks.
        stem: names and channels of its convolutions, one of 7x7 or several of 3x3.
        width: channels of the 3x3 convolutions in the first stage, doubled in each stage.
        groups: of the 3x3 convolutions in a bottleneck.
        pool_shortcut: strided shortcuts average before they project (variant d).
        dropout: probability of dropping a feature before the last layer, in training.
    """

    names = Names()
    numbered_depths = (101, 152, 200)  # where block_prefix numbers the third stage

    def __init__(
        self,
        depth: int,
        stem: Mapping[str, int] = STEM,
        width: int = 64,
        groups: int = 1,
        pool_shortcut: bool = False,
        dropout: float = 0.0,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        require_choice(REPEATS, depth=depth)
        require_probability(dropout=dropout)
        self.depth = depth
        self.groups = groups
        self.pool_shortcut = pool_shortcut

        channels = in_channels
        kernel_size = 7 if len(stem) == 1 else 3
        convs = []
        for name, out_channels in stem.items():
            convs.append(self.make_conv(channels, out_channels, kernel_size, name, stride=1 if convs else 2))
            channels = out_channels
        self.stem = nn.Sequential(*convs)
        self.pool = MaxPool2D(3, stride=2, padding=1)

        stages = []
        for stage, repeat in enumerate(REPEATS[depth]):
            out_channels = 64 * 2**stage * (1 if depth < 50 else 4)
            blocks = []
            for index in range(repeat):
                block = self.block_prefix(stage, index)
                stride = 2 if stage > 0 and index == 0 else 1
                branch = self.make_branch(channels, width * 2**stage, out_channels, stride, block)
                shortcut = self.make_shortcut(channels, out_channels, stride, block) if index == 0 else nn.Identity()
                blocks.append(Residual(branch, shortcut))
                channels = out_channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.num_features = channels
        self.dropout = nn.Dropout(dropout, mode="downscale_in_infer")
        self.head = linear(
            channels, num_classes, weight=self.names.head_weight, bias=self.names.head_bias, uniform=True
        )

    def steps(self) -> Iterable[nn.Layer]:
        return self.stem, self.pool, *self.stages

    def make_branch(self, in_channels: int, width: int, out_channels: int, stride: int, block: str) -> nn.Sequential:
        """The convolutions of one block, two of 3x3 or 1x1, 3x3, 1x1; ``block`` begins their names."""
        conv1, conv2, conv3 = (block + name for name in self.names[:3])
        if self.depth < 50:
            return nn.Sequential(
                ("conv1", self.make_conv(in_channels, width, 3, conv1, stride=stride)),
                ("conv2", self.make_conv(width, out_channels, 3, conv2, act=None)),
            )
        return nn.Sequential(
            ("conv1", self.make_conv(in_channels, width, 1, conv1)),
            ("conv2", self.make_conv3x3(width, stride, conv2)),
            ("conv3", self.make_conv(width, out_channels, 1, conv3, act=None)),
        )

    def make_conv3x3(self, width: int, stride: int, name: str) -> nn.Layer:
        """The middle of a bottleneck."""
        return self.make_conv(width, width, 3, name, stride=stride, groups=self.groups)

    def make_shortcut(self, in_channels: int, out_channels: int, stride: int, block: str) -> nn.Layer:
        """Projection of a stage's first block; 18 and 34 layers have one even where it is not needed."""
        name = block + self.names.shortcut
        if self.pool_shortcut and stride > 1:
            project = self.make_conv(in_channels, out_channels, 1, name, act=None)
            return nn.Sequential(nn.AvgPool2D(2, stride=2, ceil_mode=True), project)
        return self.make_conv(in_channels, out_channels, 1, name, act=None, stride=stride)

    def make_conv(self, in_channels: int, out_channels: int, kernel_size: int, name: str, **options) -> nn.Layer:
        """Convolution, batch norm and activation; ``options`` are those of ``ConvBNAct``."""
        bn = batch_norm_name(name)
        return ConvBNAct(in_channels, out_channels, kernel_size, weight=f"{name}_weights", bn=bn, **options)

    def block_prefix(self, stage: int, index: int) -> str:
        """``res2a_``, ``res2b_``, ...; in a numbered third stage ``res4a_``, ``res4b1_``, ``res4b2_``, ..."""
        if self.depth in self.numbered_depths and stage == 2 and index > 0:
            return f"res4b{index}_"
        return f"res{stage + 2}{chr(ord('a') + index)}_"


def batch_norm_name(conv: str) -> str:
    """``bn2a_branch2a`` belongs to ``res2a_branch2a``, ``bnv1_1`` to ``conv1_1``."""
    return "bn_conv1" if conv == "conv1" else "bn" + conv[3:]


_vc = partial(ResNet, stem=DEEP_STEM)
_vd = partial(ResNet, stem=DEEP_STEM, pool_shortcut=True)

VARIANTS = {
    **{f"resnet{depth}": partial(ResNet, depth=depth) for depth in (18, 34, 50, 101, 152)},
    **{f"resnet{depth}_vc": partial(_vc, depth=depth) for depth in (50, 101, 152)},
    **{f"resnet{depth}_vd": partial(_vd, depth=depth) for depth in (18, 34, 50, 101, 152, 200)},
    "resnet50_vd_v2": partial(_vd, depth=50),
}
