"""Evaluates at the end of epochs, under the network's own weights and every other weight view."""

import logging

from imgcls.engine.callback import Callback
from imgcls.engine.trainer import EvaluationInterrupted, EvaluationMeter

log = logging.getLogger("imgcls")


class Evaluation(Callback):
    """Puts ``loss``, ``top1``, ... into ``trainer.metrics``, and ``top1_ema``, ... for a view ``ema``.

    Args:
        loader: the validation data.
        every: epochs between two evaluations; the last epoch is always evaluated.
        topk: the k of the accuracies.
    """

    def __init__(self, loader, every: int, topk: tuple[int, ...]):
        super().__init__()
        self.loader = loader
        self.every = every
        self.topk = topk

    def on_epoch_end(self, epoch, logs=None):
        trainer = self.trainer
        last = trainer.stop_training or trainer.progress.epoch >= trainer.epochs
        trainer.metrics = {}
        if not last and trainer.progress.epoch % self.every:
            return
        try:
            for view, weights in trainer.weight_views.items():
                meter = EvaluationMeter(self.topk)
                with weights():
                    result = trainer.evaluate(self.loader, meter)
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
