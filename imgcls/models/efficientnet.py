"""EfficientNet B0 to B7 (arXiv:1905.11946)."""

import math
from collections.abc import Iterable
from functools import partial

import paddle
from paddle import nn

from imgcls.models.checks import require_choice, require_positive, require_probability
from imgcls.models.data_format import MapLayer
from imgcls.models.layers import ConvBNAct, Network, SqueezeExcite, linear

INIT = nn.initializer.Normal(std=0.02)
PADDING_TYPES = ("SAME", "VALID", "DYNAMIC")

# table 1 of the paper, for B0: kernel size, expansion, output channels, blocks, stride of the first
STAGES = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, name: str, bn: str, **options) -> ConvBNAct:
    options = {"momentum": 0.99, "epsilon": 1e-3, "init": INIT, **options}
    return ConvBNAct(in_channels, out_channels, kernel_size, weight=f"{name}_weights", bn=bn, **options)


def padding(padding_type: str, stride: int) -> int | str | None:
    """What ``conv2d`` takes for a type of padding.

    ``SAME`` is TensorFlow's: what the size of the image at hand needs, an odd row or column going
    to the bottom or right. It differs from the symmetric ``DYNAMIC`` under a stride only.
    """
    if padding_type == "VALID":
        return 0
    return "SAME" if padding_type == "SAME" and stride > 1 else None


class MBConv(MapLayer):
    """Inverted residual: expand (unless by 1), depthwise, squeeze and excite, project.

    Where the shapes agree the input is added. There, in training, ``drop_connect`` is the
    probability that a sample goes by the input alone; the others' other path is enlarged to match.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        expansion: int,
        stride: int,
        name: str,
        *,
        act: str,
        padding_type: str,
        use_se: bool,
        drop_connect: float,
    ):
        super().__init__()
        self.residual = stride == 1 and in_channels == out_channels
        self.margin = kernel_size // 2 if padding_type == "VALID" else 0
        width = in_channels * expansion
        depthwise = {"stride": stride, "padding": padding(padding_type, stride), "groups": width}
        layers = []
        if expansion != 1:
            layers.append(conv_bn(in_channels, width, 1, f"{name}._expand_conv", f"{name}._bn0", act=act))
        layers.append(
            conv_bn(width, width, kernel_size, f"{name}._depthwise_conv", f"{name}._bn1", act=act, **depthwise)
        )
        if use_se:
            names = {"squeeze": f"{name}._se_reduce", "excite": f"{name}._se_expand"}
            layers.append(
                SqueezeExcite(
                    width, max(1, in_channels // 4), ("reduce", "expand"), **names, act=act, convs=True, init=INIT
                )
            )
        layers.append(conv_bn(width, out_channels, 1, f"{name}._project_conv", f"{name}._bn2", act=None))
        self.layers = nn.Sequential(*layers)
        self.drop_connect = nn.Dropout(drop_connect, axis=0)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        out = self.layers(x)
        if not self.residual:
            return out
        if self.margin:
            x = self.crop(x, self.margin, self.margin)
        return x + self.drop_connect(out)


class EfficientNet(Network):
    """Stem, seven stages of inverted residuals, a wide 1x1 convolution, global average, fully connected.

    Args:
        width: multiplies every width; the result is rounded to a multiple of 8.
        depth: multiplies the number of blocks of a stage, rounding up.
        dropout: probability of dropping a feature before the last layer, in training.
        drop_connect_rate: probability of dropping the last block, were it residual; it grows
            linearly from 0 at the first.
        padding_type: ``SAME``, ``VALID`` or ``DYNAMIC``, see ``padding``. Under ``VALID`` maps
            shrink in every block: B0 needs images of 851 pixels or more.
        use_se: with squeeze and excitation.
        act: a key of ``layers.ACTIVATIONS``.
    """

    def __init__(
        self,
        width: float = 1.0,
        depth: float = 1.0,
        dropout: float = 0.2,
        drop_connect_rate: float = 0.2,
        padding_type: str = "SAME",
        use_se: bool = True,
        act: str = "swish",
        num_classes: int = 1000,
        in_channels: int = 3,
    ):
        super().__init__()
        require_positive(width=width, depth=depth)
        require_probability(dropout=dropout, drop_connect_rate=drop_connect_rate)
        require_choice(PADDING_TYPES, padding_type=padding_type)

        channels = rounded(32, width)
        stem = {"stride": 2, "padding": padding(padding_type, 2)}
        self.stem = conv_bn(in_channels, channels, 3, "_conv_stem", "_bn0", act=act, **stem)
        self.padding_type = padding_type
        self.repeats = repeats = [math.ceil(depth * stage[3]) for stage in STAGES]
        blocks = []
        windows = [(3, 2)]
        for (kernel_size, expansion, out_channels, _, first_stride), repeat in zip(STAGES, repeats, strict=True):
            out_channels = rounded(out_channels, width)
            for index in range(repeat):
                options = {
                    "act": act,
                    "padding_type": padding_type,
                    "use_se": use_se,
                    "drop_connect": drop_connect_rate * len(blocks) / sum(repeats),
                }
                stride = first_stride if index == 0 else 1
                name = f"_blocks.{len(blocks)}"
                blocks.append(MBConv(channels, out_channels, kernel_size, expansion, stride, name, **options))
                channels = out_channels
                windows.append((kernel_size, stride))
        self.blocks = nn.Sequential(*blocks)
        if padding_type == "VALID":
            for kernel_size, stride in reversed(windows):
                self.min_input_size = stride * (self.min_input_size - 1) + kernel_size
        self.num_features = rounded(1280, width)
        self.last = conv_bn(channels, self.num_features, 1, "_conv_head", "_bn1", act=act)
        self.dropout = nn.Dropout(dropout)
        bound = num_classes**-0.5
        init = nn.initializer.Uniform(-bound, bound)
        self.head = linear(self.num_features, num_classes, weight="_fc_weights", bias="_fc_offset", init=init)

    def steps(self) -> Iterable[nn.Layer]:
        return self.stem, *self.blocks, self.last


def rounded(channels: int, scale: float) -> int:
    """``scale * channels`` to the nearest multiple of 8, but never a tenth less."""
    target = scale * channels
    multiple = max(8, int(target + 4) // 8 * 8)
    return multiple if multiple >= 0.9 * target else multiple + 8


VARIANTS = {
    "efficientnet": partial(EfficientNet),
    "efficientnetb0": partial(EfficientNet),
    "efficientnetb0_small": partial(EfficientNet, padding_type="DYNAMIC", use_se=False),
    "efficientnetb1": partial(EfficientNet, width=1.0, depth=1.1, dropout=0.2),
    "efficientnetb2": partial(EfficientNet, width=1.1, depth=1.2, dropout=0.3),
    "efficientnetb3": partial(EfficientNet, width=1.2, depth=1.4, dropout=0.3),
    "efficientnetb4": partial(EfficientNet, width=1.4, depth=1.8, dropout=0.4),
    "efficientnetb5": partial(EfficientNet, width=1.6, depth=2.2, dropout=0.4),
    "efficientnetb6": partial(EfficientNet, width=1.8, depth=2.6, dropout=0.5),
    "efficientnetb7": partial(EfficientNet, width=2.0, depth=3.1, dropout=0.5),
}
