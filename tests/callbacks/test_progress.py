"""What a person sees of a run: one bar at a time, lines that stand alone, loss and time left from the first update."""

import io
import json
import re
import sys

import nbclient
import nbformat
from warm_start import ROOT

sys.path.insert(0, str(ROOT / "tests" / "engine"))
from test_trainer import BATCH, make_loader, make_trainer

from imgcls.callbacks.ema import EMA
from imgcls.callbacks.evaluation import Evaluation
from imgcls.callbacks.progress import ProgressBar
from imgcls.callbacks.start_up import StartUp
from imgcls.machine.progress import WithBar, progress_bar
from imgcls.run.logs import log, start_log


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines_on(terminal: str) -> list[str]:
    """What stays on a terminal: of each line what was written after the last return to its beginning."""
    kept = []
    for line in re.sub(r"\x1b\[A", "", terminal).split("\n"):
        parts = [part for part in line.split("\r") if part.strip()]
        kept += parts[-1:]
    return kept


def run(monkeypatch, stream, every: int, epochs: int = 2, ema: bool = False) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    start_log()
    try:
        trainer = make_trainer(epochs=epochs)
        evaluation = Evaluation(make_loader(shuffle=False), every=1, topk=(1, 5))
        average = [EMA(0.9)] if ema else []
        trainer.fit(make_loader(), epochs, [*average, evaluation, StartUp(), ProgressBar(every)])
    finally:
        log.handlers.clear()
    return stream.getvalue()


def test_a_bar_knows_the_loss_from_the_first_update_and_lines_do_not_stick_to_it(monkeypatch):
    output = run(monkeypatch, Terminal(), every=100)
    shown = [part for part in output.split("\r") if part.startswith("epoch 1/2 |") and "1/3" in part]
    assert re.search(r"loss \d+\.\d{4} lr 0\.1 \d+ img/s wait \d+% ETA \d+:\d+", shown[0])
    assert "validating" in output
    for line in output.replace("\r", "\n").split("\n"):
        assert not ("|" in line and ("first update" in line or "train_loss" in line)), line
    assert [line.split(":")[0] for line in lines_on(output) if "train_loss" in line] == ["epoch 1/2", "epoch 2/2"]


def test_elsewhere_a_short_epoch_is_one_line_of_80_columns(monkeypatch):
    lines = run(monkeypatch, io.StringIO(), every=10, epochs=3).splitlines()
    assert re.fullmatch(r"epoch 1 step 1: loss [\d.]+, lr 0.1, \d+ img/s, data wait \d+%, ETA \d+:\d+", lines[1])
    assert [line.split(":")[0] for line in lines[2:]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all("train_loss" in line and "top1" in line and "img/s" in line for line in lines[2:])
    assert max(map(len, lines[2:])) <= 80


def test_what_a_line_has_no_room_for_is_left_out_last_first(monkeypatch):
    """All of it is in metrics.csv."""
    last = run(monkeypatch, io.StringIO(), every=10, ema=True).splitlines()[-1]
    assert len(last) <= 80
    assert all(name in last for name in ("train_loss", "top1 ", "top1_ema"))
    assert "loss_ema" not in last


def test_long_epochs_have_lines_in_between(monkeypatch):
    lines = run(monkeypatch, io.StringIO(), every=2, epochs=1).splitlines()
    assert [line.split(":")[0] for line in lines if "ETA" in line] == ["epoch 1 step 1", "epoch 1 step 2"]


def test_the_loss_is_fetched_no_oftener_than_it_is_asked_for(monkeypatch):
    """Each time waits for the device."""
    fetched = []
    trainer = make_trainer(epochs=4)
    bar = ProgressBar(every=5)
    monkeypatch.setattr(sys, "stderr", Terminal())

    class Watched(type(trainer)):
        @property
        def last_loss(self):
            if sys._getframe(1).f_code.co_filename.endswith("callbacks/progress.py"):
                fetched.append(self.progress.step)
            return self._last

        @last_loss.setter
        def last_loss(self, loss):
            self._last = loss

    trainer.__class__ = Watched
    trainer.__dict__.pop("last_loss")
    trainer.fit(make_loader(), 4, [bar])
    assert fetched == [1, 5, 10]


def test_without_a_standard_error_there_is_no_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert list(progress_bar(range(3), desc="x")) == [0, 1, 2]


def test_something_with_a_bar_keeps_its_attributes(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    loader = make_loader()
    shown = WithBar(loader, desc="validating", total=len(loader))
    assert shown.batch_sampler is loader.batch_sampler
    assert [len(batch[0]) for batch in shown] == [BATCH, BATCH, 6]
    assert "validating" in terminal.getvalue()


IN_A_NOTEBOOK = """
import sys

from imgcls.machine.progress import progress_bar

for step in progress_bar(range(3), desc="训练"):
    if step == 1:
        print("a line in between", file=sys.stderr)
print("after it")
"""


def test_a_notebook_shows_the_bar_as_its_own_widget(tmp_path, monkeypatch):
    """A real kernel, started as Jupyter would, its output read as Jupyter would."""
    kernels = tmp_path / "jupyter" / "kernels" / "python3"
    kernels.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernels / "kernel.json").write_text(
        json.dumps({"argv": command, "display_name": "Python", "language": "python"}), encoding="utf-8"
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(IN_A_NOTEBOOK)])
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    (cell,) = notebook.cells
    (bar,) = (output for output in cell.outputs if output.output_type == "display_data")
    assert "application/vnd.jupyter.widget-view+json" in bar.data
    lines = {output.name: output.text for output in cell.outputs if output.output_type == "stream"}
    assert lines == {"stderr": "a line in between\n", "stdout": "after it\n"}
