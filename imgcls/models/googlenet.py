"""GoogLeNet ("Going Deeper with Convolutions", arXiv:1409.4842).

Convolutions have neither bias nor, other than in the paper, a ReLU of their own: one follows each
inception module's concatenation.
"""

from collections.abc import Iterable
from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.models.checks import require_probability
from imgcls.models.data_format import to_nchw
from imgcls.models.layers import Concat, Network, conv2d, linear
from imgcls.models.pooling import MaxPool2D

# ±sqrt(3 / fan_in)
UNIFORM = nn.initializer.KaimingUniform(nonlinearity="linear")


def conv(in_channels: int, out_channels: int, kernel_size: int, name: str, stride: int = 1) -> nn.Conv2D:
    return conv2d(in_channels, out_channels, kernel_size, weight=f"{name}_weights", stride=stride, init=UNIFORM)


def inception(
    in_channels: int,
    width1x1: int,
    reduce3x3: int,
    width3x3: int,
    reduce5x5: int,
    width5x5: int,
    projection: int,
    name: str,
) -> nn.Sequential:
    """1x1, 3x3, 5x5 and a max pool side by side, each kept narrow by a 1x1 convolution (paper, table 1)."""
    name = f"inception_ince{name}"
    return nn.Sequential(
        Concat(
            conv(in_channels, width1x1, 1, f"{name}_1x1"),
            nn.Sequential(
                conv(in_channels, reduce3x3, 1, f"{name}_3x3_reduce"), conv(reduce3x3, width3x3, 3, f"{name}_3x3")
            ),
            nn.Sequential(
                conv(in_channels, reduce5x5, 1, f"{name}_5x5_reduce"), conv(reduce5x5, width5x5, 5, f"{name}_5x5")
            ),
            nn.Sequential(
                MaxPool2D(3, stride=1, padding=1),
                conv2d(in_channels, projection, 1, weight=f"{name}_3x3_proj_weights"),
            ),
        ),
        nn.ReLU(),
    )


class AuxiliaryHead(Network):
    """A small classifier on an inner map of the network, in its data format; used in training only.

    Its first fully connected layer reads a 3 x 3 map, that of a 224 pixel image; a map of another size is
    averaged to it.
    """

    num_features = 128
    map_size = 3

    def __init__(self, in_channels: int, num_classes: int, dropout: float, number: int):
        super().__init__()
        bound = (3 / 2048) ** 0.5  # the original's, although the layer has 1152 inputs
        self.conv = conv(in_channels, self.num_features, 1, f"conv_o{number}")
        self.fc = linear(
            self.num_features * self.map_size**2,
            1024,
            weight=f"fc_o{number}_weights",
            bias=f"fc_o{number}_offset",
            init=nn.initializer.Uniform(-bound, bound),
        )
        self.dropout = nn.Dropout(dropout, mode="downscale_in_infer")
        self.head = linear(1024, num_classes, weight=f"out{number}_weights", bias=f"out{number}_offset", init=UNIFORM)

    def forward_features(self, x: paddle.Tensor) -> paddle.Tensor:
        sides = x.shape[self.height_axis], x.shape[self.width_axis]
        averages = F.avg_pool2d(x, [min(5, side) for side in sides], stride=3, data_format=self.data_format)
        return to_nchw(self.conv(averages), self.data_format)

    def forward_head(self, features: paddle.Tensor) -> paddle.Tensor:
        x = F.adaptive_avg_pool2d(features, self.map_size).flatten(1)
        return self.head(self.dropout(F.relu(self.fc(x))))


class GoogLeNet(Network):
    """Nine inception modules and two auxiliary heads.

    In training mode ``forward`` returns three raw logits: of the network, of the head on inception
    4a and of that on 4d, each ``[N, num_classes]``; their loss is that of the first plus 0.3 times
    that of each of the others. In evaluation mode it returns the first alone.

    Args:
        dropout: probability of dropping a feature before the last layer, in training.
        aux_dropout: the same in the auxiliary heads.
    """

    num_features = 1024
    min_input_size = 61

    def __init__(self, dropout: float = 0.4, aux_dropout: float = 0.7, num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        require_probability(dropout=dropout, aux_dropout=aux_dropout)
        self.to_4a = nn.Sequential(
            conv(in_channels, 64, 7, "conv1", stride=2),
            MaxPool2D(3, stride=2),
            conv(64, 64, 1, "conv2_1x1"),
            conv(64, 192, 3, "conv2_3x3"),
            MaxPool2D(3, stride=2),
            inception(192, 64, 96, 128, 16, 32, 32, "3a"),
            inception(256, 128, 128, 192, 32, 96, 64, "3b"),
            MaxPool2D(3, stride=2),
            inception(480, 192, 96, 208, 16, 48, 64, "4a"),
        )
        self.to_4d = nn.Sequential(
            inception(512, 160, 112, 224, 24, 64, 64, "4b"),
            inception(512, 128, 128, 256, 24, 64, 64, "4c"),
            inception(512, 112, 144, 288, 32, 64, 64, "4d"),
        )
        self.to_5b = nn.Sequential(
            inception(528, 256, 160, 320, 32, 128, 128, "4e"),
            MaxPool2D(3, stride=2),
            inception(832, 256, 160, 320, 32, 128, 128, "5a"),
            inception(832, 384, 192, 384, 48, 128, 128, "5b"),
        )
        self.dropout = nn.Dropout(dropout, mode="downscale_in_infer")
        self.head = linear(self.num_features, num_classes, weight="out_weights", bias="out_offset", init=UNIFORM)
        self.aux1 = AuxiliaryHead(512, num_classes, aux_dropout, number=1)
        self.aux2 = AuxiliaryHead(528, num_classes, aux_dropout, number=2)

    def steps(self) -> Iterable[nn.Layer]:
        return *self.to_4a, *self.to_4d, *self.to_5b

    def forward(self, x: paddle.Tensor) -> paddle.Tensor | tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        inception4a = self.to_4a(self.receive(x))
        inception4d = self.to_4d(inception4a)
        logits = self.forward_head(to_nchw(self.to_5b(inception4d), self.data_format))
        return (logits, self.aux1(inception4a), self.aux2(inception4d)) if self.training else logits

    def reset_head(self, num_classes: int) -> None:
        """Replace the last layers of all three heads."""
        super().reset_head(num_classes)
        self.aux1.reset_head(num_classes)
        self.aux2.reset_head(num_classes)


VARIANTS = {"googlenet": partial(GoogLeNet)}
