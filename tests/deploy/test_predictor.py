"""Predictors: the same answers from the network and from both engines, and damaged exports refused."""

import shutil

import numpy as np
import paddle
import pytest
import yaml
from paddle.inference import Config
from paddles import ON_PADDLE_3, PROGRAM

from imgcls.deploy.agreement import Agreement, bundled_photos, measure_agreement
from imgcls.deploy.contract import FILE
from imgcls.deploy.engines import UNWANTED_PASSES, _use_cpu
from imgcls.deploy.gpu import TensorRT
from imgcls.deploy.predictor import NetworkPredictor, open_export, softmax, top_classes
from imgcls.errors import UserError
from imgcls.machine.paddle_internals import supports_bfloat16


@pytest.fixture
def eager(squeezenet, contract_for):
    return NetworkPredictor(squeezenet, contract_for().preprocessing)


def test_all_engines_agree(exports, eager, images):
    logits = eager.logits(images)
    assert logits.shape == (4, 1000)
    assert logits.dtype == np.float32
    for engine in ("jit", "inference"):
        assert np.abs(open_export(exports["float"], engine).logits(images) - logits).max() < 1e-4
        for kind in ("float", "uint8"):
            probabilities = open_export(exports[kind], engine).probabilities(images)
            assert np.abs(probabilities - eager.probabilities(images)).max() < 1e-5
            assert (probabilities.argmax(axis=1) == logits.argmax(axis=1)).all()


@pytest.mark.parametrize("options", [{"onednn": False}, {"onednn": True}, {"threads": 1}])
def test_inference_options_change_speed_not_answers(options, exports, eager, images):
    predictor = open_export(exports["float"], "inference", **options)
    assert np.abs(predictor.logits(images) - eager.logits(images)).max() < 1e-4


@pytest.mark.skipif(ON_PADDLE_3, reason="graphs of PaddlePaddle 3 have passes of their own")
def test_passes_that_fail_or_slow_down_are_left_out():
    """Of names that Paddle has: under another one a pass would stay."""
    config = Config()
    config.enable_mkldnn()
    unwanted = {*UNWANTED_PASSES} - {"matmul_add_act_fuse_pass"}  # which PaddlePaddle 3 has
    assert unwanted <= {*config.pass_builder().all_passes()}
    _use_cpu(config, threads=1, onednn=True, bfloat16=False)
    assert not unwanted & {*config.pass_builder().all_passes()}


def test_features_are_what_the_head_sees(eager, squeezenet, images):
    features = eager.features(images)
    assert features.shape == (4, squeezenet.num_features)
    assert len(np.unique(features.round(3), axis=0)) == 4


def test_answers_an_export_does_not_have(exports, images):
    with pytest.raises(UserError, match="gives probabilities, not logits"):
        open_export(exports["uint8"]).logits(images)
    with pytest.raises(UserError, match="gives logits, not features"):
        open_export(exports["float"]).features(images)


def test_unknown_engine(exports):
    with pytest.raises(UserError, match=r"no engine 'jti'.*Did you mean 'jit'"):
        open_export(exports["float"], "jti")


def test_an_engine_for_another_kind_of_graph_or_with_other_options(exports, copy):
    content = yaml.safe_load((copy / FILE).read_text(encoding="utf-8"))
    for files, words in (
        (["inference.onnx"], "format onnx: its engine is onnxruntime or openvino"),
        (["inference.xml", "inference.bin"], "format openvino: its engine is openvino"),
    ):
        (copy / FILE).write_text(yaml.safe_dump(content | {"sha256": dict.fromkeys(files, "0" * 64)}))
        with pytest.raises(UserError, match=words):
            open_export(copy, "jit")
    with pytest.raises(UserError, match=r"engine jit takes no threads"):
        open_export(exports["float"], "jit", threads=1)
    with pytest.raises(UserError, match=r"engine auto takes no bfloat16"):
        open_export(exports["float"], "auto", bfloat16=True)


def test_bfloat16_is_near_and_says_how_near(exports, contract_for):
    if not supports_bfloat16():
        with pytest.raises(UserError, match=r"cannot compute in bfloat16 \(AVX512_BF16\)"):
            open_export(exports["float"], bfloat16=True)
        return
    exact = open_export(exports["float"])
    photos = bundled_photos(contract_for().preprocessing, every=4)
    assert measure_agreement(exact, exact, photos) == Agreement(9, 9, 0.0)
    found = measure_agreement(open_export(exports["float"], bfloat16=True), exact, photos)
    assert found.same >= 8
    assert 0 < found.largest_difference < 0.1
    assert str(found).startswith(f"{9 - found.same} of 9 bundled photos get another best class")


@pytest.mark.skipif(paddle.is_compiled_with_cuda(), reason="this build can use a GPU")
def test_what_a_cpu_build_cannot_do(exports, tmp_path):
    with pytest.raises(UserError, match=r"predict\.gpu_id=0: this machine has none"):
        open_export(exports["float"], gpu_id=0)
    tensorrt = TensorRT(precision="fp16", batch_size=8, image_shape=(3, 224, 224), cache=tmp_path / "cache")
    with pytest.raises(UserError, match=r"predict\.tensorrt=fp16 is for GPUs"):
        open_export(exports["float"], tensorrt=tensorrt)
    with pytest.raises(UserError, match="computed by oneDNN"):
        open_export(exports["float"], bfloat16=True, onednn=False)


@pytest.fixture
def copy(exports, tmp_path):
    return shutil.copytree(exports["float"], tmp_path / "copy")


def test_missing_cut_and_swapped_files(copy, exports):
    def message() -> str:
        with pytest.raises(UserError) as error:
            open_export(copy)
        return str(error.value)

    params = copy / "inference.pdiparams"
    whole = params.read_bytes()
    params.write_bytes(whole[:-1])
    assert "inference.pdiparams is damaged" in message()
    params.unlink()
    assert "inference.pdiparams is missing" in message()
    params.write_bytes(whole)
    shutil.copy(exports["uint8"] / PROGRAM, copy)
    assert f"{PROGRAM} is damaged or of another export" in message()
    (copy / FILE).unlink()
    assert "inference.yaml cannot be read" in message()


def test_a_contract_that_names_other_classes_than_the_graph_has(copy, images):
    content = yaml.safe_load((copy / FILE).read_text(encoding="utf-8"))
    (copy / FILE).write_text(yaml.safe_dump(content | {"class_names": content["class_names"][1:]}))
    with pytest.raises(UserError, match="names 999 classes, but the graph has 1000"):
        open_export(copy).probabilities(images)


def test_softmax_and_order_of_equals():
    logits = np.array([[1e4, 1e4, -1e4], [0, 2, 2]], np.float32)
    assert np.allclose(softmax(logits)[0], [0.5, 0.5, 0])
    assert top_classes(softmax(logits), 2).tolist() == [[0, 1], [1, 2]]
