"""HRNet for classification (arXiv:1908.07919), also with channel attention (SE, arXiv:1709.01507).

Convolutions at up to four resolutions run side by side and exchange their maps after every module.
"""

from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.models.data_format import MapLayer
from imgcls.models.layers import ConvBNAct, Network, SqueezeExcite, linear

Maps = list[paddle.Tensor]
KAIMING = nn.initializer.KaimingUniform()


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, name: str, **options) -> ConvBNAct:
    return ConvBNAct(
        in_channels, out_channels, kernel_size, weight=f"{name}_weights", bn=f"{name}_bn", init=KAIMING, **options
    )


def attention(channels: int, name: str) -> SqueezeExcite:
    return SqueezeExcite(channels, channels // 16, squeeze=f"{name}_fc_sqz", excite=f"{name}_fc_exc")


class BasicBlock(nn.Layer):
    """Two 3x3 convolutions added to their input."""

    def __init__(self, channels: int, se: bool, name: str):
        super().__init__()
        self.conv1 = conv_bn(channels, channels, 3, f"{name}_conv1")
        self.conv2 = conv_bn(channels, channels, 3, f"{name}_conv2", act=None)
        self.se = attention(channels, name) if se else nn.Identity()

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.relu(x + self.se(self.conv2(self.conv1(x))))


class Bottleneck(nn.Layer):
    """1x1, 3x3, 1x1 to four times the width, beside a shortcut that projects where the channels change."""

    def __init__(self, in_channels: int, width: int, se: bool, name: str):
        super().__init__()
        out_channels = 4 * width
        self.conv1 = conv_bn(in_channels, width, 1, f"{name}_conv1")
        self.conv2 = conv_bn(width, width, 3, f"{name}_conv2")
        self.conv3 = conv_bn(width, out_channels, 1, f"{name}_conv3", act=None)
        self.shortcut = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = conv_bn(in_channels, out_channels, 1, f"{name}_downsample", act=None)
        self.se = attention(out_channels, name) if se else nn.Identity()

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.relu(self.shortcut(x) + self.se(self.conv3(self.conv2(self.conv1(x)))))


class Fusion(MapLayer):
    """One output map of a module: all its maps, brought to one resolution and width, added; then ReLU.

    Finer maps come down through strided 3x3 convolutions, coarser ones up through a 1x1 convolution
    and nearest neighbours.

    Args:
        widths: channels of the maps, finest first.
        index: of the map whose resolution and width the output has.
        align_corners: of the nearest neighbours, see ``stretch``.
    """

    def __init__(self, widths: list[int], index: int, align_corners: bool, name: str):
        super().__init__()
        self.index = index
        self.align_corners = align_corners
        width = widths[index]
        self.down = nn.LayerList()
        for source in range(index):
            convs = []
            for step in range(1, index - source + 1):
                last = step == index - source
                conv = f"{name}_layer_{index + 1}_{source + 1}_{step}"
                out_channels, act = (width, None) if last else (widths[source], "relu")
                convs.append(conv_bn(widths[source], out_channels, 3, conv, stride=2, act=act))
            self.down.append(nn.Sequential(*convs))
        self.up = nn.LayerList(
            conv_bn(widths[source], width, 1, f"{name}_layer_{index + 1}_{source + 1}", act=None)
            for source in range(index + 1, len(widths))
        )

    def forward(self, maps: Maps) -> paddle.Tensor:
        fused, coarser = maps[self.index], maps[self.index + 1 :]
        height, width = fused.shape[self.height_axis], fused.shape[self.width_axis]
        for source, convs in enumerate(self.down):
            fused = fused + convs(maps[source])
        for source, conv in enumerate(self.up):
            taller = stretch(conv(coarser[source]), height, self.height_axis, self.align_corners)
            fused = fused + stretch(taller, width, self.width_axis, self.align_corners)
        return F.relu(fused)


def stretch(x: paddle.Tensor, length: int, axis: int, align_corners: bool) -> paddle.Tensor:
    """Nearest neighbours: element k of m is element ``floor(k n / m)`` of n, or with the corners aligned
    ``round(k (n - 1) / (m - 1))``, which ``F.interpolate`` does in its other modes only.
    """
    if not align_corners:
        return paddle.index_select(x, paddle.arange(length) * x.shape[axis] // length, axis)
    index = paddle.linspace(0, x.shape[axis] - 1, length)
    return paddle.index_select(x, paddle.floor(index + 0.5).astype("int32"), axis)


class Module(nn.Layer):
    """Four basic blocks at each resolution, then a fusion to each of them."""

    def __init__(self, widths: list[int], se: bool, align_corners: bool, name: str):
        super().__init__()
        self.branches = nn.LayerList(
            nn.Sequential(*(BasicBlock(width, se, f"{name}_branch_layer_{branch}_{block}") for block in range(1, 5)))
            for branch, width in enumerate(widths, start=1)
        )
        self.fusions = nn.LayerList(Fusion(widths, index, align_corners, name) for index in range(len(widths)))

    def forward(self, maps: Maps) -> Maps:
        maps = [branch(maps[index]) for index, branch in enumerate(self.branches)]
        return [fusion(maps) for fusion in self.fusions]


class HRNet(Network):
    """Stem, a bottleneck stage, three stages that each add a coarser resolution, and the maps joined.

    Args:
        width: channels of the finest map; each coarser one has twice as many.
        se: channel attention at the end of every block.
        align_corners: where maps are brought to a higher resolution; PyTorch's networks do not.
    """

    num_features = 2048
    modules = (1, 4, 3)
    """Of the stages with two, three and four resolutions."""

    def __init__(
        self,
        width: int,
        se: bool = False,
        align_corners: bool = True,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        self.align_corners = align_corners
        widths = [width * 2**branch for branch in range(4)]
        self.stem = nn.Sequential(
            conv_bn(in_channels, 64, 3, "layer1_1", stride=2),
            conv_bn(64, 64, 3, "layer1_2", stride=2),
        )
        self.stage1 = nn.Sequential(
            *(Bottleneck(64 if block == 1 else 256, 64, se, f"layer2_{block}") for block in range(1, 5))
        )
        self.transition1 = nn.LayerList(
            [conv_bn(256, widths[0], 3, "tr1_layer_1"), conv_bn(256, widths[1], 3, "tr1_layer_2", stride=2)]
        )
        self.stage2 = stage(widths[:2], self.modules[0], se, align_corners, "st2")
        self.transition2 = conv_bn(widths[1], widths[2], 3, "tr2_layer_3", stride=2)
        self.stage3 = stage(widths[:3], self.modules[1], se, align_corners, "st3")
        self.transition3 = conv_bn(widths[2], widths[3], 3, "tr3_layer_4", stride=2)
        self.stage4 = stage(widths, self.modules[2], se, align_corners, "st4")

        self.widen = nn.LayerList(
            Bottleneck(channels, 32 * 2**branch, se, f"cls_headconv_{branch + 1}")
            for branch, channels in enumerate(widths)
        )
        self.down = nn.LayerList(
            conv_bn(128 * 2**branch, 256 * 2**branch, 3, f"cls_head_add{branch + 1}", stride=2) for branch in range(3)
        )
        self.last = conv_bn(1024, self.num_features, 1, "cls_head_last_conv")
        self.head = linear(self.num_features, num_classes, weight="fc_weights", bias="fc_offset", uniform=True)

    def stage_maps(self, x: paddle.Tensor) -> Maps:
        """The last map of each branch, and all of them joined."""
        x = self.stage1(self.stem(x))
        maps = self.stage2([self.transition1[0](x), self.transition1[1](x)])
        maps = self.stage3([*maps, self.transition2(maps[-1])])
        maps = self.stage4([*maps, self.transition3(maps[-1])])

        x = self.widen[0](maps[0])
        for index, down in enumerate(self.down):
            x = self.widen[index + 1](maps[index + 1]) + down(x)
        return [*maps, self.last(x)]

    def forward_maps(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.stage_maps(x)[-1]


def stage(widths: list[int], modules: int, se: bool, align_corners: bool, name: str) -> nn.Sequential:
    return nn.Sequential(*(Module(widths, se, align_corners, f"{name}_{number}") for number in range(1, modules + 1)))


WIDTHS = (18, 30, 32, 40, 44, 48, 60, 64)

VARIANTS = {
    **{f"hrnet_w{width}_c": partial(HRNet, width=width) for width in WIDTHS},
    **{f"se_hrnet_w{width}_c": partial(HRNet, width=width, se=True) for width in WIDTHS},
}
