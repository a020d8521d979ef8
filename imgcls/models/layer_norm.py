"""A layer norm whose gradients are right on a CPU, whichever are asked for."""

from typing import Any

import paddle
from paddle import nn
from paddle.autograd import PyLayer
from paddle.nn import functional as F

from imgcls.machine.paddle_internals import is_eager_on_cpu


class LayerNorm(nn.LayerNorm):
    """``nn.LayerNorm``, to the same bits.

    On a CPU Paddle (2.6.2, 3.3.1) leaves the weight out of the gradient of ``x`` where the gradient of the weight is
    not asked for: below a frozen norm, and for the gradient of images or maps alone, as a saliency map takes it. So the
    weight depends on ``x`` here, by nothing, which makes Paddle compute both whenever it computes one.
    """

    def __init__(self, channels: int, epsilon: float = 1e-5, **options: Any):
        super().__init__(channels, epsilon, **options)
        self.channels, self.epsilon = [channels], epsilon

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self._has_gradients(x):
            return F.layer_norm(x, self.channels, self.weight + Nothing.apply(x), self.bias, self.epsilon)
        if self._is_frozen_in_a_graph():
            normalised = F.layer_norm(x, self.channels, epsilon=self.epsilon) * self.weight
            return normalised if self.bias is None else normalised + self.bias
        return nn.LayerNorm.forward(self, x)  # a bare super() cannot be translated to a graph

    @paddle.jit.not_to_static
    def _has_gradients(self, x: paddle.Tensor) -> bool:
        return self.weight is not None and is_eager_on_cpu(x) and paddle.is_grad_enabled() and not x.stop_gradient

    @paddle.jit.not_to_static
    def _is_frozen_in_a_graph(self) -> bool:
        return self.training and self.weight is not None and self.weight.stop_gradient and not paddle.in_dynamic_mode()


class Nothing(PyLayer):
    """0 of whatever it is given, ``[1]``, and no gradient of it, which costs none of the time of one of zeros."""

    @staticmethod
    def forward(ctx, x):
        return paddle.zeros([1])

    @staticmethod
    def backward(ctx, given):
        return None
