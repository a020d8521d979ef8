"""``trainer.compile=onednn`` as a user meets it."""

import numpy as np
import pytest
from tiny_run import TINY, last, rows

import imgcls
from imgcls.errors import UserError
from imgcls.weights.safe_pickle import load_pickle

ONEDNN = (*TINY, "data.train_size=24", "trainer.compile=onednn")


def test_a_run_resumes_to_the_same_bits(tmp_path, monkeypatch):
    """And not under another setting, whose bits are others."""
    monkeypatch.chdir(tmp_path)
    whole = imgcls.train(*ONEDNN, run="whole").path
    imgcls.train(*ONEDNN, "trainer.max_steps=2", run="halved")
    with pytest.raises(UserError, match=r"trainer\.compile: was onednn, is False"):
        imgcls.train(*ONEDNN, "trainer.compile=false", "trainer.resume=auto", run="halved")
    halved = imgcls.train("trainer.resume=auto", "trainer.max_steps=null", run="halved").path
    assert rows(whole) == rows(halved)[1:]  # the first is of the epoch that max_steps cut short
    before, after = (load_pickle(last(run) / "network.pdparams") for run in (whole, halved))
    assert all(np.array_equal(value, after[name]) for name, value in before.items())
    assert "convolutions are computed by oneDNN" in (whole / "train.log").read_text()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("trainer.compile=mkldnn",), "trainer.compile=mkldnn: must be true, false or onednn."),
        (("trainer.processes=2",), "trainer.compile=onednn is for one process on the CPU"),
        (("model.data_format=NHWC",), "trainer.compile=onednn gives wrong gradients with model.data_format=NHWC."),
    ],
)
def test_mistakes(wanted, message, ask, tmp_path):
    result = ask("train", *ONEDNN, *wanted, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
