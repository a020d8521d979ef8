"""VGG ("Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv:1409.1556)."""

from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.models.checks import require_choice, require_probability
from imgcls.models.layers import Network, conv2d, linear
from imgcls.models.pooling import MaxPool2D

REPEATS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
WIDTHS = (64, 128, 256, 512, 512)


class VGG(Network):
    """Five stages of 3x3 convolutions, each closed by a max pool; three fully connected layers.

    The first fully connected layer reads a 7 x 7 map, that of a 224 pixel image; a map of another
    size is averaged to it.

    Args:
        depth: a key of ``REPEATS``.
        dropout: probability of dropping a feature, in training; before the second and before the third
            fully connected layer.
        bias: the convolutions have one, as in the paper; the published weights have none.
    """

    num_features = WIDTHS[-1]
    map_size = 7
    hidden_features = 4096
    min_input_size = 32

    def __init__(
        self, depth: int, dropout: float = 0.5, bias: bool = False, num_classes: int = 1000, in_channels: int = 3
    ):
        super().__init__()
        require_choice(REPEATS, depth=depth)
        require_probability(dropout=dropout)
        layers = []
        for stage, (repeat, width) in enumerate(zip(REPEATS[depth], WIDTHS, strict=True), start=1):
            for index in range(1, repeat + 1):
                name = f"conv{stage}_{index}"
                offset = f"{name}_offset" if bias else None
                layers += [conv2d(in_channels, width, 3, weight=f"{name}_weights", bias=offset), nn.ReLU()]
                in_channels = width
            layers.append(MaxPool2D(2, stride=2))
        self.features = nn.Sequential(*layers)
        hidden = self.hidden_features
        self.fc6 = linear(in_channels * self.map_size**2, hidden, weight="fc6_weights", bias="fc6_offset")
        self.fc7 = linear(hidden, hidden, weight="fc7_weights", bias="fc7_offset")
        self.head = linear(hidden, num_classes, weight="fc8_weights", bias="fc8_offset")
        self.dropout = nn.Dropout(dropout, mode="downscale_in_infer")

    def forward_head(self, features: paddle.Tensor) -> paddle.Tensor:
        x = F.adaptive_avg_pool2d(features, self.map_size).flatten(1)
        x = self.dropout(F.relu(self.fc6(x)))
        x = self.dropout(F.relu(self.fc7(x)))
        return self.head(x)


VARIANTS = {f"vgg{depth}": partial(VGG, depth=depth) for depth in REPEATS}
