"""What the families share: the network interface, named convolutions, common blocks.

Every parameter carries the variable name it had in the fluid library as its ``name``, given where
the layer is made. That one property is the map between a ``state_dict`` and old checkpoints
(``fluid_names``), and it makes optimizer states independent of how many networks a process built.
``name_parameters`` says what it costs.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import paddle
from paddle import nn
from paddle.nn import functional as F

from imgcls.errors import UserError
from imgcls.machine.paddle_internals import Conv2D, stride
from imgcls.models.checks import require_channels, require_choice, require_input_size
from imgcls.models.choices import DATA_FORMATS
from imgcls.models.data_format import MapLayer, from_nchw, set_data_format, to_nchw

ACTIVATIONS = {
    None: nn.Identity,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "swish": nn.Swish,
    "hard_swish": nn.Hardswish,
    "leaky_relu": nn.LeakyReLU,  # of slope 0.01, Paddle's and PyTorch's default
}
GATES = {
    "sigmoid": F.sigmoid,
    "hard_sigmoid": partial(F.hardsigmoid, slope=0.2, offset=0.5),
    "hard_sigmoid_6": F.hardsigmoid,  # of slope 1/6, PyTorch's
}
"""Functions that bring a channel's attention between 0 and 1."""


class Network(MapLayer):
    """The interface of every family.

    A subclass sets ``num_features`` (channels of the last feature map, as the head sees them),
    ``head`` (the last layer, a ``Linear`` or a 1x1 ``Conv2D``) and, if it drops features, ``dropout``,
    and implements ``steps`` (or calls them ``features``) and, where there is more than a global average
    and dropout before ``head``, ``forward_head``. One that is no chain of steps implements ``forward_maps``
    and ``stage_maps`` instead. Its arguments end with ``num_classes``, the width of ``head``, and
    ``in_channels``, that of the images.

    Images, features and logits look the same in every data format. Within ``forward_maps`` and
    ``stage_maps`` all is in the network's own, behind one transposition at its entry and one of what
    they give; the head stays as it is.
    """

    num_features: int
    head: nn.Layer
    head_layers = ("head",)
    """Sublayers of ``forward_head``, as opposed to ``forward_maps``."""
    min_input_size = 1
    """Shortest side, in pixels, of an image in whose maps every window of a convolution or pool finds room."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Identity()

    def blocks_in_order(self) -> list[list[paddle.Tensor]]:
        """The parameters of each block from the images on, for rates that differ from block to block.

        What is in none of them, as the head, comes after the last.

        Raises:
            UserError: the network is not made of such.
        """
        blocks = [block for step in self.steps() for block in parts(step)]
        return [block.parameters() for block in blocks if block.parameters()]

    def forward_maps(self, x: paddle.Tensor) -> paddle.Tensor:
        """Last feature map of images, both in the network's data format."""
        for step in self.steps():
            x = step(x)
        return x

    def steps(self) -> Iterable[Callable]:
        """What images go through, one after the other, to the last feature map.

        Raises:
            UserError: the network is not made of such.
        """
        if not hasattr(self, "features"):
            raise UserError(f"{type(self).__name__} has no stages; forward_features gives its last feature map.")
        return self.features

    def stage_maps(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        """What ``forward_stages`` gives, of images, all in the network's data format."""
        maps = []
        for number, step in enumerate(self.steps()):
            if number > 0 and is_strided(step):
                maps.append(x)
            x = step(x)
        return [*maps, x]

    def forward_stages(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        """The last feature map ``[N, C, h, w]`` of each resolution, of images ``[N, C, H, W]``.

        From the highest to the lowest resolution, which is the map that ``forward_features`` gives.

        Raises:
            UserError: the images are smaller than ``min_input_size``, or the network has no stages.
        """
        return [to_nchw(maps, self.data_format) for maps in self.stage_maps(self.receive(x))]

    def forward_features(self, x: paddle.Tensor) -> paddle.Tensor:
        """Last feature map ``[N, num_features, h, w]`` of images ``[N, C, H, W]``.

        Raises:
            UserError: the images are smaller than ``min_input_size``.
        """
        return to_nchw(self.forward_maps(self.receive(x)), self.data_format)

    def receive(self, x: paddle.Tensor) -> paddle.Tensor:
        """Images ``[N, C, H, W]``, found large enough, in the network's data format."""
        require_input_size(x, self.min_input_size)
        return from_nchw(x, self.data_format)

    def forward_head(self, features: paddle.Tensor) -> paddle.Tensor:
        """Raw logits ``[N, num_classes]`` of a feature map."""
        return self.head(self.dropout(F.adaptive_avg_pool2d(features, 1).flatten(1)))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Raw logits ``[N, num_classes]`` of normalised images ``[N, C, H, W]``, float32."""
        return self.forward_head(self.forward_features(x))

    def split_at_map(self, x: paddle.Tensor) -> tuple[paddle.Tensor, Callable[[paddle.Tensor], paddle.Tensor]]:
        """A late map ``[N, C, h, w]`` of images, and what makes logits of such a map: what Grad-CAM explains."""
        return self.forward_features(x), self.forward_head

    def set_data_format(self, data_format: str) -> None:
        """Compute in ``NCHW``, as a new network does, or channels-last, in ``NHWC``; parameters stay as they are.

        Raises:
            UserError: it is neither.
        """
        require_choice(DATA_FORMATS, data_format=data_format)
        self.data_format = data_format
        for name, layer in self.named_children():
            if name not in self.head_layers:
                set_data_format(layer, data_format)

    def reset_head(self, num_classes: int) -> None:
        """Replace the last layer by a fresh one of another width: weights N(0, 0.01), bias 0."""
        old = self.head
        normal = nn.initializer.Normal(std=0.01)
        if isinstance(old, nn.Linear):
            new = nn.Linear(old.weight.shape[0], num_classes, weight_attr=normal)
        else:
            new = Conv2D(old.weight.shape[1], num_classes, 1, weight_attr=normal)
        new.weight.regularizer, new.bias.regularizer = old.weight.regularizer, old.bias.regularizer
        self.head = name_parameters(new, weight=old.weight.name, bias=old.bias.name)


def parts(step: nn.Layer) -> list[nn.Layer]:
    """The blocks that a step is a row of; itself, if its layers have no layers of their own."""
    children = list(step.children())
    return children if isinstance(step, nn.Sequential) and all(list(child.children()) for child in children) else [step]


def is_strided(step: Callable) -> bool:
    """Whether a convolution or pool within it lowers the resolution."""
    layers = step.sublayers(include_self=True) if isinstance(step, nn.Layer) else []
    strides = [stride(layer) for layer in layers if isinstance(layer, nn.Conv2D)]
    strides += [[layer.stride or layer.ksize] for layer in layers if isinstance(layer, nn.MaxPool2D | nn.AvgPool2D)]
    return any(step > 1 for pair in strides for step in pair)


def name_parameters(layer: nn.Layer, **names: str) -> nn.Layer:
    """Give the parameters of ``layer`` their fluid variable names, by attribute; returns the layer.

    Done after creation because Paddle refuses a second parameter of the same name in
    ``ParamAttr``, and building a network twice in one process is legitimate.

    The price: two networks of one family have tensors of the same names. Each computes, is trained by
    an optimizer of its own, compiled, saved and exported as if the other were not there: a teacher may
    stand beside its student. But Paddle goes by the name in two places: one optimizer of both would mix
    up their states (``build_optimizer`` refuses them), and a graph that holds both (``paddle.jit.save``
    of a layer around them) computes with the weights of one in the place of the other's.
    """
    tensors = layer.state_dict()
    for attribute, name in names.items():
        tensors[attribute].name = name
    return layer


def fluid_names(network: nn.Layer) -> dict[str, str]:
    """The fluid variable name of every ``state_dict`` key, in order of creation."""
    return {key: tensor.name for key, tensor in network.state_dict().items()}


def conv2d(
    in_channels: int,
    out_channels: int,
    kernel_size: int | tuple[int, int],
    *,
    weight: str | None = None,
    bias: str | bool = False,
    stride: int = 1,
    padding: int | str | None = None,
    dilation: int = 1,
    groups: int = 1,
    init: nn.initializer.Initializer | None = None,
) -> nn.Conv2D:
    """A convolution; "same" padding for odd kernels unless told otherwise.

    Args:
        weight: fluid name of the kernel, where it has one.
        bias: that of the bias, or whether there is one.
        init: of the kernel; left out, Paddle's default, which is the original's: normal with
            ``std = sqrt(2 / (kh * kw * in_channels))``, ``in_channels`` not divided by the groups.

    Raises:
        UserError: the channels cannot be divided into the groups, or there are none.
    """
    require_channels(in_channels, out_channels, groups, layer=weight or f"{kernel_size}x{kernel_size}")
    if padding is None:
        sizes = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
        padding = [dilation * (size - 1) // 2 for size in sizes]
    layer = Conv2D(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        weight_attr=init,
        bias_attr=None if bias else False,
    )
    names = {"weight": weight, "bias": bias}
    return name_parameters(layer, **{part: name for part, name in names.items() if isinstance(name, str)})


def linear(
    in_features: int,
    out_features: int,
    *,
    weight: str,
    bias: str,
    uniform: bool = False,
    init: nn.initializer.Initializer | None = None,
) -> nn.Linear:
    """A fully connected layer with fluid names.

    Args:
        uniform: initialise the weights in ``±1 / sqrt(in_features)``, as the ResNets do.
        init: any other initialiser of the weights; left out, Xavier uniform, Paddle's default.
    """
    bound = in_features**-0.5
    init = nn.initializer.Uniform(-bound, bound) if uniform else init
    return name_parameters(nn.Linear(in_features, out_features, weight_attr=init), weight=weight, bias=bias)


def activation(name: str | None) -> nn.Layer:
    """A layer of ``ACTIVATIONS``.

    Raises:
        UserError: there is none of that name.
    """
    require_choice(ACTIVATIONS, act=name)
    return ACTIVATIONS[name]()


def scaled(channels: int, scale: float) -> int:
    """The width ``channels`` has in a network ``scale`` times as wide, rounded down.

    Raises:
        UserError: no channel is left.
    """
    if scale * channels < 1:
        raise UserError(
            f"A width scale of {scale} leaves nothing of {channels} channels. Take a larger one, like 0.25."
        )
    return int(scale * channels)


class BatchNormNames(NamedTuple):
    """Fluid variable names of one batch norm."""

    scale: str
    offset: str
    mean: str
    variance: str

    @classmethod
    def of(cls, prefix: str) -> "BatchNormNames":
        """The usual scheme: ``<prefix>_scale``, ``_offset``, ``_mean``, ``_variance``."""
        return cls(*(f"{prefix}_{part}" for part in cls._fields))


def batch_norm(
    channels: int, names: str | BatchNormNames | None = None, *, momentum: float = 0.9, epsilon: float = 1e-5
) -> nn.BatchNorm2D:
    """A batch norm, with fluid names where it has them; ``momentum`` multiplies the old average."""
    layer = nn.BatchNorm2D(channels, momentum=momentum, epsilon=epsilon)
    if names is None:
        return layer
    names = BatchNormNames.of(names) if isinstance(names, str) else names
    return name_parameters(layer, weight=names.scale, bias=names.offset, _mean=names.mean, _variance=names.variance)


class ConvBNAct(nn.Layer):
    """Convolution without bias, batch norm, activation.

    Args:
        act: a key of ``ACTIVATIONS``; ``None`` for none.
        weight: fluid name of the kernel, where it has one.
        bn: fluid prefix of the batch norm (``<bn>_scale``, ...), or its four names.
        padding: "same" for odd kernels when left out.
        init: of the kernel, as in ``conv2d``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        act: str | None = "relu",
        *,
        weight: str | None = None,
        bn: str | BatchNormNames | None = None,
        stride: int = 1,
        padding: int | str | None = None,
        dilation: int = 1,
        groups: int = 1,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        init: nn.initializer.Initializer | None = None,
    ):
        super().__init__()
        self.conv = conv2d(
            in_channels,
            out_channels,
            kernel_size,
            weight=weight,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            init=init,
        )
        self.bn = batch_norm(out_channels, bn, momentum=momentum, epsilon=epsilon)
        self.act = activation(act)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.act(self.bn(self.conv(x)))


class SqueezeExcite(MapLayer):
    """Channel attention (arXiv:1709.01507): mean, squeeze, activation, excite, gate, multiply.

    Args:
        squeezed: width between the two layers.
        names: what the two layers are called here.
        squeeze: fluid prefix of the first (``<squeeze>_weights``, ``<squeeze>_offset``), where it has one.
        excite: fluid prefix of the second.
        act: a key of ``ACTIVATIONS``.
        gate: a key of ``GATES``.
        convs: 1x1 convolutions in place of fully connected layers.
        init: of the convolutions, as in ``conv2d``.
    """

    def __init__(
        self,
        channels: int,
        squeezed: int,
        names: tuple[str, str] = ("squeeze", "excite"),
        *,
        squeeze: str | None = None,
        excite: str | None = None,
        act: str = "relu",
        gate: str = "sigmoid",
        convs: bool = False,
        init: nn.initializer.Initializer | None = None,
    ):
        super().__init__()
        self.names, self.convs = names, convs
        widths = (channels, squeezed), (squeezed, channels)
        for name, prefix, (wide, out) in zip(names, (squeeze, excite), widths, strict=True):
            fluid = {"weight": f"{prefix}_weights", "bias": f"{prefix}_offset"} if prefix else {"bias": True}
            if convs:
                self.add_sublayer(name, conv2d(wide, out, 1, **fluid, init=init))
            else:
                self.add_sublayer(name, linear(wide, out, **fluid, uniform=True))
        self.act = activation(act)
        self.gate = GATES[gate]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        first, second = (getattr(self, name) for name in self.names)
        mean = F.adaptive_avg_pool2d(x, 1, self.data_format)
        if self.convs:
            return x * self.gate(second(self.act(first(mean))))
        attention = self.gate(second(self.act(first(mean.flatten(1)))))
        return x * attention.unsqueeze([self.height_axis, self.width_axis])


class NormReluConv(nn.Sequential):
    """Batch norm, ReLU, convolution without bias: the unit of pre-activation networks.

    Args:
        name: fluid prefix; the kernel is ``<name>_weights``, the batch norm ``<name>_bn_scale``, ...
        options: of ``conv2d``.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, name: str, **options):
        super().__init__(
            batch_norm(in_channels, f"{name}_bn"),
            nn.ReLU(),
            conv2d(in_channels, out_channels, kernel_size, weight=f"{name}_weights", **options),
        )


class Concat(MapLayer, nn.LayerList):
    """Branches side by side on one input, their channels concatenated."""

    def __init__(self, *branches: nn.Layer):
        super().__init__(branches)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return paddle.concat([branch(x) for branch in self], axis=self.channel_axis)
