"""bfloat16 on a CPU, where Paddle 2.6.2 has no kernels for it: its rounding, at float32's speed."""

import paddle
from paddle import nn
from paddle.autograd import PyLayer

SPLITTER = 2.0**16 + 1
"""Leaves 24 - 16 = 8 significant bits (Dekker 1971, section 4)."""

MATRIX_LAYERS = (nn.Conv1D, nn.Conv2D, nn.Conv3D, nn.Linear)
"""Layers whose operators autocast runs in half precision; norms, losses and sums stay in float32 there as well."""


def emulate_bfloat16(network: nn.Layer) -> None:
    """Let convolutions and linear layers see inputs and weights rounded to bfloat16, and round their gradients.

    Sums inside a layer stay in float32, as in the hardware. The parameters themselves stay in float32:
    they are their own master weights.
    """
    for layer in network.sublayers(include_self=True):
        if isinstance(layer, MATRIX_LAYERS):
            layer.register_forward_pre_hook(_round_operands)
            layer.register_forward_post_hook(_restore_weight)


def _round_operands(layer: nn.Layer, inputs: tuple[paddle.Tensor, ...]) -> tuple[paddle.Tensor, ...]:
    layer.__dict__["weight"] = _Rounded.apply(layer.weight)  # found before the parameter of that name
    return tuple(map(_Rounded.apply, inputs))


def _restore_weight(layer: nn.Layer, inputs: tuple[paddle.Tensor, ...], output: paddle.Tensor) -> None:
    del layer.__dict__["weight"]


class _Rounded(PyLayer):
    """To the nearest number of bfloat16, there and back. Paddle's cast on a CPU cuts off instead."""

    @staticmethod
    def forward(ctx, tensor: paddle.Tensor) -> paddle.Tensor:
        return _nearest(tensor)

    @staticmethod
    def backward(ctx, gradient: paddle.Tensor) -> paddle.Tensor:
        return _nearest(gradient)


def _nearest(tensor: paddle.Tensor) -> paddle.Tensor:
    scaled = tensor * SPLITTER
    return scaled - (scaled - tensor)
