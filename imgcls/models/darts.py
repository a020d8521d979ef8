"""DARTS: cells found by differentiable architecture search (arXiv:1806.09055), of 4M and 6M parameters.

Fluid numbered most kernels and named the rest by their place in the network. Where the attributes
and indices below look odd, they spell those names: ``cells.0._ops.1.op.3.weight``.
"""

from functools import partial
from itertools import count

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.machine.paddle_internals import Conv2D, channel_groups
from imgcls.models.checks import require_choice
from imgcls.models.data_format import MapLayer
from imgcls.models.layers import Network, linear, name_parameters
from imgcls.models.pooling import MaxPool2D

# For the normal and the reduction cell, a line for each new state: it is the sum of two operations,
# each on an earlier state. States 0 and 1 are the outputs of the two cells before.
GENOTYPES = {
    "4M": {
        "normal": (
            (("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
            (("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
            (("sep_conv_3x3", 1), ("skip_connect", 0)),
            (("skip_connect", 0), ("dil_conv_3x3", 1)),
        ),
        "reduction": (
            (("max_pool_3x3", 0), ("max_pool_3x3", 1)),
            (("max_pool_3x3", 0), ("avg_pool_3x3", 1)),
            (("skip_connect", 3), ("skip_connect", 2)),
            (("sep_conv_3x3", 0), ("sep_conv_5x5", 2)),
        ),
    },
    "6M": {
        "normal": (
            (("sep_conv_3x3", 1), ("sep_conv_3x3", 0)),
            (("sep_conv_5x5", 1), ("sep_conv_5x5", 0)),
            (("sep_conv_3x3", 2), ("sep_conv_3x3", 1)),
            (("skip_connect", 4), ("sep_conv_3x3", 3)),
        ),
        "reduction": (
            (("sep_conv_5x5", 0), ("max_pool_3x3", 1)),
            (("dil_conv_5x5", 2), ("sep_conv_5x5", 0)),
            (("sep_conv_3x3", 1), ("dil_conv_5x5", 3)),
            (("dil_conv_3x3", 1), ("sep_conv_3x3", 2)),
        ),
    },
}


def conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, **options) -> Conv2D:
    padding = options.get("dilation", 1) * (kernel_size // 2)
    return Conv2D(in_channels, out_channels, kernel_size, stride, padding, bias_attr=False, **options)


def operation(*layers: nn.Layer) -> nn.Sequential:
    return nn.Sequential(("op", nn.Sequential(*layers)))


def project(in_channels: int, out_channels: int) -> nn.Sequential:
    return operation(nn.ReLU(), conv(in_channels, out_channels, 1), nn.BatchNorm2D(out_channels))


def separable(channels: int, kernel_size: int, stride: int, dilation: int = 1) -> list[nn.Layer]:
    """ReLU, a convolution of each channel alone, a 1x1 convolution across them, batch norm."""
    depthwise = conv(channels, channels, kernel_size, stride, dilation=dilation, groups=channels)
    return [nn.ReLU(), depthwise, conv(channels, channels, 1), nn.BatchNorm2D(channels)]


# name: layer of a width and a stride
OPERATIONS = {
    "max_pool_3x3": lambda channels, stride: MaxPool2D(3, stride, padding=1),
    "avg_pool_3x3": lambda channels, stride: nn.AvgPool2D(3, stride, padding=1),
    "skip_connect": lambda channels, stride: nn.Identity(),
    "sep_conv_3x3": lambda channels, stride: operation(*separable(channels, 3, stride), *separable(channels, 3, 1)),
    "sep_conv_5x5": lambda channels, stride: operation(*separable(channels, 5, stride), *separable(channels, 5, 1)),
    "dil_conv_3x3": lambda channels, stride: operation(*separable(channels, 3, stride, dilation=2)),
    "dil_conv_5x5": lambda channels, stride: operation(*separable(channels, 5, stride, dilation=2)),
}


class FactorizedReduce(MapLayer):
    """Half the resolution: one half of the channels from the even pixels, the other from the odd ones."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        half = out_channels // 2
        normal = nn.initializer.Normal(std=(2 / half) ** 0.5)
        self.conv_1 = conv(in_channels, half, 1, stride=2, weight_attr=normal)
        self.conv_2 = conv(in_channels, half, 1, stride=2, weight_attr=normal)
        self.bn = nn.BatchNorm2D(out_channels)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = F.relu(x)
        # The row and column of zeros give the halves one size when the image has an odd one.
        shifted = self.crop(F.pad(x, [0, 1, 0, 1], data_format=self.data_format), 1, 0)
        return self.bn(paddle.concat([self.conv_1(x), self.conv_2(shifted)], axis=self.channel_axis))


class Cell(MapLayer):
    """Both inputs brought to one width and size, four states computed from them and concatenated.

    Args:
        genotype: lines of ``GENOTYPES``.
        before: channels of the outputs of the last cell but one and of the last.
        stride: of the operations on the two inputs.
        halve: the output of the last cell but one is twice as large as that of the last.
    """

    def __init__(self, genotype: tuple, before: tuple[int, int], channels: int, stride: int, halve: bool):
        super().__init__()
        edges = [edge for pair in genotype for edge in pair]
        self.preprocess0 = (FactorizedReduce if halve else project)(before[0], channels)
        self.preprocess1 = project(before[1], channels)
        self._ops = nn.LayerList(OPERATIONS[name](channels, stride if source < 2 else 1) for name, source in edges)
        self.sources = [source for _, source in edges]

    def forward(self, before_last: paddle.Tensor, last: paddle.Tensor) -> paddle.Tensor:
        states = [self.preprocess0(before_last), self.preprocess1(last)]
        for left in range(0, len(self._ops), 2):
            right = left + 1
            states.append(self._ops[left](states[self.sources[left]]) + self._ops[right](states[self.sources[right]]))
        return paddle.concat(states[2:], axis=self.channel_axis)


class DARTS(Network):
    """Two stems, cells, global average, fully connected; a third and two thirds down, a cell reduces.

    Args:
        genotype: a key of ``GENOTYPES``.
    """

    cells_in_total = 14
    reductions = (4, 9)

    def __init__(self, genotype: str, num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        require_choice(GENOTYPES, genotype=genotype)
        channels = 48
        half = channels // 2
        self.stem0 = nn.Sequential(
            ("0", conv(in_channels, half, 3, stride=2)),
            ("1", nn.BatchNorm2D(half)),
            ("relu", nn.ReLU()),
            ("2", conv(half, channels, 3, stride=2)),
            ("3", nn.BatchNorm2D(channels)),
        )
        self.stem1 = nn.Sequential(
            ("relu", nn.ReLU()),
            ("0", conv(channels, channels, 3, stride=2)),
            ("1", nn.BatchNorm2D(channels)),
        )
        before = (channels, channels)
        halve = True
        self.cells = nn.LayerList()
        for number in range(self.cells_in_total):
            reduce = number in self.reductions
            channels = channels * 2 if reduce else channels
            kind, stride = ("reduction", 2) if reduce else ("normal", 1)
            self.cells.append(Cell(GENOTYPES[genotype][kind], before, channels, stride, halve))
            before = (before[1], 4 * channels)
            halve = reduce
        self.num_features = before[1]
        normal = nn.initializer.Normal(std=1e-4)
        self.head = linear(before[1], num_classes, weight="classifier.weight", bias="classifier.bias", init=normal)
        self._give_fluid_names()

    def _give_fluid_names(self) -> None:
        """Kernels by their number among those of their kind, the rest by their path."""
        numbers = {"conv2d": count(), "depthwise_conv2d": count()}
        for path, layer in self.named_sublayers():
            if isinstance(layer, nn.Conv2D):
                kind = "conv2d" if channel_groups(layer) == 1 else "depthwise_conv2d"
                numbered = f"{kind}_{next(numbers[kind])}.w_0"
                name_parameters(layer, weight=f"{path}.weight" if ".conv_" in path else numbered)
            elif isinstance(layer, nn.BatchNorm2D):
                statistics = {"_mean": f"{path}.running_mean", "_variance": f"{path}.running_var"}
                name_parameters(layer, weight=f"{path}.weight", bias=f"{path}.bias", **statistics)

    def stage_maps(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        before_last = self.stem0(x)
        last = self.stem1(before_last)
        maps = [before_last]
        for number, cell in enumerate(self.cells):
            if number in self.reductions:
                maps.append(last)
            before_last, last = last, cell(before_last, last)
        return [*maps, last]

    def forward_maps(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.stage_maps(x)[-1]


VARIANTS = {
    "darts_4m": partial(DARTS, genotype="4M"),
    "darts_6m": partial(DARTS, genotype="6M"),
}
