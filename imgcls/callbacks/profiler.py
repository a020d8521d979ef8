"""Where the time of an update goes: a trace and a table of some updates, and then the run ends."""

import contextlib
import io
import logging
from pathlib import Path

from paddle import profiler

from imgcls.engine.callback import Callback

log = logging.getLogger("imgcls")


class Profiler(Callback):
    """Writes ``trace.json``, for chrome://tracing and Perfetto, and ``summary.txt``, times in ms.

    Args:
        directory: where the two files go; ``None`` on a rank that only ends when the others do.
        start: updates of this process before the first that is recorded.
        steps: updates that are recorded.
    """

    def __init__(self, directory: Path | None, start: int, steps: int):
        super().__init__()
        self.directory = directory
        self.start = start
        self.steps = steps
        self.done = 0
        self.recorder: profiler.Profiler | None = None

    def on_train_batch_begin(self, step, logs=None):
        if self.done == self.start and self.directory:
            # Paddle's own choice for a finished trace is a directory in the working directory.
            self.recorder = profiler.Profiler(on_trace_ready=lambda _: None)
            self.recorder.start()

    def on_train_batch_end(self, step, logs=None):
        self.done += 1
        if self.done == self.start + self.steps:
            self.trainer.stop_training = True
            self._write()
        elif self.recorder:
            self.recorder.step()

    def on_train_end(self, logs=None):
        self._write()  # where the run was over before
        if self.done <= self.start:
            log.warning(
                "Nothing was profiled: the run had %d updates, and trainer.profiler.start=%d.", self.done, self.start
            )

    def on_interrupt(self):
        self._write()

    def _write(self) -> None:
        if self.recorder is None:
            return
        recorder, self.recorder = self.recorder, None
        recorder.stop()
        self.directory.mkdir(exist_ok=True)
        recorder.export(str(self.directory / "trace.json"), format="json")
        with contextlib.redirect_stdout(io.StringIO()) as table:
            recorder.summary(time_unit="ms")
        (self.directory / "summary.txt").write_text(table.getvalue(), encoding="utf-8")
        log.info("profile of %d updates: %s", self.done - self.start, self.directory)
