"""NaN from the data, in the loss and in the weights: the run stops with a message, and what is saved is good."""

import textwrap

import numpy as np
import pytest
from tiny_run import TINY, finish, last, status

from imgcls.run.checkpoint import list_checkpoints, verify
from imgcls.weights.safe_pickle import load_pickle

POISON = """
from dataclasses import replace
from imgcls.engine.callback import Callback

class Poison(Callback):
    def __init__(self, where):
        super().__init__()
        self.where = where

    def on_batch(self, batch):
        if self.trainer.progress.step != 8:
            return batch
        if self.where == "weights":
            bias = self.trainer.network.parameters()[-1]
            bias.set_value(bias * float("nan"))
        if self.where == "images":
            return replace(batch, images=batch.images * float("nan"))
        if self.where == "loss":
            return replace(batch, partner_labels=batch.labels, lam=float("nan"))
        return batch
"""


@pytest.mark.parametrize("where", ["images", "loss", "weights"])
def test_a_nan_ends_the_run_before_it_is_saved(start, tmp_path, where):
    (tmp_path / "poison.py").write_text(textwrap.dedent(POISON))
    extra = f"callbacks.extra=[{{_target_: poison.Poison, where: {where}}}]"
    every = (*TINY, "trainer.save_every_steps=1", "trainer.log_every=4")
    output = finish(start(*every, extra), 2)
    assert "not finite (NaN or infinity)" in output
    assert "Lower optimizer.lr" in output
    assert "Traceback" not in output
    run = tmp_path / "outputs" / "tiny"
    assert status(run) == "failed"
    assert last(run).name == "epoch-0001-step-00000008"
    for path in list_checkpoints(run / "checkpoints"):
        verify(path)
        for name in ("network.pdparams", "optimizer.pdopt"):
            values = [value for value in load_pickle(path / name).values() if isinstance(value, np.ndarray)]
            assert all(np.isfinite(value).all() for value in values)
    assert "after 8 updates" in finish(start(*every, "callbacks.extra=[]", "trainer.resume=auto"))
    assert status(run) == "finished"
