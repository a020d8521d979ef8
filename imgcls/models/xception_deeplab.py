"""Xception as the backbone of DeepLab v3+ (arXiv:1802.02611): depthwise first, strides instead of pools."""

from collections.abc import Iterable
from functools import partial

import paddle
from paddle import nn
from paddle.regularizer import L2Decay

from imgcls.models.checks import require_probability
from imgcls.models.layers import BatchNormNames, ConvBNAct, Network, linear
from imgcls.models.xception import ENTRY3, ENTRY5


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, name: str, **options) -> ConvBNAct:
    """Convolution and batch norm with TensorFlow's names, momentum and epsilon; no weight decay on the batch norm."""
    bn = BatchNormNames(*(f"{name}/BatchNorm/{part}" for part in ("gamma", "beta", "moving_mean", "moving_variance")))
    layer = ConvBNAct(
        in_channels,
        out_channels,
        kernel_size,
        weight=f"{name}/weights",
        bn=bn,
        momentum=0.99,
        epsilon=1e-3,
        **options,
    )
    layer.bn.weight.regularizer = layer.bn.bias.regularizer = L2Decay(0.0)
    return layer


def separable(
    in_channels: int, out_channels: int, name: str, stride: int = 1, dilation: int = 1, act: str | None = None
) -> nn.Sequential:
    """3x3 within each channel, then 1x1 over channels, both with batch norm and ``act``."""
    return nn.Sequential(
        conv_bn(
            in_channels,
            in_channels,
            3,
            f"{name}/depthwise",
            stride=stride,
            dilation=dilation,
            groups=in_channels,
            act=act,
        ),
        conv_bn(in_channels, out_channels, 1, f"{name}/pointwise", act=act),
    )


class Block(nn.Layer):
    """Three separable convolutions, each after a ReLU, the last with the stride, beside a shortcut.

    Args:
        widths: channels after each of the three.
        project: the shortcut is a 1x1 convolution rather than the input itself.
    """

    def __init__(self, in_channels: int, widths: tuple[int, int, int], stride: int, project: bool, name: str):
        super().__init__()
        layers = []
        channels = in_channels
        for number, width in enumerate(widths, start=1):
            layer = separable(channels, width, f"{name}/separable_conv{number}", stride=stride if number == 3 else 1)
            layers += [nn.ReLU(), layer]
            channels = width
        self.branch = nn.Sequential(*layers)
        self.shortcut = nn.Identity()
        if project:
            self.shortcut = conv_bn(in_channels, channels, 1, f"{name}/shortcut", stride=stride, act=None)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.branch(x) + self.shortcut(x)


class XceptionDeeplab(Network):
    """Entry, middle and exit flow, global average, dropout.

    Args:
        layers: the number in the model's name, part of every parameter's.
        entry: channels and stride of the entry flow's blocks.
        middle: number of blocks of the middle flow.
        dropout: probability of dropping a feature before the last layer, in training.
    """

    num_features = 2048

    def __init__(
        self,
        layers: int,
        entry: tuple[tuple[int, int], ...],
        middle: int,
        dropout: float = 0.5,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        require_probability(dropout=dropout)
        name = f"xception_{layers}"
        self.stem = nn.Sequential(
            conv_bn(in_channels, 32, 3, f"{name}/entry_flow/conv1", stride=2),
            conv_bn(32, 64, 3, f"{name}/entry_flow/conv2"),
        )
        channels = 64
        blocks = []
        for number, (width, stride) in enumerate(entry, start=1):
            blocks.append(Block(channels, (width,) * 3, stride, True, f"{name}/entry_flow/block{number}"))
            channels = width
        for number in range(1, middle + 1):
            blocks.append(Block(channels, (channels,) * 3, 1, False, f"{name}/middle_flow/block{number}"))
        blocks.append(Block(channels, (channels, 1024, 1024), 2, True, f"{name}/exit_flow/block1"))
        self.blocks = nn.Sequential(*blocks)
        name = f"{name}/exit_flow/block2"
        self.exit = nn.Sequential(
            separable(1024, 1536, f"{name}/separable_conv1", dilation=2, act="relu"),
            separable(1536, 1536, f"{name}/separable_conv2", dilation=2, act="relu"),
            separable(1536, 2048, f"{name}/separable_conv3", dilation=2, act="relu"),
        )
        self.dropout = nn.Dropout(dropout, mode="downscale_in_infer")
        self.head = linear(self.num_features, num_classes, weight="fc_weights", bias="fc_bias", uniform=True)

    def steps(self) -> Iterable[nn.Layer]:
        return self.stem, *self.blocks, self.exit


VARIANTS = {
    "xception41_deeplab": partial(XceptionDeeplab, layers=41, entry=ENTRY3, middle=8),
    "xception65_deeplab": partial(XceptionDeeplab, layers=65, entry=ENTRY3, middle=16),
    "xception71_deeplab": partial(XceptionDeeplab, layers=71, entry=ENTRY5, middle=16),
}
