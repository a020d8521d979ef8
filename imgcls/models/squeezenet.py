"""SqueezeNet 1.0 and 1.1 (arXiv:1602.07360)."""

from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.models.checks import require_probability
from imgcls.models.data_format import MapLayer
from imgcls.models.layers import Network, conv2d
from imgcls.models.pooling import MaxPool2D


def conv_relu(in_channels: int, out_channels: int, kernel_size: int, name: str, **options) -> nn.Sequential:
    """Convolution with bias and ReLU; there is no batch norm in this family."""
    conv = conv2d(in_channels, out_channels, kernel_size, weight=f"{name}_weights", bias=f"{name}_offset", **options)
    return nn.Sequential(conv, nn.ReLU())


class Fire(MapLayer):
    """Squeeze to few channels, expand through 1x1 and 3x3 side by side."""

    def __init__(self, in_channels: int, squeeze: int, expand: int, name: str):
        super().__init__()
        self.squeeze = conv_relu(in_channels, squeeze, 1, f"{name}_squeeze1x1")
        self.expand1x1 = conv_relu(squeeze, expand, 1, f"{name}_expand1x1")
        self.expand3x3 = conv_relu(squeeze, expand, 3, f"{name}_expand3x3")

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.squeeze(x)
        return paddle.concat([self.expand1x1(x), self.expand3x3(x)], axis=self.channel_axis)


class SqueezeNet(Network):
    """Stem, eight fire modules, a 1x1 convolution to the classes, ReLU, global average.

    Args:
        stem: channels, kernel size and padding of the first convolution.
        pools: numbers of the fire modules that a max pool precedes.
        ceil_mode: a max pool's last window may reach beyond the map.
        dropout: probability of dropping a value of the last feature map, in training.
    """

    num_features = 512
    expands = (64, 64, 128, 128, 192, 192, 256, 256)

    def __init__(
        self,
        stem: tuple[int, int, int],
        pools: tuple[int, ...],
        ceil_mode: bool = False,
        dropout: float = 0.5,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        require_probability(dropout=dropout)
        self.ceil_mode, self.stem_padding = ceil_mode, stem[2]
        channels, kernel_size, padding = stem
        layers = [conv_relu(in_channels, channels, kernel_size, "conv1", stride=2, padding=padding)]
        for number, expand in enumerate(self.expands, start=2):
            if number in pools:
                layers.append(MaxPool2D(3, stride=2, ceil_mode=ceil_mode))
            layers.append(Fire(channels, expand // 4, expand, f"fire{number}"))
            channels = 2 * expand
        self.features = nn.Sequential(*layers)
        side = 1
        for _ in pools:
            side = 2 * side + 1
        self.min_input_size = 2 * (side - 1) + kernel_size - 2 * padding
        self.dropout = nn.Dropout(dropout, mode="downscale_in_infer")
        self.head = conv2d(channels, num_classes, 1, weight="conv10_weights", bias="conv10_offset")

    def forward_head(self, features: paddle.Tensor) -> paddle.Tensor:
        maps = F.relu(self.head(self.dropout(features)))
        return F.adaptive_avg_pool2d(maps, 1).flatten(1)


VARIANTS = {
    "squeezenet1_0": partial(SqueezeNet, stem=(96, 7, 0), pools=(2, 5, 9)),
    "squeezenet1_1": partial(SqueezeNet, stem=(64, 3, 1), pools=(2, 4, 6)),
}
