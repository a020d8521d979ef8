"""ViT (arXiv:2010.11929), DeiT (2012.12877), DeiT III (2204.07118), the networks of DINOv2 (2304.07193, 2309.16588)."""

import logging
from collections.abc import Callable
from functools import partial

import paddle
from paddle import nn

from imgcls.models.checks import require_choice, require_positive, require_probability
from imgcls.models.data_format import to_nchw
from imgcls.models.layer_norm import LayerNorm
from imgcls.models.layers import conv2d
from imgcls.models.modern_layers import (
    MLP,
    TRUNCATED,
    DropPath,
    Scale,
    SourceNetwork,
    attention,
    drop_path_rates,
    linear,
    parameter,
    resample,
    run,
    whole_size,
)
from imgcls.models.views import transpose, unbind

# width, blocks, heads
SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}
EPSILON = 1e-6

log = logging.getLogger(__name__)


class Attention(nn.Layer):
    """Self attention of tokens ``[N, tokens, width]``."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = linear(width, 3 * width)
        self.proj = linear(width, width)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        width = x.shape[2]
        qkv = self.qkv(x).reshape([0, x.shape[1], 3, self.heads, width // self.heads])
        query, key, value = unbind(transpose(qkv, [2, 0, 3, 1, 4]))
        out = attention(query, key, value)
        return self.proj(transpose(out, [0, 2, 1, 3]).reshape([0, x.shape[1], width]))


class Block(nn.Layer):
    """Attention, then an MLP of four times the width; each after a norm, scaled, and added to its input."""

    def __init__(self, width: int, heads: int, scale: float | None, drop_path: float):
        super().__init__()
        self.norm1, self.norm2 = LayerNorm(width, EPSILON), LayerNorm(width, EPSILON)
        self.attn = Attention(width, heads)
        self.mlp = MLP(width, 4 * width)
        self.ls1, self.ls2 = (Scale(width, scale) if scale else nn.Identity() for _ in range(2))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = x + self.drop_path(self.ls1(self.attn(self.norm1(x))))
        return x + self.drop_path(self.ls2(self.mlp(self.norm2(x))))


class ViT(SourceNetwork):
    """Patches and a class token with their positions through blocks of attention; the class token is classified.

    The logits come from that token and not from the map of patches, so ``forward_head`` takes the tokens,
    ``[N, 1 + registers + patches, width]``, that ``forward_tokens`` gives. ``forward_features`` gives the
    patches among them as a map, and there are no stages of another resolution.

    Images of other sizes than ``image_size`` are taken too, if they can be cut into patches: the embeddings
    of positions are resampled for them (bicubic, antialiased), which is logged.

    Args:
        size: a key of ``SIZES``.
        patch: side of a patch in pixels.
        image_size: side of the images that the embeddings of positions are made for.
        scale: start of the factors after attention and MLP; 0 for none.
        registers: tokens beside the class token that nothing is read from.
        place_class: the class token has an embedding of a position too; it must not with registers.
        drop_path: probability of dropping the last block's branches in training, growing from 0 at the first.
        dropout: probability of dropping a feature before the last layer, in training.
        checkpointing: compute the blocks' insides again for the gradient: less memory, a third more time.
    """

    head_layers = ("norm", "head", "dropout")

    def __init__(
        self,
        size: str,
        patch: int = 16,
        image_size: int = 224,
        scale: float = 0.0,
        registers: int = 0,
        place_class: bool = True,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        checkpointing: bool = False,
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        require_choice(SIZES, size=size)
        require_positive(patch=patch, image_size=image_size)
        require_probability(drop_path=drop_path, dropout=dropout)
        width, blocks, heads = SIZES[size]
        self.checkpointing, self.place_class = checkpointing, place_class
        self.num_features, self.min_input_size, self.patch = width, patch, patch
        self.grid = image_size // patch
        self.resampled: set[tuple[int, int]] = set()
        zero = nn.initializer.Constant(0.0)
        self.cls_token = parameter(self, [1, 1, width], zero)
        self.reg_token = parameter(self, [1, registers, width], zero) if registers else None
        self.pos_embed = parameter(self, [1, place_class + self.grid**2, width], TRUNCATED)
        self.patch_embed = nn.Sequential(
            ("proj", conv2d(in_channels, width, patch, stride=patch, padding=0, bias=True, init=TRUNCATED))
        )
        rates = drop_path_rates(drop_path, blocks)
        self.blocks = nn.Sequential(*(Block(width, heads, scale or None, rate) for rate in rates))
        self.norm = LayerNorm(width, EPSILON)
        self.add_head(width, num_classes, dropout)

    def positions(self, height: int, width: int) -> paddle.Tensor:
        """Embeddings ``[1, tokens, width]`` for a map of patches, behind the class token's, if it has one."""
        if (height, width) == (self.grid, self.grid):
            return self.pos_embed
        if paddle.in_dynamic_mode() and (height, width) not in self.resampled:
            self.resampled.add((height, width))
            log.info(
                "Embeddings of positions are resampled from %d x %d patches to %d x %d", *2 * [self.grid], height, width
            )
        patches = self.pos_embed[0, int(self.place_class) :].reshape([self.grid, self.grid, -1])
        patches = resample(patches, height, width).reshape([1, height * width, -1])
        # no slice of nothing, of which a graph has no gradient
        return paddle.concat([self.pos_embed[:, :1], patches], axis=1) if self.place_class else patches

    def embed(self, maps: paddle.Tensor) -> paddle.Tensor:
        """Tokens of patches ``[N, width, h, w]`` with their positions, behind the class token and the registers."""
        height, width = whole_size(maps, "Its embeddings of positions")
        tokens = transpose(maps.flatten(2), [0, 2, 1])
        prefix = [self.cls_token] if self.reg_token is None else [self.cls_token, self.reg_token]
        # not expand(), of whose answer a graph forgets that the batch may be of any size
        prefix = [token + paddle.zeros_like(tokens[:, :1]) for token in prefix]
        if self.place_class:
            return paddle.concat([*prefix, tokens], axis=1) + self.positions(height, width)
        return paddle.concat([*prefix, tokens + self.positions(height, width)], axis=1)

    def blocks_in_order(self) -> list[list[paddle.Tensor]]:
        tokens = [token for token in (self.cls_token, self.reg_token, self.pos_embed) if token is not None]
        return [tokens + self.patch_embed.parameters(), *(block.parameters() for block in self.blocks)]

    def forward_tokens(self, x: paddle.Tensor) -> paddle.Tensor:
        """Tokens ``[N, 1 + registers + patches, width]`` of images, normalised: what ``forward_head`` takes."""
        maps = to_nchw(self.patch_embed(self.receive(x)), self.data_format)
        return self.norm(run(self.blocks, self.embed(maps), self.checkpointing))

    def forward_features(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.as_map(self.forward_tokens(x), x)

    def as_map(self, tokens: paddle.Tensor, x: paddle.Tensor) -> paddle.Tensor:
        """The patches among the tokens of images ``x``, ``[N, width, h, w]``."""
        height, width = (side // self.patch for side in whole_size(x, "Its embeddings of positions"))
        patches = transpose(tokens[:, -height * width :], [0, 2, 1])
        return patches.reshape([0, self.num_features, height, width])

    def split_at_map(self, x: paddle.Tensor) -> tuple[paddle.Tensor, Callable[[paddle.Tensor], paddle.Tensor]]:
        """At the last block, which is where the class token reads the patches for the last time."""
        maps = to_nchw(self.patch_embed(self.receive(x)), self.data_format)
        tokens = run(self.blocks[:-1], self.embed(maps), False)
        patches = self.as_map(tokens, x)
        prefix = tokens[:, : tokens.shape[1] - patches.shape[2] * patches.shape[3]]

        def rest(patches: paddle.Tensor) -> paddle.Tensor:
            joined = paddle.concat([prefix, transpose(patches.flatten(2), [0, 2, 1])], axis=1)
            return self.forward_head(self.norm(self.blocks[-1](joined)))

        return patches, rest

    def forward_head(self, features: paddle.Tensor) -> paddle.Tensor:
        return self.head(self.dropout(features[:, 0]))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.forward_head(self.forward_tokens(x))


VARIANTS = {
    **{f"vit_{size}_patch16_224": partial(ViT, size=size) for size in SIZES},
    **{f"deit_{size}_patch16_224": partial(ViT, size=size) for size in ("tiny", "small", "base")},
    **{
        f"deit3_{size}_patch16_224": partial(ViT, size=size, scale=1e-6, place_class=False)
        for size in ("small", "base", "large")
    },
    **{
        f"vit_{size}_patch14_dinov2": partial(ViT, size=size, patch=14, image_size=518, scale=1e-5)
        for size in ("small", "base", "large")
    },
    **{
        f"vit_{size}_patch14_reg4_dinov2": partial(
            ViT, size=size, patch=14, image_size=518, scale=1e-5, registers=4, place_class=False
        )
        for size in ("small", "base", "large")
    },
}
