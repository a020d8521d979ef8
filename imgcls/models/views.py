"""Parts of tensors, and tensors in another order, as the operators after them read them fast on a CPU.

In eager mode Paddle 2.6 gives views of what it has. On a CPU each operator that reads one copies it first, number by
number, and so does the gradient: of a cut map 110 ms where the cut itself takes 6. So nothing here is a view on a CPU;
values and gradients are the same bits. On a GPU, and in graphs, all is as in Paddle.
"""

from collections.abc import Sequence

import paddle

from imgcls.machine.paddle_internals import is_eager_on_cpu, transpose

__all__ = ["cropped", "transpose", "unbind"]


def unbind(x: paddle.Tensor) -> list[paddle.Tensor]:
    """The entries of ``x`` along its first axis."""
    return paddle.unbind(x) if is_eager_on_cpu(x) else list(x)


def cropped(x: paddle.Tensor, axes: Sequence[int], first: int, last: int) -> paddle.Tensor:
    """``x`` without its ``first`` and its ``last`` rows along each of ``axes``."""
    parts = [slice(None)] * len(x.shape)
    for axis in axes:
        parts[axis] = slice(first, -last or None)
    if not is_eager_on_cpu(x):
        return x[tuple(parts)]
    offsets = [first if axis in axes else 0 for axis in range(len(x.shape))]
    shape = [side - (first + last) * (axis in axes) for axis, side in enumerate(x.shape)]
    return paddle.crop(x, shape, offsets)
