"""The random numbers of a callback in an update."""

import numpy as np

from imgcls.engine.callback import Callback


def generator_of(callback: Callback) -> np.random.Generator:
    """A function of the run's seed, the number of updates done and the callback's name; the same on every rank."""
    trainer = callback.trainer
    return np.random.default_rng([trainer.seed, trainer.progress.step, *callback.name.encode()])
