"""DenseNet ("Densely Connected Convolutional Networks", arXiv:1608.06993), the bottleneck form with compression."""

from collections.abc import Iterable
from functools import partial

import paddle
from paddle import nn

from imgcls.models.data_format import MapLayer
from imgcls.models.layers import ConvBNAct, Network, NormReluConv, batch_norm, linear
from imgcls.models.pooling import MaxPool2D


class DenseLayer(MapLayer):
    """Appends ``growth`` channels, computed through a 1x1 bottleneck of four times as many, to its input."""

    def __init__(self, in_channels: int, growth: int, name: str):
        super().__init__()
        self.conv1 = NormReluConv(in_channels, 4 * growth, 1, f"{name}_x1")
        self.conv2 = NormReluConv(4 * growth, growth, 3, f"{name}_x2")

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return paddle.concat([x, self.conv2(self.conv1(x))], axis=self.channel_axis)


class DenseNet(Network):
    """Stem, four dense blocks with transitions that halve channels and resolution, global average.

    Args:
        repeats: dense layers of each block.
        growth: channels that each of them adds; the stem has twice as many.
    """

    min_input_size = 29

    def __init__(self, repeats: tuple[int, ...], growth: int = 32, num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        channels = 2 * growth
        self.stem = ConvBNAct(in_channels, channels, 7, weight="conv1_weights", bn="conv1_bn", stride=2)
        self.pool = MaxPool2D(3, stride=2, padding=1)

        layers = []
        for stage, repeat in enumerate(repeats, start=2):
            if stage > 2:
                layers.append(NormReluConv(channels, channels // 2, 1, f"conv{stage - 1}_blk"))
                layers.append(nn.AvgPool2D(2, stride=2))
                channels //= 2
            for index in range(1, repeat + 1):
                layers.append(DenseLayer(channels, growth, f"conv{stage}_{index}"))
                channels += growth
        self.blocks = nn.Sequential(*layers)
        self.norm = nn.Sequential(batch_norm(channels, f"conv{stage}_blk_bn"), nn.ReLU())
        self.num_features = channels
        self.head = linear(channels, num_classes, weight="fc_weights", bias="fc_offset", uniform=True)

    def steps(self) -> Iterable[nn.Layer]:
        return self.stem, self.pool, *self.blocks, self.norm


VARIANTS = {
    "densenet121": partial(DenseNet, repeats=(6, 12, 24, 16)),
    "densenet161": partial(DenseNet, repeats=(6, 12, 36, 24), growth=48),
    "densenet169": partial(DenseNet, repeats=(6, 12, 32, 32)),
    "densenet201": partial(DenseNet, repeats=(6, 12, 48, 32)),
    "densenet264": partial(DenseNet, repeats=(6, 12, 64, 48)),
}
