"""What a training checkpoint of the original holds beside the parameters: accumulators, averages, counters."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from imgcls.errors import UserError, listed

# Momentum's, then RMSProp's, as <parameter>_<suffix>; Paddle 2.x names them the same way.
ACCUMULATORS = ("_velocity_0", "_momentum_0", "_mean_square_0", "_mean_grad_0")
AVERAGE = "_ema_0"
STEP_COUNTER = "@LR_DECAY_COUNTER@"
LEARNING_RATE = "learning_rate"
EMA_DECAY = "scheduled_ema_decay_rate"


@dataclass
class TrainingState:
    """The variables of a fluid checkpoint, sorted by what they are.

    Attributes:
        parameters: weights and batch-norm statistics by fluid name.
        accumulators: optimizer state by full name (``<parameter>_velocity_0``), which is what
            ``Optimizer.set_state_dict`` of Paddle 2.x takes, since our parameters carry fluid names.
        averages: moving averages by the name of the parameter they belong to.
        steps: optimizer steps done; ``None`` where the schedule counted none.
        learning_rate: that of the last step.
        ema_decay: the decay reached by the ``thres_steps`` warm-up.
    """

    parameters: dict[str, np.ndarray] = field(default_factory=dict)
    accumulators: dict[str, np.ndarray] = field(default_factory=dict)
    averages: dict[str, np.ndarray] = field(default_factory=dict)
    steps: int | None = None
    learning_rate: float | None = None
    ema_decay: float | None = None


def sort_training_state(arrays: Mapping[str, np.ndarray]) -> TrainingState:
    """Tell parameters from training state; a folder of pretrained weights gives parameters only."""
    state = TrainingState()
    for name, array in arrays.items():
        owner = owner_of(name, arrays)
        if name == STEP_COUNTER:
            state.steps = int(_number(name, array)) + 1  # the counter is the index of the last step
        elif name == LEARNING_RATE:
            state.learning_rate = _number(name, array)
        elif name == EMA_DECAY:
            state.ema_decay = _number(name, array)
        elif owner is None:
            state.parameters[name] = array
        elif name.endswith(AVERAGE):
            state.averages[owner] = array
        else:
            state.accumulators[name] = array
    return state


def select_averaged(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The model an EMA checkpoint stands for: averaged parameters with averaged batch-norm statistics.

    This is what validation under the average used during training. The original's ``ema_clean.py``
    copied both the plain and the averaged statistics to the same names, so that its outcome
    depended on the order in which the file system listed them, and copied the decay rate along.
    Here the averages win, always, and nothing but parameters remains.

    Raises:
        UserError: there are no averages, or a parameter has none.
    """
    state = sort_training_state(arrays)
    if not state.averages:
        raise UserError(f"The checkpoint holds no averages (variables named <parameter>{AVERAGE}).")
    if without := sorted(state.parameters.keys() - state.averages.keys()):
        raise UserError(f"The checkpoint holds averages, but none of: {listed(without)}.")
    return {name: state.averages[name] for name in state.parameters}


def is_training_state(name: str, names: Mapping[str, object]) -> bool:
    """Whether the variable ``name`` of a checkpoint with ``names`` is no parameter."""
    return name in (STEP_COUNTER, LEARNING_RATE, EMA_DECAY) or owner_of(name, names) is not None


def owner_of(name: str, names: Mapping[str, object]) -> str | None:
    """The parameter an accumulator or average belongs to; ``None`` for a parameter itself."""
    for suffix in (*ACCUMULATORS, AVERAGE):
        if name.endswith(suffix) and name.removesuffix(suffix) in names:
            return name.removesuffix(suffix)
    return None


def _number(name: str, array: np.ndarray) -> float:
    if array.size != 1:
        raise UserError(f"The variable {name} of a training checkpoint is one number, not shape {list(array.shape)}.")
    return array.item()
