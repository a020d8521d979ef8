"""Res2Net and Res2Net_vd (arXiv:1904.01169): the 3x3 convolution of a bottleneck taken in steps.

``26w_4s`` stands for 4 groups (the paper's scales) of 26 channels each in the first stage.
"""

from functools import partial

import paddle
from paddle import nn

from imgcls.models.data_format import MapLayer
from imgcls.models.resnet import DEEP_STEM, Names, ResNet


class MultiScale(MapLayer):
    """One 3x3 convolution per group of channels, each fed with its group plus the result before it.

    The last group passes unchanged. With a stride the results are not added on, and the last group
    is averaged.
    """

    def __init__(self, convs: list[nn.Layer], stride: int):
        super().__init__()
        self.convs = nn.LayerList(convs)
        self.cascade = stride == 1
        self.last = nn.Identity() if stride == 1 else nn.AvgPool2D(3, stride=stride, padding=1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        *groups, last = paddle.split(x, len(self.convs) + 1, axis=self.channel_axis)
        results = []
        for step, conv in enumerate(self.convs):
            cascade = self.cascade and step > 0
            results.append(conv(groups[step] + results[-1] if cascade else groups[step]))
        return paddle.concat([*results, self.last(last)], axis=self.channel_axis)


class Res2Net(ResNet):
    """ResNet whose bottlenecks convolve their ``groups`` one after the other."""

    names = Names(head_weight="fc_weights", head_bias="fc_offset")
    # With 200 layers the blocks are lettered on past "z": "{", "|", ... up to U+0090.
    numbered_depths = (101, 152)

    def make_conv3x3(self, width: int, stride: int, name: str) -> MultiScale:
        channels = width // self.groups
        steps = range(1, self.groups)
        return MultiScale([self.make_conv(channels, channels, 3, f"{name}_{n}", stride=stride) for n in steps], stride)


_vd = partial(Res2Net, stem=DEEP_STEM, pool_shortcut=True)
_sizes = ((50, 14, 8), (50, 26, 4), (50, 26, 6), (50, 26, 8), (50, 48, 2), (101, 26, 4), (152, 26, 4))

VARIANTS = {
    f"res2net{depth}{suffix}_{width}w_{scales}s": partial(network, depth=depth, width=width * scales, groups=scales)
    for suffix, network, sizes in (("", Res2Net, _sizes), ("_vd", _vd, (*_sizes, (200, 26, 4))))
    for depth, width, scales in sizes
}
