"""Evaluates after epochs, under the network's own weights and every other weight view."""

import logging
from collections.abc import Callable
from functools import partial

from imgcls.engine.callback import Callback
from imgcls.engine.meters import EvaluationMeter
from imgcls.engine.trainer import EvaluationInterrupted
from imgcls.machine.progress import WithBar

log = logging.getLogger("imgcls")


class Evaluation(Callback):
    """Puts ``loss``, ``top1``, ... into ``trainer.metrics``, and ``top1_ema``, ... for a view ``ema``.

    Comes after callbacks that may end the run in their ``on_epoch_end``.

    Args:
        loader: the validation data.
        every: epochs between two evaluations; the last epoch is always evaluated.
        topk: the k of the accuracies.
        meter: makes what adds up one evaluation; loss and accuracies when left out.
    """

    def __init__(
        self, loader, every: int, topk: tuple[int, ...] = (), meter: Callable[[], EvaluationMeter] | None = None
    ):
        super().__init__()
        self.loader = loader
        self.every = every
        self.meter = meter or partial(EvaluationMeter, topk)

    def on_train_epoch_end(self):
        trainer = self.trainer
        trainer.metrics = {}
        last = trainer.stop_training or trainer.progress.epoch >= trainer.epochs
        if last or trainer.progress.epoch % self.every == 0:
            self._evaluate()

    def on_epoch_end(self, epoch, logs=None):
        if self.trainer.stop_training and not self.trainer.metrics:  # another callback has just made it the last epoch
            self._evaluate()

    def _evaluate(self) -> None:
        trainer, loader = self.trainer, self.loader
        if trainer.ranks.first:
            loader = WithBar(loader, desc="validating", total=len(loader), unit=" batches")
        try:
            for view, weights in trainer.weight_views.items():
                meter = self.meter()
                with weights():
                    result = trainer.evaluate(loader, meter)
                suffix = f"_{view}" if view else ""
                trainer.metrics.update({name + suffix: value for name, value in result.items()})
        except EvaluationInterrupted:
            # What is saved is the moment before the evaluation, which the resumed run repeats.
            trainer.metrics = {}
            trainer.reopen_epoch()
            trainer.interrupt()
            return
        total = self.loader.batch_sampler.num_samples
        if meter.samples < total and trainer.ranks.first:
            log.warning("validated on %d of %d pictures: the others cannot be read", meter.samples, total)
