"""Xception (arXiv:1610.02357), in its own reading of a separable convolution: pointwise first, then depthwise.

``xception_deeplab`` holds the other reading. The number in a name counts layers: 65 and 71 have the
longer middle flow and 71 the longer entry flow of DeepLab's versions (arXiv:1802.02611).
"""

from collections.abc import Iterable
from functools import partial

import paddle
from paddle import nn

from imgcls.models.layers import ConvBNAct, Network, conv2d, linear
from imgcls.models.pooling import MaxPool2D

ENTRY3 = ((128, 2), (256, 2), (728, 2))
ENTRY5 = ((128, 2), (256, 1), (256, 2), (728, 1), (728, 2))


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, name: str, **options) -> ConvBNAct:
    return ConvBNAct(in_channels, out_channels, kernel_size, weight=f"{name}_weights", bn=f"bn_{name}", **options)


def separable(in_channels: int, out_channels: int, name: str) -> nn.Sequential:
    """1x1 over channels, then 3x3 within each of them, both with batch norm and no activation."""
    return nn.Sequential(
        conv_bn(in_channels, out_channels, 1, f"{name}_sep", act=None),
        conv_bn(out_channels, out_channels, 3, f"{name}_dw", act=None, groups=out_channels),
    )


class StridedBlock(nn.Layer):
    """Two separable convolutions and a max pool beside a 1x1 convolution without batch norm.

    Args:
        widths: channels after each of the two.
        relu_first: a ReLU precedes the first too, except in the very first block.
    """

    def __init__(self, in_channels: int, widths: tuple[int, int], stride: int, name: str, relu_first: bool = True):
        super().__init__()
        self.shortcut = conv2d(in_channels, widths[1], 1, weight=f"{name}_branch1_weights", stride=stride)
        self.branch = nn.Sequential(
            nn.ReLU() if relu_first else nn.Identity(),
            separable(in_channels, widths[0], f"{name}_branch2a_weights"),
            nn.ReLU(),
            separable(widths[0], widths[1], f"{name}_branch2b_weights"),
            MaxPool2D(3, stride=stride, padding=1),
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.shortcut(x) + self.branch(x)


class MiddleBlock(nn.Layer):
    """Three separable convolutions, each after a ReLU, added to the input."""

    def __init__(self, channels: int, name: str):
        super().__init__()
        layers = []
        for letter in "abc":
            layers += [nn.ReLU(), separable(channels, channels, f"{name}_branch2{letter}_weights")]
        self.branch = nn.Sequential(*layers)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return x + self.branch(x)


class Xception(Network):
    """Entry, middle and exit flow, global average.

    Args:
        entry: channels and stride of the entry flow's blocks.
        middle: number of blocks of the middle flow.
    """

    num_features = 2048

    def __init__(self, entry: tuple[tuple[int, int], ...], middle: int, num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        self.stem = nn.Sequential(
            conv_bn(in_channels, 32, 3, "entry_flow_conv1", stride=2), conv_bn(32, 64, 3, "entry_flow_conv2")
        )
        channels = 64
        blocks = []
        for index, (width, stride) in enumerate(entry):
            name = f"entry_flow_{index}"
            blocks.append(StridedBlock(channels, (width, width), stride, name, relu_first=index > 0))
            channels = width
        blocks += [MiddleBlock(channels, f"middle_flow_{index}") for index in range(middle)]
        blocks.append(StridedBlock(channels, (channels, 1024), 2, "exit_flow_1"))
        self.blocks = nn.Sequential(*blocks)
        self.exit = nn.Sequential(
            separable(1024, 1536, "exit_flow_2"), nn.ReLU(), separable(1536, 2048, "exit_flow_3"), nn.ReLU()
        )
        self.head = linear(self.num_features, num_classes, weight="fc_weights", bias="fc_offset", uniform=True)

    def steps(self) -> Iterable[nn.Layer]:
        return self.stem, *self.blocks, self.exit


VARIANTS = {
    "xception41": partial(Xception, entry=ENTRY3, middle=8),
    "xception65": partial(Xception, entry=ENTRY3, middle=16),
    "xception71": partial(Xception, entry=ENTRY5, middle=16),
}
