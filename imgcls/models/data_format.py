"""Where the channels are in feature maps: the layers that need to know, and their change to channels-last.

Paddle's layers take maps as NCHW unless told otherwise; tensor cores prefer NHWC. The parameters are
the same in both (kernels stay ``[out, in, height, width]``), so the choice is one of how a network
computes, and is made after it was built.
"""

import paddle
from paddle import nn

from imgcls.machine.paddle_internals import set_layer_data_format
from imgcls.models.views import cropped, transpose


class MapLayer(nn.Layer):
    """A layer that computes along axes of feature maps, and asks for them here by what they hold."""

    data_format = "NCHW"

    @property
    def channel_axis(self) -> int:
        return self.data_format.index("C")

    @property
    def height_axis(self) -> int:
        return self.data_format.index("H")

    @property
    def width_axis(self) -> int:
        return self.data_format.index("W")

    def crop(self, x: paddle.Tensor, first: int, last: int) -> paddle.Tensor:
        """The maps ``x`` without so many of their first and last rows and columns."""
        return cropped(x, [self.height_axis, self.width_axis], first, last)


def set_data_format(network: nn.Layer, data_format: str) -> None:
    """Make a layer and all layers within it take and give maps in ``data_format``."""
    for layer in network.sublayers(include_self=True):
        if hasattr(layer, "data_format"):  # of a ``MapLayer``, and of Paddle's pools
            layer.data_format = data_format
        set_layer_data_format(layer, data_format)


def from_nchw(x: paddle.Tensor, data_format: str) -> paddle.Tensor:
    """Images or maps ``[N, C, H, W]`` in ``data_format``."""
    return x if data_format == "NCHW" else transpose(x, [0, 2, 3, 1])


def to_nchw(x: paddle.Tensor, data_format: str) -> paddle.Tensor:
    """Images or maps in ``data_format`` as ``[N, C, H, W]``."""
    return x if data_format == "NCHW" else transpose(x, [0, 3, 1, 2])
