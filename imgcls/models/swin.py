"""Swin Transformer (arXiv:2103.14030) and Swin Transformer V2 (arXiv:2111.09883)."""

from functools import lru_cache, partial
from typing import ClassVar

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.models.checks import require_choice, require_positive, require_probability
from imgcls.models.layer_norm import LayerNorm
from imgcls.models.layers import conv2d
from imgcls.models.modern_layers import (
    MLP,
    TRUNCATED,
    DropPath,
    SourceNetwork,
    Stage,
    attention,
    drop_path_rates,
    last_to_maps,
    linear,
    maps_to_last,
    parameter,
    parameters_by_block,
    whole_size,
)
from imgcls.models.views import transpose, unbind

# width and heads of the first stage, which double from stage to stage, and blocks of the four
SIZES = {"tiny": (96, 3, (2, 2, 6, 2)), "small": (96, 3, (2, 2, 18, 2)), "base": (128, 4, (2, 2, 18, 2))}
ZERO = nn.initializer.Constant(0.0)
APART = -100.0
"""Is added to the attention between places that the shift brought together."""


@lru_cache(maxsize=64)
def offset_index(height: int, width: int, across: int) -> np.ndarray:
    """``[places, places]``: where two places of a window have their offset in a table with ``across`` in a row.

    The table's middle is the offset (0, 0); of a table for larger windows its middle part is read.
    """
    places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij")).reshape(2, -1)
    down, right = places[:, :, None] - places[:, None, :]
    return (down * across + right).astype(np.int64)


@lru_cache(maxsize=64)
def shift_mask(height: int, width: int, window: tuple[int, int], shift: tuple[int, int]) -> np.ndarray:
    """Float32 ``[windows, 1, places, places]``: ``APART`` between places that the shift brought together."""
    parts = []
    for side, size, moved in zip((height, width), window, shift, strict=True):
        bounds = np.array([side - size, side - moved]) if moved else np.array([side])
        parts.append(np.searchsorted(bounds, np.arange(side), side="right"))
    number = 3 * parts[0][:, None] + parts[1][None, :]
    blocks = number.reshape(height // window[0], window[0], width // window[1], window[1])
    flat = blocks.transpose(0, 2, 1, 3).reshape(-1, window[0] * window[1])
    return np.where(flat[:, None, :] == flat[:, :, None], 0.0, APART).astype(np.float32)[:, None]


def fill_up(x: paddle.Tensor, rows: int, columns: int) -> paddle.Tensor:
    """Maps ``[N, H, W, C]`` with zeros below and to the right; not ``F.pad``, whose NHWC no ONNX converter knows."""
    if rows:
        x = paddle.concat([x, paddle.zeros_like(x[:, :rows])], axis=1)
    return paddle.concat([x, paddle.zeros_like(x[:, :, :columns])], axis=2) if columns else x


class WindowAttention(nn.Layer):
    """Attention within windows ``[windows, places, C]``, with a trained bias for each offset between two places."""

    def __init__(self, channels: int, heads: int, window: int):
        super().__init__()
        self.heads, self.window = heads, window
        self.relative_position_bias_table = parameter(self, [(2 * window - 1) ** 2, heads], TRUNCATED)
        self.qkv = linear(channels, 3 * channels)
        self.proj = linear(channels, channels)

    def forward(self, x: paddle.Tensor, window: tuple[int, int], mask: np.ndarray | None) -> paddle.Tensor:
        places, channels = x.shape[1:]
        qkv = self.project(x).reshape([-1, places, 3, self.heads, channels // self.heads])
        query, key, value = unbind(transpose(qkv, [2, 0, 3, 1, 4]))
        bias = self.bias(window)
        if mask is not None:  # [windows of an image, heads, places, places], once for all images
            bias = bias + paddle.to_tensor(mask)
            split = [-1, len(mask), self.heads, places, channels // self.heads]
            query, key, value = (each.reshape(split) for each in (query, key, value))
        out = self.attend(query, key, value, bias).reshape([-1, self.heads, places, channels // self.heads])
        return self.proj(transpose(out, [0, 2, 1, 3]).reshape([-1, places, channels]))

    def project(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.qkv(x)

    def bias(self, window: tuple[int, int]) -> paddle.Tensor:
        """Of a window of this or a smaller size, ``[heads, places, places]``."""
        return self.looked_up(self.relative_position_bias_table, window, (self.window, self.window))

    def looked_up(self, table: paddle.Tensor, window: tuple[int, int], largest: tuple[int, int]) -> paddle.Tensor:
        """What a table ``[offsets, heads]`` that was made for the largest window has for another."""
        across = 2 * largest[1] - 1
        middle = (largest[0] - 1) * across + largest[1] - 1
        index = offset_index(*window, across) + middle
        return transpose(table[paddle.to_tensor(index.ravel())].reshape([*index.shape, self.heads]), [2, 0, 1])

    def attend(
        self, query: paddle.Tensor, key: paddle.Tensor, value: paddle.Tensor, bias: paddle.Tensor
    ) -> paddle.Tensor:
        return attention(query, key, value, bias)


class CosineAttention(WindowAttention):
    """Of V2: cosines in place of products, and a bias that two layers compute from the offset (section 3)."""

    largest_scale = float(np.log(100))

    def __init__(self, channels: int, heads: int, window: int):
        super().__init__(channels, heads, window)
        del self.relative_position_bias_table
        self.logit_scale = parameter(self, [heads, 1, 1], nn.initializer.Constant(float(np.log(10))))
        self.cpb_mlp = nn.Sequential(linear(2, 512), nn.ReLU(), linear(512, heads, bias=False))
        self.qkv = linear(channels, 3 * channels, bias=False)
        self.q_bias, self.v_bias = parameter(self, [channels], ZERO), parameter(self, [channels], ZERO)

    def project(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.qkv(x) + paddle.concat([self.q_bias, paddle.zeros_like(self.q_bias), self.v_bias])

    def bias(self, window: tuple[int, int]) -> paddle.Tensor:
        sides = [np.arange(1 - side, side, dtype=np.float32) / max(side - 1, 1) for side in window]
        offsets = 8 * np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)
        offsets = np.sign(offsets) * np.log2(np.abs(offsets) + 1) / np.log2(8)
        table = self.cpb_mlp(paddle.to_tensor(offsets.astype(np.float32)))
        return 16 * F.sigmoid(self.looked_up(table, window, window))

    def attend(
        self, query: paddle.Tensor, key: paddle.Tensor, value: paddle.Tensor, bias: paddle.Tensor
    ) -> paddle.Tensor:
        query, key = F.normalize(query, axis=-1), F.normalize(key, axis=-1)
        scale = paddle.exp(paddle.clip(self.logit_scale, max=self.largest_scale))
        return attention(query * scale, key, value, bias, scale=1.0)


class Block(nn.Layer):
    """Attention within windows, shifted by half a window or not, and an MLP, on maps ``[N, H, W, C]``.

    Norms stand before both in V1, behind both in V2.
    """

    def __init__(self, channels: int, heads: int, window: int, shifted: bool, version: int, drop_path: float):
        super().__init__()
        self.window, self.shifted, self.version = window, shifted, version
        self.norm1, self.norm2 = LayerNorm(channels), LayerNorm(channels)
        self.attn = (WindowAttention if version == 1 else CosineAttention)(channels, heads, window)
        self.mlp = MLP(channels, 4 * channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self.version == 1:
            x = x + self.drop_path(self.attend(self.norm1(x)))
            return x + self.drop_path(self.mlp(self.norm2(x)))
        x = x + self.drop_path(self.norm1(self.attend(x)))
        return x + self.drop_path(self.norm2(self.mlp(x)))

    def shift(self, length: int, side: int) -> int:
        """By which windows of a side are moved along a map of that length."""
        return side // 2 if self.shifted and length > side else 0

    def attend(self, x: paddle.Tensor) -> paddle.Tensor:
        """Attention within windows; what is left over at the right and at the bottom is filled up with zeros."""
        height, width, channels = x.shape[1:]
        window = min(self.window, height), min(self.window, width)
        shift = self.shift(height, window[0]), self.shift(width, window[1])
        if any(shift):
            x = paddle.roll(x, [-shift[0], -shift[1]], axis=[1, 2])
        rest = [-height % window[0], -width % window[1]]
        if any(rest):
            x = fill_up(x, *rest)
        high, wide = height + rest[0], width + rest[1]
        down, across = high // window[0], wide // window[1]
        blocks = transpose(x.reshape([-1, down, window[0], across, window[1], channels]), [0, 1, 3, 2, 4, 5])
        mask = shift_mask(high, wide, window, shift) if any(shift) else None
        out = self.attn(blocks.reshape([-1, window[0] * window[1], channels]), window, mask)
        blocks = transpose(out.reshape([-1, down, across, *window, channels]), [0, 1, 3, 2, 4, 5])
        x = blocks.reshape([-1, high, wide, channels])
        if any(rest):
            x = x[:, :height, :width]
        return paddle.roll(x, list(shift), axis=[1, 2]) if any(shift) else x


class PatchMerging(nn.Layer):
    """Four neighbours of ``[N, H, W, C]`` become one of twice the channels; a norm before (V1) or behind it (V2)."""

    def __init__(self, channels: int, version: int):
        super().__init__()
        self.version = version
        self.reduction = linear(4 * channels, 2 * channels, bias=False)
        self.norm = LayerNorm((4 if version == 1 else 2) * channels)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        height, width, channels = x.shape[1:]
        if height % 2 or width % 2:
            x = fill_up(x, height % 2, width % 2)
        down, across = (height + 1) // 2, (width + 1) // 2
        x = transpose(x.reshape([-1, down, 2, across, 2, channels]), [0, 1, 3, 4, 2, 5])
        x = x.reshape([-1, down, across, 4 * channels])
        return self.reduction(self.norm(x)) if self.version == 1 else self.norm(self.reduction(x))


def stage(
    channels: int, heads: int, window: int, version: int, merges: bool, rates: list[float], checkpointing: bool
) -> Stage:
    """Blocks, every second of which is shifted, after a merging in all stages but the first."""
    downsample = PatchMerging(channels // 2, version) if merges else None
    blocks = [Block(channels, heads, window, number % 2 == 1, version, rate) for number, rate in enumerate(rates)]
    return Stage(downsample, blocks, checkpointing)


class Swin(SourceNetwork):
    """Patches of 4x4, four stages of attention within windows, norm, global average, fully connected.

    Images may be of any size: windows that a map does not fill are filled up with zeros, and a map
    smaller than a window is one window. V1 then reads the part of its biases for the offsets that there are,
    V2 computes them for the smaller window. A graph is for one size.

    Args:
        size: a key of ``SIZES``.
        window: side of the windows in places of the map.
        version: 1 or 2.
        drop_path: probability of dropping the last block's branches in training, growing from 0 at the first.
        dropout: probability of dropping a feature before the last layer, in training.
        checkpointing: compute the blocks' insides again for the gradient: less memory, a third more time.
    """

    min_input_size = 4
    source_names: ClassVar[dict] = {r"^head\.": "head.fc."}

    def __init__(
        self,
        size: str,
        window: int = 7,
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
        require_positive(window=window)
        require_probability(drop_path=drop_path, dropout=dropout)
        width, heads, depths = SIZES[size]
        proj = conv2d(in_channels, width, 4, stride=4, padding=0, bias=True, init=TRUNCATED)
        self.patch_embed = nn.Sequential(("proj", proj), ("norm", LayerNorm(width)))
        rates = iter(drop_path_rates(drop_path, sum(depths)))
        stages = []
        for number, depth in enumerate(depths):
            shape = width * 2**number, heads * 2**number, window, version
            stages.append(stage(*shape, number > 0, [next(rates) for _ in range(depth)], checkpointing))
        self.layers = nn.Sequential(*stages)
        self.num_features = width * 2 ** (len(depths) - 1)
        self.norm = LayerNorm(self.num_features)
        self.add_head(self.num_features, num_classes, dropout)

    def stage_maps(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        whole_size(x if self.data_format == "NCHW" else transpose(x, [0, 3, 1, 2]), "Its windows")
        x = self.patch_embed["norm"](maps_to_last(self.patch_embed["proj"](x), self.data_format))
        maps = []
        for stage in self.layers:
            x = stage(x)
            maps.append(x)
        return [last_to_maps(each, self.data_format) for each in (*maps[:-1], self.norm(x))]

    def forward_maps(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.stage_maps(x)[-1]

    def blocks_in_order(self) -> list[list[paddle.Tensor]]:
        return parameters_by_block(self.patch_embed, self.layers)


VARIANTS = {
    **{f"swin_{size}_patch4_window7_224": partial(Swin, size=size) for size in SIZES},
    **{
        f"swinv2_{size}_window{window}_256": partial(Swin, size=size, window=window, version=2)
        for size in SIZES
        for window in (8, 16)
    },
}
