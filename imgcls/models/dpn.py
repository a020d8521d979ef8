"""Dual Path Networks (arXiv:1707.01629): a residual path and a densely growing path through the same blocks."""

from collections.abc import Callable, Iterable
from functools import partial

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.models.data_format import MapLayer
from imgcls.models.layers import ConvBNAct, Network, NormReluConv, batch_norm, linear
from imgcls.models.pooling import MaxPool2D

Paths = tuple[paddle.Tensor, ...]


class DualPathBlock(MapLayer):
    """1x1, grouped 3x3, 1x1: ``residual`` channels are added to one path, ``growth`` appended to the other.

    Args:
        in_channels: of both paths together.
        width: of the two inner convolutions.
        project: the first block of a stage makes both paths out of its input, by a 1x1 convolution.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        residual: int,
        growth: int,
        groups: int,
        project: bool,
        stride: int,
        name: str,
    ):
        super().__init__()
        self.residual = residual
        self.match = None
        if project:
            self.match = NormReluConv(in_channels, residual + 2 * growth, 1, f"{name}_match", stride=stride)
        self.convs = nn.Sequential(
            NormReluConv(in_channels, width, 1, f"{name}_conv1"),
            NormReluConv(width, width, 3, f"{name}_conv2", stride=stride, groups=groups),
            NormReluConv(width, residual + growth, 1, f"{name}_conv3"),
        )

    def forward(self, paths: Paths) -> Paths:
        x = paddle.concat(paths, axis=self.channel_axis)
        residual, dense = paths if self.match is None else self.split(self.match(x))
        added, appended = self.split(self.convs(x))
        return residual + added, paddle.concat([dense, appended], axis=self.channel_axis)

    def split(self, x: paddle.Tensor) -> Paths:
        return tuple(paddle.split(x, [self.residual, -1], axis=self.channel_axis))


class DPN(Network):
    """Stem, four stages of dual path blocks, both paths joined, global average.

    Args:
        stem: channels and kernel size of the first convolution.
        repeats: blocks of each stage.
        growths: channels that each block of a stage appends to the dense path.
        width: of the inner convolutions in the first stage; it doubles from stage to stage.
        groups: of the 3x3 convolutions.
        residual: width of the residual path in the first stage; it doubles too.
    """

    def __init__(
        self,
        stem: tuple[int, int],
        repeats: tuple[int, ...],
        growths: tuple[int, ...],
        width: int,
        groups: int,
        residual: int = 256,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        channels, kernel_size = stem
        self.stem = ConvBNAct(in_channels, channels, kernel_size, weight="conv1_weights", bn="conv1_bn", stride=2)
        self.pool = MaxPool2D(3, stride=2, padding=1)

        blocks = []
        for stage, (repeat, growth) in enumerate(zip(repeats, growths, strict=True)):
            for index in range(repeat):
                blocks.append(
                    DualPathBlock(
                        channels,
                        width * 2**stage,
                        residual * 2**stage,
                        growth,
                        groups,
                        project=index == 0,
                        stride=2 if stage > 0 and index == 0 else 1,
                        name=f"dpn{len(blocks) + 1}",
                    )
                )
                channels = residual * 2**stage + (index + 3) * growth
        self.blocks = nn.Sequential(*blocks)
        self.norm = batch_norm(channels, "final_concat_bn")
        self.num_features = channels
        init = nn.initializer.Uniform(-0.01, 0.01)
        self.head = linear(channels, num_classes, weight="fc_weights", bias="fc_offset", init=init)

    def steps(self) -> Iterable[Callable]:
        return self.stem, self.pool, as_path, *self.blocks, self.join

    def stage_maps(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        *maps, last = super().stage_maps(x)
        return [paddle.concat(m, axis=self.channel_axis) if isinstance(m, tuple) else m for m in maps] + [last]

    def join(self, paths: Paths) -> paddle.Tensor:
        return F.relu(self.norm(paddle.concat(paths, axis=self.channel_axis)))


def as_path(x: paddle.Tensor) -> Paths:
    return (x,)


VARIANTS = {
    "dpn68": partial(
        DPN, stem=(10, 3), repeats=(3, 4, 12, 3), growths=(16, 32, 32, 64), width=128, groups=32, residual=64
    ),
    "dpn92": partial(DPN, stem=(64, 7), repeats=(3, 4, 20, 3), growths=(16, 32, 24, 128), width=96, groups=32),
    "dpn98": partial(DPN, stem=(96, 7), repeats=(3, 6, 20, 3), growths=(16, 32, 32, 128), width=160, groups=40),
    "dpn107": partial(DPN, stem=(128, 7), repeats=(4, 8, 20, 3), growths=(20, 64, 64, 128), width=200, groups=50),
    "dpn131": partial(DPN, stem=(128, 7), repeats=(4, 8, 28, 3), growths=(16, 32, 32, 128), width=160, groups=40),
}
