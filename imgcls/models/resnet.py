"""ResNet and its variants c and d ("Deep Residual Learning", arXiv:1512.03385; "Bag of Tricks", arXiv:1812.01187).

``vc`` replaces the 7x7 stem by three 3x3 convolutions; ``vd`` also halves the resolution of a
shortcut with an average pool before its 1x1 convolution. The stride of a bottleneck sits on its
3x3 convolution in all of them.
"""

from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.models.layers import ConvBNAct, Network, linear


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, name: str, **options) -> ConvBNAct:
    """The family's naming rule: batch norm ``bn2a_branch2a`` belongs to ``res2a_branch2a``, ``bnv1_1`` to ``conv1_1``."""
    bn = "bn_conv1" if name == "conv1" else "bn" + name[3:]
    return ConvBNAct(in_channels, out_channels, kernel_size, weight=f"{name}_weights", bn=bn, **options)


class BasicBlock(nn.Layer):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, shortcut: nn.Layer, name: str):
        super().__init__()
        self.conv1 = conv_bn(in_channels, width, 3, f"{name}_branch2a", stride=stride)
        self.conv2 = conv_bn(width, width, 3, f"{name}_branch2b", act=None)
        self.shortcut = shortcut

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


class Bottleneck(nn.Layer):
    """1x1, 3x3 (with the stride), 1x1 to four times the width, beside a shortcut."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, shortcut: nn.Layer, name: str):
        super().__init__()
        self.conv1 = conv_bn(in_channels, width, 1, f"{name}_branch2a")
        self.conv2 = conv_bn(width, width, 3, f"{name}_branch2b", stride=stride)
        self.conv3 = conv_bn(width, width * self.expansion, 1, f"{name}_branch2c", act=None)
        self.shortcut = shortcut

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.relu(self.conv3(self.conv2(self.conv1(x))) + self.shortcut(x))


DEPTHS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
    200: (Bottleneck, (3, 12, 48, 3)),
}


class ResNet(Network):
    """Stem, four stages of residual blocks, global average, fully connected.

    Args:
        depth: a key of ``DEPTHS``.
        deep_stem: three 3x3 convolutions instead of one 7x7 (variants c and d).
        pool_shortcut: strided shortcuts average before they project (variant d).
    """

    def __init__(
        self,
        depth: int,
        deep_stem: bool = False,
        pool_shortcut: bool = False,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        block, repeats = DEPTHS[depth]
        if deep_stem:
            self.stem = nn.Sequential(
                conv_bn(in_channels, 32, 3, "conv1_1", stride=2),
                conv_bn(32, 32, 3, "conv1_2"),
                conv_bn(32, 64, 3, "conv1_3"),
            )
        else:
            self.stem = conv_bn(in_channels, 64, 7, "conv1", stride=2)
        self.pool = nn.MaxPool2D(3, stride=2, padding=1)

        channels = 64
        stages = []
        for stage, repeat in enumerate(repeats):
            width = 64 * 2**stage
            blocks = []
            for index in range(repeat):
                stride = 2 if stage > 0 and index == 0 else 1
                name = block_name(depth, stage, index)
                out_channels = width * block.expansion
                path = shortcut(channels, out_channels, stride, pool_shortcut, name) if index == 0 else nn.Identity()
                blocks.append(block(channels, width, stride, path, name))
                channels = out_channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.num_features = channels
        self.head = linear(channels, num_classes, weight="fc_0.w_0", bias="fc_0.b_0", uniform=True)

    def forward_features(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.stages(self.pool(self.stem(x)))


def shortcut(in_channels: int, out_channels: int, stride: int, pool: bool, name: str) -> nn.Layer:
    """Projection of a stage's first block; 18 and 34 layers have one even where it is not needed."""
    if pool and stride > 1:
        return nn.Sequential(
            nn.AvgPool2D(2, stride=2, ceil_mode=True),
            conv_bn(in_channels, out_channels, 1, f"{name}_branch1", act=None),
        )
    return conv_bn(in_channels, out_channels, 1, f"{name}_branch1", act=None, stride=stride)


def block_name(depth: int, stage: int, index: int) -> str:
    """``res2a``, ``res2b``, ...; in the third stage of the deep ones ``res4a``, ``res4b1``, ``res4b2``, ..."""
    if depth >= 101 and stage == 2 and index > 0:
        return f"res{stage + 2}b{index}"
    return f"res{stage + 2}{chr(ord('a') + index)}"


_vc = partial(ResNet, deep_stem=True)
_vd = partial(ResNet, deep_stem=True, pool_shortcut=True)

VARIANTS = {
    **{f"resnet{depth}": partial(ResNet, depth=depth) for depth in (18, 34, 50, 101, 152)},
    **{f"resnet{depth}_vc": partial(_vc, depth=depth) for depth in (50, 101, 152)},
    **{f"resnet{depth}_vd": partial(_vd, depth=depth) for depth in (18, 34, 50, 101, 152, 200)},
    "resnet50_vd_v2": partial(_vd, depth=50),
}
