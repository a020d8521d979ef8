"""``experiment=finetune``: the last layer, then everything but the batch norms, judged by averaged weights."""

import numpy as np
import paddle
import pytest

import imgcls

SMALL = ("model=mobilenetv1_x0_25", "transform.size=64", "trainer.epochs=4", "probe.epochs=2", "trainer.num_workers=0")


@pytest.mark.full
def test_batch_norms_stay_and_averages_are_used(run_program, tmp_path):
    network = imgcls.create_model("mobilenetv1_x0_25")
    paddle.save(network.state_dict(), str(tmp_path / "weights.pdparams"))
    program = ("experiment=finetune", *SMALL, "model.pretrained=weights.pdparams")
    run_program("train", *program, "run.name=whole", cwd=tmp_path)
    last = tmp_path / "outputs" / "whole" / "checkpoints" / "last"
    trained = paddle.load(str(last / "network.pdparams"))
    for key, tensor in network.state_dict().items():
        is_of_norm = ".bn." in key or key.endswith(("_mean", "_variance"))
        if not key.startswith("head"):
            assert np.array_equal(trained[key].numpy(), tensor.numpy()) == is_of_norm, key
    evaluated = run_program("eval", "eval.source=outputs/whole", "run.name=evaluated", cwd=tmp_path)
    assert "the averaged weights, by which the run was judged" in evaluated.stdout + evaluated.stderr
    # stopped in the part that trains everything, and gone on with: the same bits
    run_program("train", *program, "trainer.max_steps=15", "run.name=parts", cwd=tmp_path)
    again = ("trainer.resume=auto", "trainer.max_steps=null", "run.name=parts")
    run_program("train", *program, *again, cwd=tmp_path)
    files = [tmp_path / "outputs" / name / "checkpoints" / "last" / "network.pdparams" for name in ("whole", "parts")]
    one, other = (paddle.load(str(file)) for file in files)
    assert all(np.array_equal(one[key].numpy(), other[key].numpy()) for key in one)
