"""A signal to a run of one process, sent for real: saved, left with a message, continued to the same bits."""

import os
import signal

import pytest
from test_trainer import BATCH, SAMPLES, all_callbacks, assert_same_bits, make_loader, make_trainer, weights_of

from imgcls.callbacks.checkpoint import restore
from imgcls.callbacks.preemption import Preemption
from imgcls.engine.callback import Callback
from imgcls.errors import Interrupted
from imgcls.machine.signals import STOPPING
from imgcls.run.checkpoint import newest_whole
from imgcls.weights.safe_pickle import load_pickle

EPOCHS = 2


class SignalInTraining(Callback):
    """Sends a signal to this process before an update."""

    def __init__(self, number: int, step: int):
        super().__init__()
        self.number, self.step = number, step

    def on_batch(self, batch):
        if self.trainer.progress.step == self.step:
            os.kill(os.getpid(), self.number)
        return batch


def signalling_loader(number: int):
    """Validation data whose third batch sends a signal, the first time it is read."""
    loader = make_loader(shuffle=False)
    real, sent = loader.dataset, []

    class Signalling:
        image_shape, limit = real.image_shape, None

        def __getitem__(self, key):
            if key[1] == 2 * BATCH and not sent:
                sent.append(True)
                os.kill(os.getpid(), number)
            return real[key]

        def __len__(self):
            return SAMPLES

    loader.dataset = Signalling()
    return loader


def run(directory, validation, *extra, resume: bool = False):
    """Train; ``every_steps=0``, so that what is saved is saved by the interruption or at an epoch's end."""
    directory.mkdir(exist_ok=True)
    trainer = make_trainer(epochs=EPOCHS)
    callbacks = [*extra, *all_callbacks(directory, validation), Preemption("the same command")]
    callbacks[-2].every_steps = 0
    if resume:
        restore(newest_whole(directory / "checkpoints", pytest.fail), trainer, callbacks)
    trainer.fit(make_loader(), EPOCHS, callbacks)
    return trainer, callbacks


def assert_continues_to_the_same_bits(tmp_path):
    handlers = [signal.getsignal(number) for number in STOPPING]
    resumed, with_callbacks = run(tmp_path / "parts", make_loader(shuffle=False), resume=True)
    whole, of_whole = run(tmp_path / "whole", make_loader(shuffle=False))
    assert handlers == [signal.getsignal(number) for number in STOPPING]
    assert_same_bits(weights_of(resumed), weights_of(whole))
    timing = ("images_per_second", "data_wait")
    rows = [
        [{key: value for key, value in row.items() if key not in timing} for row in callbacks[-3].rows]
        for callbacks in (with_callbacks, of_whole)
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == EPOCHS


@pytest.mark.parametrize("number", STOPPING)
@pytest.mark.parametrize("step", [1, 2])
def test_a_signal_in_training(tmp_path, number, step):
    """The update under way is finished; step 2 is the last of its epoch."""
    with pytest.raises(Interrupted, match=f"after {step + 1} updates; the state is saved") as stopped:
        run(tmp_path / "parts", make_loader(shuffle=False), SignalInTraining(number, step))
    assert stopped.value.status == 128 + number
    saved = newest_whole(tmp_path / "parts" / "checkpoints", pytest.fail)
    assert saved.name == f"epoch-0000-step-{step + 1:08d}"
    assert_continues_to_the_same_bits(tmp_path)


def test_what_nohup_ignores_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        trainer, _ = run(tmp_path / "whole", make_loader(shuffle=False), SignalInTraining(signal.SIGHUP, 1))
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert trainer.progress.epoch == EPOCHS


def test_a_signal_in_evaluation(tmp_path):
    """Under the averaged weights or not: what is saved are the network's own, and the epoch is evaluated again."""
    with pytest.raises(Interrupted, match="after 3 updates"):
        run(tmp_path / "parts", signalling_loader(signal.SIGTERM))
    saved = newest_whole(tmp_path / "parts" / "checkpoints", pytest.fail)
    assert saved.name == "epoch-0000-step-00000003"
    assert_continues_to_the_same_bits(tmp_path)


def test_nothing_is_lost_when_nothing_was_left_to_do(tmp_path):
    """A resumed run may save before its first update, until which Paddle keeps the optimizer's state aside."""
    for step in (2, 3):
        with pytest.raises(Interrupted):
            run(tmp_path / "parts", make_loader(shuffle=False), SignalInTraining(signal.SIGTERM, step), resume=step > 2)
    checkpoints = tmp_path / "parts" / "checkpoints"
    before, after = (
        load_pickle(checkpoints / f"epoch-000{epoch}-step-00000003" / "optimizer.pdopt") for epoch in (0, 1)
    )
    assert "conv.weight_velocity_0" in before
    assert before.pop("LR_Scheduler") == after.pop("LR_Scheduler")
    assert_same_bits(before, after)
    assert_continues_to_the_same_bits(tmp_path)
