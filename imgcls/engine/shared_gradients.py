"""Gradients of the ranks of one machine, averaged through memory that all of them see.

Over the connections of gloo the gradients of two ranks on two cores are packed, sent, added up, sent back and unpacked;
here each rank writes its own once and reads those of the others.
"""

from collections.abc import Sequence

import numpy as np
import paddle

from imgcls.engine.ranks import Ranks
from imgcls.machine import cpu
from imgcls.machine.paddle_internals import numbers_of

ALIGNMENT = 64
"""Bytes at which the numbers of a parameter begin: a line of a processor's cache."""

DTYPES = {paddle.float32: np.float32, paddle.float64: np.float64}


class SharedGradients:
    """Means over the ranks of the gradients of ``parameters``.

    An update is ``give``, then a collective of all ranks, after which all have given, then ``take``. Two updates in
    turn have a place each, so that nobody writes where another still reads: who has come to the collective of
    the next update has read those of this one.

    Use ``share_gradients`` to make one.

    Args:
        places: bytes that all ranks see, ``[2, ranks, bytes of a rank]``, see ``_starts``.
    """

    def __init__(self, parameters: Sequence[paddle.Tensor], ranks: Ranks, places: np.ndarray):
        self._parameters, self._ranks, self._updates = parameters, ranks, 0
        self._given = places[:, :, : len(parameters)]
        starts = _starts(parameters)
        self._numbers = [
            places[:, :, start : start + parameter.size * parameter.element_size()].view(DTYPES[parameter.dtype])
            for parameter, start in zip(parameters, starts, strict=False)
        ]

    def give(self) -> None:
        """Let the others see this rank's part of the mean, of as many parameters as have a gradient."""
        place = self._place()
        for number, parameter in enumerate(self._parameters):
            self._given[*place, number] = parameter.grad is not None
            if parameter.grad is not None:
                np.divide(_numbers_of_gradient(parameter), self._ranks.count, out=self._numbers[number][place])

    def take(self) -> None:
        """Gradients become the mean over all ranks, its parts added up in their order: the same bits on each.

        A rank without a gradient where others have one counts as zeros.
        """
        update, _ = self._place()
        given = self._given[update].astype(bool)
        for number, parameter in enumerate(self._parameters):
            from_ranks = np.flatnonzero(given[:, number])
            if not from_ranks.size:
                continue
            if parameter.grad is None:
                parameter.grad = paddle.zeros_like(parameter)
            first, *others = (self._numbers[number][update, rank] for rank in from_ranks)
            mean = _numbers_of_gradient(parameter)
            if others:
                np.add(first, others.pop(0), out=mean)
            else:
                np.copyto(mean, first)
            for other in others:
                np.add(mean, other, out=mean)
        self._updates += 1

    def _place(self) -> tuple[int, int]:
        return self._updates % 2, self._ranks.rank


def _numbers_of_gradient(parameter: paddle.Tensor) -> np.ndarray:
    if not parameter.grad.is_contiguous():  # that of a weight which was used transposed
        parameter.grad = parameter.grad.contiguous()
    return numbers_of(parameter.grad)


def share_gradients(parameters: Sequence[paddle.Tensor], ranks: Ranks) -> SharedGradients | None:
    """A collective; ``None`` on every rank where they are not processes of one machine's processor that can do it."""
    parameters = list(parameters)
    one_machine = cpu.ranks_on_this_machine() == ranks.count and paddle.device.get_device() == "cpu"
    if ranks.count == 1 or not one_machine or any(one.dtype not in DTYPES for one in parameters):
        return None
    places = ranks.shared_memory((2, ranks.count, _starts(parameters)[-1]))
    return None if places is None else SharedGradients(parameters, ranks, places)


def _starts(parameters: Sequence[paddle.Tensor]) -> list[int]:
    """Bytes from the beginning of a rank's place to the numbers of each parameter, and to the end of all.

    Before them is a byte for each parameter: whether there is a gradient.
    """
    sizes = [len(parameters), *(one.size * one.element_size() for one in parameters)]
    return np.cumsum([-(-int(size) // ALIGNMENT) * ALIGNMENT for size in sizes]).tolist()
