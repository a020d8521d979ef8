"""What the families after 2020 share: norms of maps, drop path, attention, and the names of their source.

Their tensors carry as ``name`` the key they have in the state dict of the package that the weights come
from (timm, torchvision, PaddleClas), which is what a checkpoint of that package is read by.
``SourceNetwork.source_names`` is the rule of each family: regular expressions that make that key of ours.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np
import paddle
from paddle import nn
from paddle.distributed.fleet.utils import recompute
from paddle.nn import functional as F

from imgcls.errors import UserError
from imgcls.machine.paddle_internals import batch_norm_parts
from imgcls.models.data_format import MapLayer
from imgcls.models.layer_norm import LayerNorm
from imgcls.models.layers import Network, activation, conv2d
from imgcls.models.views import transpose

TRUNCATED = nn.initializer.TruncatedNormal(std=0.02)


class SourceNetwork(Network):
    """A network whose tensors have the names of another package's checkpoints."""

    source_names: ClassVar[dict] = {}
    """From regular expressions of our ``state_dict`` keys to what the source has there, as in ``re.sub``."""

    statistics: ClassVar[dict] = {r"\._mean$": ".running_mean", r"\._variance$": ".running_var"}
    """The same for batch norms; PyTorch's."""

    def source_kernels(self) -> Iterable[str]:
        """Names of fully connected layers that the source computes as 1x1 convolutions."""
        return ()

    def add_head(self, features: int, num_classes: int, dropout: float) -> None:
        """Dropout and a last layer, and the source's names for all there is: the end of a family's ``__init__``."""
        self.dropout = nn.Dropout(dropout)
        self.head = linear(features, num_classes)
        self.name_as_source()

    def name_as_source(self) -> None:
        """Give every tensor the key of the source's state dict."""
        for key, tensor in self.state_dict().items():
            for pattern, replacement in {**self.statistics, **self.source_names}.items():
                key = re.sub(pattern, replacement, key)
            tensor.name = key


class DropPath(nn.Layer):
    """In training, leave out the whole branch of a sample with a probability (arXiv:1603.09382).

    The branches that stay are enlarged to match. As ``drop_connect`` of EfficientNet.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.dropout(x, self.rate, axis=0, training=self.training) if self.rate else x


def drop_path_rates(rate: float, blocks: int) -> list[float]:
    """Rates of a network's blocks: from 0 at the first to ``rate`` at the last."""
    return [rate * number / max(blocks - 1, 1) for number in range(blocks)]


class ChannelNorm(MapLayer, LayerNorm):
    """Layer norm over the channels of maps, in either data format."""

    def __init__(self, channels: int, epsilon: float = 1e-6):
        super().__init__(channels, epsilon)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return last_to_maps(LayerNorm.forward(self, maps_to_last(x, self.data_format)), self.data_format)


def maps_to_last(x: paddle.Tensor, data_format: str) -> paddle.Tensor:
    """Maps in ``data_format`` as ``[N, H, W, C]``."""
    return x if data_format == "NHWC" else transpose(x, [0, 2, 3, 1])


def last_to_maps(x: paddle.Tensor, data_format: str) -> paddle.Tensor:
    """``[N, H, W, C]`` as maps in ``data_format``."""
    return x if data_format == "NHWC" else transpose(x, [0, 3, 1, 2])


class Scale(nn.Layer):
    """A factor for each channel of ``[..., C]``, trained from a small start (arXiv:2103.17239)."""

    def __init__(self, channels: int, start: float):
        super().__init__()
        self.gamma = parameter(self, [channels], nn.initializer.Constant(start))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return x * self.gamma


def parameter(layer: nn.Layer, shape: Sequence[int], init: nn.initializer.Initializer) -> paddle.Tensor:
    """A trained tensor of a layer, float32."""
    return layer.create_parameter(list(shape), default_initializer=init)


class Chain(nn.Layer):
    """Layers by name, one after the other; the input is added, less what drop path leaves out, where ``adds``."""

    def __init__(self, layers: Iterable[tuple[str, nn.Layer]], *, adds: bool = False, drop_path: float = 0.0):
        super().__init__()
        self.adds, self.order = adds, []
        for name, layer in layers:
            self.add_sublayer(name, layer)
            self.order.append(name)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        out = x
        for name in self.order:
            out = getattr(self, name)(out)
        return x + self.drop_path(out) if self.adds else out


def conv_bn(names: tuple[str, str], *shape: int, act: str | None = None, epsilon: float = 1e-5, **options) -> list:
    """A convolution (``conv2d``), its batch norm and an activation as named layers of a ``Chain``."""
    first, second = names
    norm = nn.BatchNorm2D(shape[1], epsilon=epsilon)
    return [(first, conv2d(*shape, **options)), (second, norm), (f"{second}_act", activation(act))]


def rounded(channels: float, limit: float = 0.9) -> int:
    """The nearest multiple of 8, but not less than ``limit`` of what it was."""
    multiple = max(8, int(channels + 4) // 8 * 8)
    return multiple if multiple >= limit * channels else multiple + 8


def with_norm(kernel: np.ndarray, norm: nn.BatchNorm2D) -> tuple[np.ndarray, np.ndarray]:
    """A kernel and a bias equal to a kernel and the batch norm behind it."""
    weight, bias, mean, variance = (norm.state_dict()[key].numpy() for key in ("weight", "bias", "_mean", "_variance"))
    factor = weight / np.sqrt(variance + batch_norm_parts(norm).epsilon)
    return kernel * factor[:, None, None, None], bias - mean * factor


def linear(in_features: int, out_features: int, bias: bool = True) -> nn.Linear:
    """Fully connected, from a truncated normal of 0.02, bias 0."""
    return nn.Linear(in_features, out_features, weight_attr=TRUNCATED, bias_attr=None if bias else False)


class MLP(nn.Layer):
    """Two layers with a GELU between them, over the last axis."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.fc1 = linear(channels, hidden)
        self.act = nn.GELU()
        self.fc2 = linear(hidden, channels)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.fc2(self.act(self.fc1(x)))


def attention(
    query: paddle.Tensor,
    key: paddle.Tensor,
    value: paddle.Tensor,
    bias: paddle.Tensor | None = None,
    scale: float | None = None,
) -> paddle.Tensor:
    """Softmax attention of ``[N, heads, tokens, width]``, like its answer.

    In half precision on a GPU Paddle's fused kernel computes it, elsewhere two products and a softmax: the
    kernel has no other place in Paddle 2.6, and graphs of products are read by every engine.

    Args:
        bias: is added to the products, ``[heads, tokens, tokens]`` or more; no gradient is taken of
            what does not need one.
        scale: factor of the products; ``width ** -0.5`` when left out.
    """
    if bias is None and scale is None and _has_fused_kernel(query):
        return fused_attention(query, key, value)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    products = paddle.matmul(query * scale, key, transpose_y=True)
    weights = F.softmax(products if bias is None else products + bias, axis=-1)
    return paddle.matmul(weights, value)


def fused_attention(query: paddle.Tensor, key: paddle.Tensor, value: paddle.Tensor) -> paddle.Tensor:
    """``attention`` without bias through Paddle's own function, which takes tokens before heads."""
    tokens_first = [transpose(x, [0, 2, 1, 3]) for x in (query, key, value)]
    return transpose(F.scaled_dot_product_attention(*tokens_first), [0, 2, 1, 3])


@paddle.jit.not_to_static
def _has_fused_kernel(query: paddle.Tensor) -> bool:
    if not paddle.in_dynamic_mode() or not hasattr(F, "scaled_dot_product_attention"):
        return False
    return query.place.is_gpu_place() and query.dtype in (paddle.float16, paddle.bfloat16)


def run(blocks: Sequence[Callable], x: paddle.Tensor, checkpointing: bool) -> paddle.Tensor:
    """``x`` through all blocks, in training with their insides computed again for the gradient if told so.

    That takes a third more time and the memory of one block's insides in place of all. It is for blocks
    without batch norms, whose statistics would take in each batch twice.
    """
    again = checkpointing and not x.stop_gradient and paddle.in_dynamic_mode()
    for block in blocks:
        x = recompute(block, x) if again and block.training else block(x)
    return x


class Stage(nn.Layer):
    """Blocks in a row, behind what makes the maps smaller in all stages but the first.

    Args:
        checkpointing: see ``run``.
    """

    def __init__(self, downsample: nn.Layer | None, blocks: Iterable[nn.Layer], checkpointing: bool):
        super().__init__()
        self.checkpointing = checkpointing
        self.downsample = nn.Identity() if downsample is None else downsample
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return run(self.blocks, self.downsample(x), self.checkpointing)


def parameters_by_block(stem: nn.Layer, stages: Iterable[Stage]) -> list[list[paddle.Tensor]]:
    """What ``Network.blocks_in_order`` gives of a stem and stages: each is with its stage's first block."""
    blocks = [stem.parameters()]
    for stage in stages:
        first, *others = (block.parameters() for block in stage.blocks)
        blocks += [stage.downsample.parameters() + first, *others]
    return blocks


def whole_size(x: paddle.Tensor, what: str) -> tuple[int, int]:
    """Height and width of images or maps ``[N, C, H, W]`` that must be known.

    Raises:
        UserError: a graph leaves them open.
    """
    height, width = x.shape[2:]
    if height is None or width is None or height < 0 or width < 0:
        raise UserError(f"{what} are made for one size of the images: export it for that size, not for any.")
    return height, width


@lru_cache(maxsize=64)
def resampling(old: int, new: int) -> np.ndarray:
    """Float32 ``[new, old]`` by which a row of ``old`` values becomes one of ``new``, bicubic and antialiased.

    The kernel is Pillow's (a = -0.5), and that of PyTorch's antialiased ``interpolate``.
    """
    scale = old / new
    support = 2 * max(scale, 1.0)
    weights = np.zeros((new, old))
    for row in range(new):
        center = (row + 0.5) * scale
        first, last = max(int(center - support + 0.5), 0), min(int(center + support + 0.5), old)
        distance = np.abs((np.arange(first, last) - center + 0.5) / max(scale, 1.0))
        near = (1.5 * distance - 2.5) * distance**2 + 1
        far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        values = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
        weights[row, first:last] = values / values.sum()
    return weights.astype(np.float32)


def resample(grid: paddle.Tensor, height: int, width: int) -> paddle.Tensor:
    """A grid ``[h, w, C]``, such as of position embeddings, for another size; bicubic, antialiased."""
    down, across = resampling(grid.shape[0], height), resampling(grid.shape[1], width)
    rows = paddle.einsum("ij,jkc->ikc", paddle.to_tensor(down), grid)
    return paddle.einsum("lk,ikc->ilc", paddle.to_tensor(across), rows)
