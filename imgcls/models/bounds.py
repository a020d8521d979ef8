"""A network that a stranger's record describes is not built larger than its weights can be."""

import contextlib
import math
from collections.abc import Iterator

from paddle import nn

from imgcls.errors import UserError
from imgcls.machine.limits import TENSORS


@contextlib.contextmanager
def at_most(elements: int, whose: str) -> Iterator[None]:
    """Inside, layers are made whose parameters have so many elements together, and ``TENSORS`` of them.

    Args:
        whose: of what this is the bound, for the message.

    Raises:
        UserError: before more is allocated.
    """
    create, begin = nn.Layer.create_parameter, nn.Layer.__init__
    taken = layers = 0

    def create_parameter(layer, shape, *arguments, **options):
        nonlocal taken
        taken += math.prod(int(length) for length in shape)
        if taken > elements:
            raise UserError(f"the network has more than the {elements:,} parameters that {whose} can hold")
        return create(layer, shape, *arguments, **options)

    def __init__(layer, *arguments, **options):
        nonlocal layers
        layers += 1
        if layers > TENSORS:
            raise UserError(f"the network has more than {TENSORS:,} layers")
        begin(layer, *arguments, **options)

    nn.Layer.create_parameter, nn.Layer.__init__ = create_parameter, __init__
    try:
        yield
    finally:
        nn.Layer.create_parameter, nn.Layer.__init__ = create, begin
