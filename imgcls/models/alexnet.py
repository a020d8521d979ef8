"""AlexNet in one tower ("One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997)."""

from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.machine.paddle_internals import Conv2D
from imgcls.models.checks import require_probability
from imgcls.models.layers import Network, name_parameters
from imgcls.models.pooling import MaxPool2D


def conv_relu(
    in_channels: int, out_channels: int, kernel_size: int, padding: int, name: str, stride: int = 1
) -> nn.Sequential:
    """Convolution with bias, then ReLU."""
    init = uniform(in_channels * kernel_size**2)
    conv = Conv2D(in_channels, out_channels, kernel_size, stride, padding, weight_attr=init, bias_attr=init)
    return nn.Sequential(name_parameters(conv, weight=f"{name}_weights", bias=f"{name}_offset"), nn.ReLU())


def linear(in_features: int, out_features: int, name: str) -> nn.Linear:
    init = uniform(in_features)
    layer = nn.Linear(in_features, out_features, weight_attr=init, bias_attr=init)
    return name_parameters(layer, weight=f"{name}_weights", bias=f"{name}_offset")


def uniform(fan_in: int) -> nn.initializer.Uniform:
    """The initialiser of weights and biases alike: ``±1 / sqrt(fan_in)``."""
    return nn.initializer.Uniform(-(fan_in**-0.5), fan_in**-0.5)


class AlexNet(Network):
    """Five convolutions, three max pools, three fully connected layers.

    The first fully connected layer reads a 6 x 6 map, that of a 224 pixel image; a map of another
    size is averaged to it.

    Args:
        dropout: probability of dropping a feature, in training; before the first and before the second
            fully connected layer.
    """

    num_features = 256
    map_size = 6
    hidden_features = 4096
    min_input_size = 63

    def __init__(self, dropout: float = 0.5, num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        require_probability(dropout=dropout)
        self.features = nn.Sequential(
            conv_relu(in_channels, 64, 11, 2, "conv1", stride=4),
            MaxPool2D(3, stride=2),
            conv_relu(64, 192, 5, 2, "conv2"),
            MaxPool2D(3, stride=2),
            conv_relu(192, 384, 3, 1, "conv3"),
            conv_relu(384, 256, 3, 1, "conv4"),
            conv_relu(256, 256, 3, 1, "conv5"),
            MaxPool2D(3, stride=2),
        )
        self.fc6 = linear(self.num_features * self.map_size**2, self.hidden_features, "fc6")
        self.fc7 = linear(self.hidden_features, self.hidden_features, "fc7")
        self.head = linear(self.hidden_features, num_classes, "fc8")
        self.dropout = nn.Dropout(dropout, mode="downscale_in_infer")

    def forward_head(self, features: paddle.Tensor) -> paddle.Tensor:
        x = F.adaptive_avg_pool2d(features, self.map_size).flatten(1)
        x = F.relu(self.fc6(self.dropout(x)))
        x = F.relu(self.fc7(self.dropout(x)))
        return self.head(x)


VARIANTS = {"alexnet": partial(AlexNet)}
