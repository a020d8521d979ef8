"""Inception-v4 (arXiv:1602.07261): section 3.1, figures 3 to 9."""

from collections.abc import Iterable
from functools import partial

from paddle import nn

from imgcls.models.checks import require_probability
from imgcls.models.layers import Concat, ConvBNAct, Network, name_parameters
from imgcls.models.pooling import MaxPool2D


def conv(in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], name: str, **options) -> ConvBNAct:
    return ConvBNAct(in_channels, out_channels, kernel_size, weight=f"{name}_weights", bn=f"{name}_bn", **options)


def halve(in_channels: int, out_channels: int, name: str) -> ConvBNAct:
    """The 3x3 convolution of stride 2 without padding that stands beside the max pools."""
    return conv(in_channels, out_channels, 3, name, stride=2, padding=0)


def max_pool() -> MaxPool2D:
    return MaxPool2D(3, stride=2)


def average_pool() -> nn.AvgPool2D:
    return nn.AvgPool2D(3, stride=1, padding=1)


def stem(in_channels: int) -> nn.Sequential:
    """To 384 channels at an eighth of the resolution. Here alone "1x7" and "7x1" are swapped in the names."""
    name = "inception_stem"
    return nn.Sequential(
        halve(in_channels, 32, "conv1_3x3_s2"),
        conv(32, 32, 3, "conv2_3x3_s1", padding=0),
        conv(32, 64, 3, "conv3_3x3_s1"),
        Concat(max_pool(), halve(64, 96, f"{name}1_3x3_s2")),
        Concat(
            nn.Sequential(
                conv(160, 64, 1, f"{name}2_3x3_reduce"),
                conv(64, 96, 3, f"{name}2_3x3", padding=0),
            ),
            nn.Sequential(
                conv(160, 64, 1, f"{name}2_1x7_reduce"),
                conv(64, 64, (7, 1), f"{name}2_1x7"),
                conv(64, 64, (1, 7), f"{name}2_7x1"),
                conv(64, 96, 3, f"{name}2_3x3_2", padding=0),
            ),
        ),
        Concat(halve(192, 192, f"{name}3_3x3_s2"), max_pool()),
    )


def inception_a(name: str) -> Concat:
    return Concat(
        nn.Sequential(average_pool(), conv(384, 96, 1, f"{name}_1x1")),
        conv(384, 96, 1, f"{name}_1x1_2"),
        nn.Sequential(
            conv(384, 64, 1, f"{name}_3x3_reduce"),
            conv(64, 96, 3, f"{name}_3x3"),
        ),
        nn.Sequential(
            conv(384, 64, 1, f"{name}_3x3_2_reduce"),
            conv(64, 96, 3, f"{name}_3x3_2"),
            conv(96, 96, 3, f"{name}_3x3_3"),
        ),
    )


def reduction_a(name: str) -> Concat:
    return Concat(
        max_pool(),
        halve(384, 384, f"{name}_3x3"),
        nn.Sequential(
            conv(384, 192, 1, f"{name}_3x3_2_reduce"),
            conv(192, 224, 3, f"{name}_3x3_2"),
            halve(224, 256, f"{name}_3x3_3"),
        ),
    )


def inception_b(name: str) -> Concat:
    return Concat(
        nn.Sequential(average_pool(), conv(1024, 128, 1, f"{name}_1x1")),
        conv(1024, 384, 1, f"{name}_1x1_2"),
        nn.Sequential(
            conv(1024, 192, 1, f"{name}_1x7_reduce"),
            conv(192, 224, (1, 7), f"{name}_1x7"),
            conv(224, 256, (7, 1), f"{name}_7x1"),
        ),
        nn.Sequential(
            conv(1024, 192, 1, f"{name}_7x1_2_reduce"),
            conv(192, 192, (1, 7), f"{name}_1x7_2"),
            conv(192, 224, (7, 1), f"{name}_7x1_2"),
            conv(224, 224, (1, 7), f"{name}_1x7_3"),
            conv(224, 256, (7, 1), f"{name}_7x1_3"),
        ),
    )


def reduction_b(name: str) -> Concat:
    return Concat(
        max_pool(),
        nn.Sequential(
            conv(1024, 192, 1, f"{name}_3x3_reduce"),
            halve(192, 192, f"{name}_3x3"),
        ),
        nn.Sequential(
            conv(1024, 256, 1, f"{name}_1x7_reduce"),
            conv(256, 256, (1, 7), f"{name}_1x7"),
            conv(256, 320, (7, 1), f"{name}_7x1"),
            halve(320, 320, f"{name}_3x3_2"),
        ),
    )


def inception_c(name: str) -> Concat:
    return Concat(
        nn.Sequential(average_pool(), conv(1536, 256, 1, f"{name}_1x1")),
        conv(1536, 256, 1, f"{name}_1x1_2"),
        nn.Sequential(
            conv(1536, 384, 1, f"{name}_1x1_3"),
            Concat(
                conv(384, 256, (1, 3), f"{name}_1x3"),
                conv(384, 256, (3, 1), f"{name}_3x1"),
            ),
        ),
        nn.Sequential(
            conv(1536, 384, 1, f"{name}_1x1_4"),
            conv(384, 448, (1, 3), f"{name}_1x3_2"),
            conv(448, 512, (3, 1), f"{name}_3x1_2"),
            Concat(
                conv(512, 256, (1, 3), f"{name}_1x3_3"),
                conv(512, 256, (3, 1), f"{name}_3x1_3"),
            ),
        ),
    )


class InceptionV4(Network):
    """Stem, ``modules`` A, reduction, modules B, reduction, modules C, global average, dropout.

    Args:
        dropout: probability of dropping a feature before the last layer, in training.
    """

    num_features = 1536
    modules = (4, 7, 3)
    min_input_size = 75

    def __init__(self, dropout: float = 0.2, num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        require_probability(dropout=dropout)
        a, b, c = self.modules
        self.features = nn.Sequential(
            stem(in_channels),
            *(inception_a(f"inception_a{number}") for number in range(1, a + 1)),
            reduction_a("reduction_a"),
            *(inception_b(f"inception_b{number}") for number in range(1, b + 1)),
            reduction_b("reduction_b"),
            *(inception_c(f"inception_c{number}") for number in range(1, c + 1)),
        )
        self.dropout = nn.Dropout(dropout, mode="downscale_in_infer")
        bound = self.num_features**-0.5
        init = nn.initializer.Uniform(-bound, bound)
        head = nn.Linear(self.num_features, num_classes, weight_attr=init, bias_attr=init)
        self.head = name_parameters(head, weight="final_fc_weights", bias="final_fc_offset")

    def steps(self) -> Iterable[nn.Layer]:
        return *self.features[0], *self.features[1:]


VARIANTS = {"inceptionv4": partial(InceptionV4)}
