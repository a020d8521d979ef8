"""RepVGG (arXiv:2101.03697), in training and in deploy form.

In training each 3x3 convolution has a 1x1 one and, where nothing changes shape, the input itself beside it,
a batch norm each. Everything is linear up to the ReLU, so after training they add up to one 3x3 convolution
with a bias.
"""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

import numpy as np
import paddle
from paddle import nn

from imgcls.errors import UserError
from imgcls.models.checks import require_positive, require_probability
from imgcls.models.layers import ConvBNAct, conv2d
from imgcls.models.modern_layers import SourceNetwork, with_norm

DEPTHS = {"a": (2, 4, 14, 1), "b": (4, 6, 16, 1)}
WIDTHS = (64, 128, 256, 512)


class Block(nn.Layer):
    """3x3, 1x1 and, where the shape stays, the input, a batch norm each; their sum through ReLU."""

    def __init__(self, in_channels: int, channels: int, stride: int, groups: int):
        super().__init__()
        self.stride, self.groups = stride, groups
        options = {"stride": stride, "groups": groups}
        self.conv_kxk = ConvBNAct(in_channels, channels, 3, **options, act=None)
        self.conv_1x1 = ConvBNAct(in_channels, channels, 1, **options, act=None)
        stays = stride == 1 and in_channels == channels
        self.identity = nn.BatchNorm2D(channels) if stays else None
        self.act = nn.ReLU()

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        out = self.conv_kxk(x) + self.conv_1x1(x)
        return self.act(out if self.identity is None else out + self.identity(x))

    def fused(self) -> tuple[np.ndarray, np.ndarray]:
        """Kernel ``[out, in / groups, 3, 3]`` and bias ``[out]`` of the one convolution that does the same."""
        square, one = self.conv_kxk.conv.weight.numpy(), self.conv_1x1.conv.weight.numpy()
        arms = [(square, self.conv_kxk.bn), (middle(one), self.conv_1x1.bn)]
        if self.identity is not None:
            channels, of_a_group = square.shape[:2]
            same = np.zeros((channels, of_a_group, 1, 1), np.float32)
            same[np.arange(channels), np.arange(channels) % of_a_group] = 1
            arms.append((middle(same), self.identity))
        kernels, biases = zip(*(with_norm(kernel, norm) for kernel, norm in arms), strict=True)
        return sum(kernels), sum(biases)


def middle(kernel: np.ndarray) -> np.ndarray:
    """A 1x1 kernel as a 3x3 one."""
    return np.pad(kernel, ((0, 0), (0, 0), (1, 1), (1, 1)))


class RepVGG(SourceNetwork):
    """Five stages of blocks, the first of each with stride 2, global average, fully connected.

    Args:
        kind: ``a`` or ``b``, a key of ``DEPTHS``.
        width: multiplies the first four widths, of which the stem's is at most 64.
        last_width: multiplies the last.
        groups: of every second convolution.
        deploy: build the form with one convolution with a bias in place of each block's; ``to_deploy`` fills it.
        dropout: probability of dropping a feature before the last layer, in training.
    """

    source_names: ClassVar[dict] = {r"^head\.": "head.fc."}

    def __init__(
        self,
        kind: str,
        width: float,
        last_width: float,
        groups: int = 1,
        deploy: bool = False,
        dropout: float = 0.0,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        require_positive(width=width, last_width=last_width)
        require_probability(dropout=dropout)
        self.deploy, self.in_channels = deploy, in_channels
        self.arguments = {"kind": kind, "width": width, "last_width": last_width, "groups": groups}
        factors = (width, width, width, last_width)
        channels = min(64, int(64 * width))
        self.stem = self.block(in_channels, channels, 2, 1)
        stages, number = [], 1
        for depth, base, factor in zip(DEPTHS[kind], WIDTHS, factors, strict=True):
            blocks = []
            for index in range(depth):
                blocks.append(
                    self.block(channels, int(base * factor), 1 if index else 2, groups if number % 2 == 0 else 1)
                )
                channels = int(base * factor)
                number += 1
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.num_features = channels
        self.add_head(channels, num_classes, dropout)

    def block(self, in_channels: int, channels: int, stride: int, groups: int) -> nn.Layer:
        if not self.deploy:
            return Block(in_channels, channels, stride, groups)
        one = conv2d(in_channels, channels, 3, stride=stride, groups=groups, bias=True)
        return nn.Sequential(("reparam_conv", one), ("act", nn.ReLU()))

    def steps(self) -> Iterable[nn.Layer]:
        return self.stem, *self.stages

    def to_deploy(self) -> "RepVGG":
        """The deploy form of this network with its weights fused, in evaluation mode.

        Raises:
            UserError: this is the deploy form already.
        """
        if self.deploy:
            raise UserError("This RepVGG is the deploy form already: there is nothing to fuse.")
        classes = self.head.weight.shape[1]
        network = RepVGG(**self.arguments, deploy=True, num_classes=classes, in_channels=self.in_channels)
        ours = [self.stem, *(block for stage in self.stages for block in stage)]
        theirs = [network.stem, *(block for stage in network.stages for block in stage)]
        for block, one in zip(ours, theirs, strict=True):
            kernel, bias = block.fused()
            one["reparam_conv"].weight.set_value(kernel)
            one["reparam_conv"].bias.set_value(bias)
        network.head.set_state_dict(self.head.state_dict())
        network.set_data_format(self.data_format)
        network.eval()
        return network


VARIANTS = {
    "repvgg_a0": partial(RepVGG, kind="a", width=0.75, last_width=2.5),
    "repvgg_a1": partial(RepVGG, kind="a", width=1.0, last_width=2.5),
    "repvgg_a2": partial(RepVGG, kind="a", width=1.5, last_width=2.75),
    "repvgg_b0": partial(RepVGG, kind="b", width=1.0, last_width=2.5),
    "repvgg_b1": partial(RepVGG, kind="b", width=2.0, last_width=4.0),
    "repvgg_b1g4": partial(RepVGG, kind="b", width=2.0, last_width=4.0, groups=4),
    "repvgg_b2": partial(RepVGG, kind="b", width=2.5, last_width=5.0),
    "repvgg_b2g4": partial(RepVGG, kind="b", width=2.5, last_width=5.0, groups=4),
    "repvgg_b3": partial(RepVGG, kind="b", width=3.0, last_width=5.0),
    "repvgg_b3g4": partial(RepVGG, kind="b", width=3.0, last_width=5.0, groups=4),
}
