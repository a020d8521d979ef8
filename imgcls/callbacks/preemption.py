"""SIGTERM, SIGINT and SIGHUP: finish the update, save, and leave with a message that says how to go on."""

import os
import signal

from imgcls.engine.callback import Callback
from imgcls.errors import Interrupted
from imgcls.machine.signals import handle_stopping, restore_handlers
from imgcls.run.launcher import in_rank, started_by_us


class Preemption(Callback):
    """All ranks leave after the same update, whichever received the signal.

    In a run of one process a second signal is not caught: it ends the process at once. Ranks leave
    that to the process that started them.

    Args:
        resume_hint: how to continue, for the message.
    """

    def __init__(self, resume_hint: str):
        super().__init__()
        self.resume_hint = resume_hint
        self.received = signal.SIGTERM
        self.previous: dict[signal.Signals, object] = {}

    def on_train_begin(self, logs=None):
        self.previous = handle_stopping(self._remember)
        for number in self.previous:
            signal.siginterrupt(number, False)  # Paddle takes an interrupted receive for a lost connection

    def on_train_end(self, logs=None):
        self._restore_handlers()

    def on_train_batch_end(self, step, logs=None):
        if self.trainer.stop_agreed():
            self.trainer.interrupt()

    def on_interrupt(self):
        self.trainer.ranks.barrier()  # the connection ends with the first rank that leaves
        self._restore_handlers()
        raise Interrupted(
            f"Stopped by {self.received.name} after {self.trainer.progress.step} updates; the state is saved. "
            f"Continue with: {self.resume_hint}",
            status=128 + self.received,
        )

    def _remember(self, number, frame) -> None:
        self.received = signal.Signals(number)
        if not in_rank():
            signal.signal(number, signal.SIG_DFL)
        elif started_by_us() and not self.trainer.signalled:
            os.kill(os.getppid(), signal.SIGTERM)  # it tells the others, who may be evaluating
        self.trainer.signalled = True

    def _restore_handlers(self) -> None:
        restore_handlers(self.previous)
        self.previous = {}
