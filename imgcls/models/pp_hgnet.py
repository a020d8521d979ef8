"""PP-HGNet and PP-HGNetV2, as PaddleClas has them."""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.models.checks import require_choice, require_probability
from imgcls.models.data_format import MapLayer
from imgcls.models.layers import ConvBNAct, conv2d
from imgcls.models.modern_layers import SourceNetwork, linear, parameter
from imgcls.models.pooling import MaxPool2D

# widths of the stem; layers of a block; by stage: width within the blocks, output channels, blocks
V1 = {
    "tiny": ((48, 48, 96), 5, ((96, 224, 1), (128, 448, 1), (160, 512, 2), (192, 768, 1))),
    "small": ((64, 64, 128), 6, ((128, 256, 1), (160, 512, 1), (192, 768, 2), (224, 1024, 1))),
    "base": ((96, 96, 160), 7, ((192, 320, 1), (224, 640, 2), (256, 960, 3), (288, 1280, 2))),
}
# the same, behind whether every activation is followed by a trained factor and offset
V2 = {
    "b0": (True, (16, 16), 3, ((16, 64, 1), (32, 256, 1), (64, 512, 2), (128, 1024, 1))),
    "b1": (True, (24, 32), 3, ((32, 64, 1), (48, 256, 1), (96, 512, 2), (192, 1024, 1))),
    "b2": (True, (24, 32), 4, ((32, 96, 1), (64, 384, 1), (128, 768, 3), (256, 1536, 1))),
    "b3": (True, (24, 32), 5, ((32, 128, 1), (64, 512, 1), (128, 1024, 3), (256, 2048, 1))),
    "b4": (False, (32, 48), 6, ((48, 128, 1), (96, 512, 1), (192, 1024, 3), (384, 2048, 1))),
    "b5": (False, (32, 64), 6, ((64, 128, 1), (128, 512, 2), (256, 1024, 5), (512, 2048, 2))),
    "b6": (False, (48, 96), 6, ((96, 192, 2), (192, 512, 3), (384, 1024, 6), (768, 2048, 3))),
}
HIDDEN = 2048


class Affine(nn.Layer):
    """One trained factor and one offset for all values, which learn at a hundredth of the rate."""

    def __init__(self):
        super().__init__()
        self.scale = parameter(self, [1], nn.initializer.Constant(1.0))
        self.bias = parameter(self, [1], nn.initializer.Constant(0.0))
        for each in (self.scale, self.bias):
            each.optimize_attr["learning_rate"] = 0.01

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.scale * x + self.bias


class ConvReLU(ConvBNAct):
    """Convolution, batch norm, ReLU, and ``Affine`` if told so."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, affine: bool = False, **options):
        super().__init__(in_channels, out_channels, kernel_size, "relu", **options)
        self.lab = Affine() if affine else nn.Identity()

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.lab(ConvBNAct.forward(self, x))  # a graph is made of it, which knows no super()


def light(in_channels: int, out_channels: int, kernel_size: int, affine: bool) -> nn.Sequential:
    """A pointwise and a depthwise convolution."""
    depthwise = ConvReLU(out_channels, out_channels, kernel_size, affine, groups=out_channels)
    return nn.Sequential(("conv1", ConvBNAct(in_channels, out_channels, 1, act=None)), ("conv2", depthwise))


class Attention(MapLayer):
    """A factor for each channel from the means of all, through one layer."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = conv2d(channels, channels, 1, bias=True)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return x * F.sigmoid(self.conv(F.adaptive_avg_pool2d(x, 1, self.data_format)))


class Block(MapLayer):
    """Layers one after the other; what goes in and what each gives, joined; the input added, but in a first block."""

    def __init__(self, layers: list[nn.Layer], joined: nn.Layer, adds: bool):
        super().__init__()
        self.layers, self.joined, self.adds = nn.LayerList(layers), joined, adds

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        maps = [x]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        out = self.joined(paddle.concat(maps, axis=self.channel_axis))
        return x + out if self.adds else out


def block(in_channels: int, width: int, channels: int, count: int, adds: bool) -> Block:
    """Of V1: 3x3 convolutions, joined by a 1x1 with attention."""
    layers = [ConvReLU(width if number else in_channels, width, 3) for number in range(count)]
    total = in_channels + count * width
    joined = nn.Sequential(("aggregation_conv", ConvReLU(total, channels, 1)), ("att", Attention(channels)))
    return Block(layers, joined, adds)


def block_v2(in_channels: int, width: int, channels: int, count: int, adds: bool, late: bool, affine: bool) -> Block:
    """Of V2: 3x3 convolutions in the early stages, light 5x5 in the late ones, joined by two 1x1."""
    entries = [width if number else in_channels for number in range(count)]
    if late:
        layers = [light(entry, width, 5, affine) for entry in entries]
    else:
        layers = [ConvReLU(entry, width, 3, affine) for entry in entries]
    half = channels // 2
    joined = nn.Sequential(
        ("aggregation_squeeze_conv", ConvReLU(in_channels + count * width, half, 1, affine)),
        ("aggregation_excitation_conv", ConvReLU(half, channels, 1, affine)),
    )
    return Block(layers, joined, adds)


class Stem(MapLayer):
    """Of V2: 3x3 of stride 2; then two 2x2 convolutions beside a 2x2 pool; 3x3 of stride 2 and 1x1."""

    def __init__(self, in_channels: int, width: int, channels: int, affine: bool):
        super().__init__()
        self.stem1 = ConvReLU(in_channels, width, 3, affine, stride=2)
        self.stem2a = ConvReLU(width, width // 2, 2, affine, padding="SAME")
        self.stem2b = ConvReLU(width // 2, width, 2, affine, padding="SAME")
        self.pool = MaxPool2D(2, stride=1, padding="SAME")
        self.stem3 = ConvReLU(2 * width, width, 3, affine, stride=2)
        self.stem4 = ConvReLU(width, channels, 1, affine)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.stem1(x)
        x = paddle.concat([self.pool(x), self.stem2b(self.stem2a(x))], axis=self.channel_axis)
        return self.stem4(self.stem3(x))


class PPHGNet(SourceNetwork):
    """Stem, stages of blocks whose layers are all joined, global average, a wide layer, fully connected.

    Args:
        size: a key of ``V1`` or of ``V2``.
        dropout: probability of dropping a feature before the last layer, in training.
    """

    head_layers = ("neck", "neck_lab", "head", "dropout")
    statistics: ClassVar[dict] = {}
    source_names: ClassVar[dict] = {
        r"\.joined\.": ".",
        r"^neck\.": "last_conv.",
        r"^neck_lab\.": "lab.",
        r"^head\.": "fc.",
    }

    def __init__(self, size: str, dropout: float = 0.0, num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        require_choice((*V1, *V2), size=size)
        require_probability(dropout=dropout)
        if size in V1:
            affine = False
            widths, count, table = V1[size]
            entries = (in_channels, *widths)
            stem = [ConvReLU(entries[index], widths[index], 3, stride=1 if index else 2) for index in range(3)]
            self.stem = nn.Sequential(*stem)
            self.pool = MaxPool2D(3, stride=2, padding=1)
        else:
            affine, widths, count, table = V2[size]
            self.stem, self.pool = Stem(in_channels, *widths, affine), nn.Identity()
        channels, stages = widths[-1], []
        for number, (width, out_channels, depth) in enumerate(table):
            blocks = []
            for index in range(depth):
                shape = out_channels if index else channels, width, out_channels, count, index > 0
                blocks.append(block(*shape) if size in V1 else block_v2(*shape, number > 1, affine))
            parts = [("blocks", nn.Sequential(*blocks))]
            if number > 0:
                parts.insert(0, ("downsample", ConvBNAct(channels, channels, 3, stride=2, groups=channels, act=None)))
            stages.append(nn.Sequential(*parts))
            channels = out_channels
        self.stages = nn.Sequential(*stages)
        self.num_features = channels
        self.neck = conv2d(channels, HIDDEN, 1)
        self.neck_lab = Affine() if affine else nn.Identity()
        self.dropout = nn.Dropout(dropout, mode="downscale_in_infer")  # as the published weights were trained
        self.head = linear(HIDDEN, num_classes)
        self.name_as_source()

    def steps(self) -> Iterable[nn.Layer]:
        return self.stem, self.pool, *self.stages

    def forward_head(self, features: paddle.Tensor) -> paddle.Tensor:
        hidden = F.relu(self.neck(F.adaptive_avg_pool2d(features, 1)))
        return self.head(self.dropout(self.neck_lab(hidden).flatten(1)))


VARIANTS = {
    **{f"pphgnet_{size}": partial(PPHGNet, size=size, dropout=0.2 if size == "base" else 0.0) for size in V1},
    **{f"pphgnetv2_{size}": partial(PPHGNet, size=size) for size in V2},
}
