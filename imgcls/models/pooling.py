"""Max pooling that trains fast on a CPU."""

import paddle
from paddle import nn
from paddle.nn import functional as F


class MaxPool2D(nn.MaxPool2D):
    """``nn.MaxPool2D``, trained on a CPU through the places of the maxima: the same bits in two thirds of the time.

    Paddle's gradient looks for the maximum of each window again, in all of its numbers; with the places it goes
    to one of them. Its forward pass takes a third longer, so whatever has no gradient goes the usual way.
    """

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self._goes_by_places(x):
            return F.max_pool2d(x, self.ksize, self.stride, self.padding, return_mask=True)[0]
        return nn.MaxPool2D.forward(self, x)  # a bare super() cannot be translated to a graph

    @paddle.jit.not_to_static
    def _goes_by_places(self, x: paddle.Tensor) -> bool:
        if not self.training or x.stop_gradient or self.return_mask or self.data_format != "NCHW":
            return False
        if x.dtype != paddle.float32 or paddle.device.get_device() != "cpu" or not isinstance(self.padding, int):
            return False
        kernel, stride = self.ksize, self.stride or self.ksize
        if not (isinstance(kernel, int) and isinstance(stride, int)):
            return False
        # those places know of no last window that is partly outside; a side of a graph may not be known
        fits = [side > 0 and (side + 2 * self.padding - kernel) % stride == 0 for side in x.shape[2:]]
        return not self.ceil_mode or all(fits)
