"""ConvNeXt (arXiv:2201.03545) and ConvNeXt V2 (arXiv:2301.00808); the sizes below tiny are timm's."""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.models.checks import require_choice, require_probability
from imgcls.models.data_format import MapLayer
from imgcls.models.layer_norm import LayerNorm
from imgcls.models.layers import conv2d
from imgcls.models.modern_layers import (
    MLP,
    TRUNCATED,
    ChannelNorm,
    DropPath,
    Scale,
    SourceNetwork,
    Stage,
    drop_path_rates,
    last_to_maps,
    maps_to_last,
    parameter,
    parameters_by_block,
)

# blocks of the four stages, and their widths
SIZES = {
    "atto": ((2, 2, 6, 2), (40, 80, 160, 320)),
    "femto": ((2, 2, 6, 2), (48, 96, 192, 384)),
    "pico": ((2, 2, 6, 2), (64, 128, 256, 512)),
    "nano": ((2, 2, 8, 2), (80, 160, 320, 640)),
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "small": ((3, 3, 27, 3), (96, 192, 384, 768)),
    "base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
    "large": ((3, 3, 27, 3), (192, 384, 768, 1536)),
}
KERNELS_IN_SOURCE = ("atto", "femto", "pico", "nano")
"""Whose MLPs are 1x1 convolutions in timm."""
EPSILON = 1e-6


class ResponseNorm(nn.Layer):
    """Weigh each channel of ``[N, H, W, C]`` by its energy over that of all channels (V2, section 3)."""

    def __init__(self, channels: int):
        super().__init__()
        zero = nn.initializer.Constant(0.0)
        self.weight, self.bias = parameter(self, [channels], zero), parameter(self, [channels], zero)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        energy = (x * x).sum([1, 2], keepdim=True).sqrt()
        return x + self.weight * (x * (energy / (energy.mean(-1, keepdim=True) + EPSILON))) + self.bias


class ResponseMLP(MLP):
    """With a response norm before the second layer."""

    def __init__(self, channels: int, hidden: int):
        super().__init__(channels, hidden)
        self.grn = ResponseNorm(hidden)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.fc2(self.grn(self.act(self.fc1(x))))


class Block(MapLayer):
    """Depthwise 7x7, layer norm, MLP of four times the width, scale (V1), added to the input."""

    def __init__(self, channels: int, scale: float | None, drop_path: float):
        super().__init__()
        self.conv_dw = conv2d(channels, channels, 7, groups=channels, bias=True, init=TRUNCATED)
        self.norm = LayerNorm(channels, EPSILON)
        self.mlp = (MLP if scale else ResponseMLP)(channels, 4 * channels)
        self.scale = Scale(channels, scale) if scale else nn.Identity()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        branch = self.norm(maps_to_last(self.conv_dw(x), self.data_format))
        branch = last_to_maps(self.scale(self.mlp(branch)), self.data_format)
        return x + self.drop_path(branch)


def stage(in_channels: int, channels: int, drop_paths: list[float], scale: float | None, checkpointing: bool) -> Stage:
    """Blocks, after a norm and a 2x2 convolution of stride 2 in all stages but the first."""
    downsample = None
    if in_channels != channels:
        down = conv2d(in_channels, channels, 2, stride=2, padding=0, bias=True, init=TRUNCATED)
        downsample = nn.Sequential(ChannelNorm(in_channels, EPSILON), down)
    return Stage(downsample, [Block(channels, scale, rate) for rate in drop_paths], checkpointing)


class ConvNeXt(SourceNetwork):
    """Patches of 4x4, four stages, global average, layer norm, fully connected.

    Args:
        size: a key of ``SIZES``.
        version: 1, with a scale after each block's MLP, or 2, with a response norm inside it.
        drop_path: probability of dropping the last block's branch in training, growing from 0 at the first.
        dropout: probability of dropping a feature before the last layer, in training.
        checkpointing: compute the blocks' insides again for the gradient: less memory, a third more time.
    """

    head_layers = ("norm", "head", "dropout")
    min_input_size = 32
    source_names: ClassVar[dict[str, str]] = {
        r"\.scale\.gamma$": ".gamma",
        r"^norm\.": "head.norm.",
        r"^head\.(?=\w+$)": "head.fc.",
    }

    def __init__(
        self,
        size: str,
        version: int = 1,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        checkpointing: bool = False,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        require_choice(SIZES, size=size)
        require_choice((1, 2), version=version)
        require_probability(drop_path=drop_path, dropout=dropout)
        depths, widths = SIZES[size]
        scale = 1e-6 if version == 1 else None
        patches = conv2d(in_channels, widths[0], 4, stride=4, padding=0, bias=True, init=TRUNCATED)
        self.stem = nn.Sequential(patches, ChannelNorm(widths[0], EPSILON))
        rates = iter(drop_path_rates(drop_path, sum(depths)))
        stages = []
        for depth, before, width in zip(depths, (widths[0], *widths), widths, strict=False):
            stages.append(stage(before, width, [next(rates) for _ in range(depth)], scale, checkpointing))
        self.stages = nn.Sequential(*stages)
        self.num_features = widths[-1]
        mlps = (name for name, layer in self.named_sublayers() if isinstance(layer, nn.Linear))
        self.kernels = list(mlps) if size in KERNELS_IN_SOURCE else []
        self.norm = LayerNorm(self.num_features, EPSILON)
        self.add_head(self.num_features, num_classes, dropout)

    def source_kernels(self) -> Iterable[str]:
        return self.kernels

    def steps(self) -> Iterable[nn.Layer]:
        return self.stem, *self.stages

    def blocks_in_order(self) -> list[list[paddle.Tensor]]:
        return parameters_by_block(self.stem, self.stages)

    def forward_head(self, features: paddle.Tensor) -> paddle.Tensor:
        pooled = F.adaptive_avg_pool2d(features, 1).flatten(1)
        return self.head(self.dropout(self.norm(pooled)))


VARIANTS = {
    f"convnext{suffix}_{size}": partial(ConvNeXt, size=size, version=version)
    for version, suffix in ((1, ""), (2, "v2"))
    for size in SIZES
    if (version, size) != (2, "small")
}
