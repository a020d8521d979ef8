"""Going on with a training run of the original library, from a checkpoint it wrote."""

import logging
from pathlib import Path

from imgcls.engine.callback import Callback
from imgcls.engine.trainer import Progress, Trainer
from imgcls.errors import UserError
from imgcls.models.layers import fluid_names
from imgcls.run.checkpoint import MANIFEST
from imgcls.weights.fluid.files import read_directory
from imgcls.weights.fluid.training import LEARNING_RATE, STEP_COUNTER, sort_training_state
from imgcls.weights.load import load_into

AVERAGING = "ema"
"""Name of the callback that goes on with the averages."""

log = logging.getLogger("imgcls")


def is_fluid_checkpoint(path: Path) -> bool:
    """Whether a directory is a training checkpoint of the original: no manifest of ours, but its step or rate."""
    return not (path / MANIFEST).exists() and any((path / name).is_file() for name in (STEP_COUNTER, LEARNING_RATE))


def restore_fluid(path: Path, trainer: Trainer, callbacks: list[Callback], steps_per_epoch: int) -> None:
    """Take over parameters, optimizer state, averages and the step counter.

    The original's epoch counter started at 0 again after a resume; here the run goes on in the
    epoch and at the batch that the step counter says.

    Args:
        steps_per_epoch: updates an epoch of this run, which turn the counter into epoch and batch.

    Raises:
        UserError: a variable is missing, damaged, or does not fit the network.
    """
    state = sort_training_state(read_directory(path))
    if not state.accumulators:
        raise UserError(f"{path} holds no optimizer state to continue with; load it with model.pretrained={path}.")
    report = load_into(trainer.network, state.parameters, "fluid", source=str(path))
    if report.reinitialised:
        raise UserError(f"{path} is a run on another number of classes and cannot be continued: {report.summary()}")
    # The scheduler's own state is asked for; where it stands follows from the steps when training begins.
    trainer._optimizer.set_state_dict({**trainer._optimizer.state_dict(), **state.accumulators})
    steps = state.steps or 0
    trainer.progress = Progress(steps // steps_per_epoch, steps % steps_per_epoch, steps)
    for callback in callbacks:
        if callback.name == AVERAGING and state.averages:
            keys = {name: key for key, name in fluid_names(trainer.network).items()}
            callback.load_tensors({keys[name]: value for name, value in state.averages.items()})
    if state.steps is None:
        log.warning("%s counts no steps (its learning rate was constant): the run starts at step 0.", path)
