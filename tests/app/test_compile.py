"""``trainer.compile=onednn`` as a user meets it."""

import numpy as np
import pytest
from paddles import ON_PADDLE_3
from tiny_run import TINY, last, rows

import imgcls
from imgcls.engine import fastest_way
from imgcls.errors import UserError
from imgcls.machine import cpu
from imgcls.weights.safe_pickle import load_pickle

ONEDNN = (*TINY, "data.train_size=24", "trainer.compile=onednn")


on_2 = pytest.mark.skipif(ON_PADDLE_3, reason="graphs of PaddlePaddle 3 train without oneDNN")


@on_2
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.full)])
def test_a_run_resumes_to_the_same_bits(processes, tmp_path, monkeypatch):
    """And not under another setting, whose bits are others."""
    monkeypatch.chdir(tmp_path)
    wanted = (*ONEDNN, f"trainer.processes={processes}")
    whole = imgcls.train(*wanted, run="whole").path
    imgcls.train(*wanted, "trainer.max_steps=2", run="halved")
    with pytest.raises(UserError, match=r"trainer\.compile: was onednn, is False"):
        imgcls.train(*wanted, "trainer.compile=false", "trainer.resume=auto", run="halved")
    halved = imgcls.train("trainer.resume=auto", "trainer.max_steps=null", run="halved").path
    assert rows(whole) == rows(halved)[1:]  # the first is of the epoch that max_steps cut short
    before, after = (load_pickle(last(run) / "network.pdparams") for run in (whole, halved))
    assert all(np.array_equal(value, after[name]) for name, value in before.items())
    assert "convolutions are computed by oneDNN" in (whole / "train.log").read_text()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("trainer.compile=mkldnn",), "trainer.compile=mkldnn: must be true, false, onednn or auto."),
        (("trainer.gpus=1",), "trainer.compile=onednn is for the CPU"),
        (
            ("trainer.processes=2", "trainer.sync_bn=true"),
            "trainer.compile=onednn: synchronised batch norms are compiled",
        ),
        (("model.data_format=NHWC",), "trainer.compile=onednn gives wrong gradients with model.data_format=NHWC."),
    ],
)
def test_mistakes(wanted, message, ask, tmp_path):
    result = ask("train", *ONEDNN, *wanted, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr


@on_2
def test_the_fastest_way_is_kept_by_a_run_that_goes_on(tmp_path, monkeypatch):
    """Whatever a machine that is another or has other work would choose then."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fastest_way, "_times", lambda *_: {"eager": 9.0, "onednn": 1.0, "onednn everywhere": 5.0})
    monkeypatch.setattr(cpu, "is_busy", lambda: False)
    auto = (*TINY, "data.train_size=24", "trainer.compile=auto")
    whole = imgcls.train(*auto, run="whole").path
    assert "trainer.compile=auto: onednn; forward and backward take eager 9, onednn 1" in said(whole)
    imgcls.train(*auto, "trainer.max_steps=2", run="halved")
    assert "(as remembered)" in said(tmp_path / "outputs" / "halved")
    for file in (tmp_path / "cache" / "training").glob("*.json"):
        times = '{"eager": 1, "onednn": 9, "onednn everywhere": 9}'
        file.write_text(f'{{"milliseconds": {times}, "was_busy": false}}')
    halved = imgcls.train("trainer.resume=auto", "trainer.max_steps=null", run="halved").path
    assert "trainer.compile=auto: onednn, as the run was begun" in said(halved)
    before, after = (load_pickle(last(run) / "network.pdparams") for run in (whole, halved))
    assert all(np.array_equal(value, after[name]) for name, value in before.items())


def said(run) -> str:
    return (run / "train.log").read_text()
