"""Gradients and statistics of the ranks of one machine, averaged through memory that all of them see.

Over the connections of gloo what two ranks on two cores have is packed, sent, added up, sent back and unpacked;
here each rank writes its own once and reads that of the others.
"""

from collections.abc import Sequence

import numpy as np
import paddle

from imgcls.engine.ranks import Ranks
from imgcls.machine import cpu
from imgcls.machine.paddle_internals import numbers_of

ALIGNMENT = 64
"""Bytes at which the numbers of a tensor begin: a line of a processor's cache."""

DTYPES = {paddle.float32: np.float32, paddle.float64: np.float64}


class SharedMeans:
    """Means over the ranks of the gradients of ``parameters``, and of ``statistics``, which every rank has.

    An update is ``give``, then a collective of all ranks, after which all have given, then ``take``. Two updates in
    turn have a place each, so that nobody writes where another still reads: who has come to the collective of
    the next update has read those of this one.

    Use ``share_means`` to make one.

    Args:
        places: bytes that all ranks see, ``[2, ranks, bytes of a rank]``, see ``_starts``.
    """

    def __init__(
        self,
        parameters: Sequence[paddle.Tensor],
        statistics: Sequence[paddle.Tensor],
        ranks: Ranks,
        places: np.ndarray,
    ):
        self._parameters, self._statistics, self._ranks, self._updates = parameters, statistics, ranks, 0
        self._given = places[:, :, : len(parameters)]
        parts = [_of_tensor(places, *one) for one in _starts(parameters, statistics)[0]]
        self._of_gradients, self._of_statistics = parts[: len(parameters)], parts[len(parameters) :]

    def give(self, *, statistics: bool) -> None:
        """Let the others see this rank's part of the means, of as many parameters as have a gradient.

        Args:
            statistics: give them, too; then every rank gives and takes them.
        """
        update, rank = self._updates % 2, self._ranks.rank
        given = self._given[update, rank]
        for number, (parameter, parts) in enumerate(zip(self._parameters, self._of_gradients, strict=True)):
            given[number] = parameter.grad is not None
            if given[number]:
                np.divide(_numbers_of_gradient(parameter), self._ranks.count, out=parts[update][rank])
        for statistic, parts in self._statistics_with_parts(statistics):
            np.divide(numbers_of(statistic), self._ranks.count, out=parts[update][rank])

    def take(self, *, statistics: bool) -> None:
        """What was given becomes the mean over all ranks, its parts added up in their order: the same bits on each.

        A rank without a gradient where others have one counts as zeros.
        """
        update = self._updates % 2
        given = self._given[update].astype(bool)
        everybody = given.all(0)
        for number, (parameter, parts) in enumerate(zip(self._parameters, self._of_gradients, strict=True)):
            givers = range(self._ranks.count) if everybody[number] else given[:, number].nonzero()[0]
            if not len(givers):
                continue
            if parameter.grad is None:
                parameter.grad = paddle.zeros_like(parameter)
            _add_up([parts[update][rank] for rank in givers], _numbers_of_gradient(parameter))
        for statistic, parts in self._statistics_with_parts(statistics):
            _add_up(parts[update], numbers_of(statistic))
        self._updates += 1

    def _statistics_with_parts(self, wanted: bool) -> zip:
        return zip(self._statistics, self._of_statistics, strict=True) if wanted else zip()


def _add_up(parts: Sequence[np.ndarray], mean: np.ndarray) -> None:
    first, *others = parts
    if others:
        np.add(first, others.pop(0), out=mean)
    else:
        np.copyto(mean, first)
    for other in others:
        np.add(mean, other, out=mean)


def _numbers_of_gradient(parameter: paddle.Tensor) -> np.ndarray:
    if not parameter.grad.is_contiguous():  # that of a weight which was used transposed
        parameter.grad = parameter.grad.contiguous()
    return numbers_of(parameter.grad)


def share_means(
    parameters: Sequence[paddle.Tensor], statistics: Sequence[paddle.Tensor], ranks: Ranks
) -> SharedMeans | None:
    """A collective; ``None`` on every rank where they are not processes of one machine's processor that can do it."""
    parameters, statistics = list(parameters), list(statistics)
    one_machine = cpu.ranks_on_this_machine() == ranks.count and paddle.device.get_device() == "cpu"
    if ranks.count == 1 or not one_machine or any(one.dtype not in DTYPES for one in (*parameters, *statistics)):
        return None
    places = ranks.shared_memory((2, ranks.count, _starts(parameters, statistics)[1]))
    return None if places is None else SharedMeans(parameters, statistics, ranks, places)


def _starts(
    parameters: Sequence[paddle.Tensor], statistics: Sequence[paddle.Tensor]
) -> tuple[list[tuple[int, int, type]], int]:
    """Of each tensor the first and last byte of a rank's place and the type of its numbers; how many bytes all take.

    Before them is a byte for each parameter: whether there is a gradient.
    """
    places, end = [], _aligned(len(parameters))
    for tensor in (*parameters, *statistics):
        size = int(tensor.size) * tensor.element_size()
        places.append((end, end + size, DTYPES[tensor.dtype]))
        end += _aligned(size)
    return places, end


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _of_tensor(places: np.ndarray, first: int, last: int, dtype: type) -> list[list[np.ndarray]]:
    """Its numbers by update in turn and rank, flat."""
    return [[rank[first:last].view(dtype) for rank in update] for update in places]
