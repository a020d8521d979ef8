"""Whose pixels: those of the weights, unless the user says otherwise; kept, followed, and said."""

import logging
import tarfile

import pytest
from locations import REFERENCE
from omegaconf import OmegaConf

import imgcls
from imgcls.app import pixels
from imgcls.app.composition import composed
from imgcls.app.pixels import resampling_of, tell, with_pixels
from imgcls.deploy.contract import read_contract

FLUID = REFERENCE / "fluid_checkpoint"
PUBLISHED = FLUID / "MobileNetV1_x0_25_pretrained"
RESNET, SQUEEZENET = imgcls.model_info("resnet50"), imgcls.model_info("squeezenet1_1")


def composition(*overrides):
    with composed("train", ("run.name=x", *overrides)) as (config, _):
        return config


def test_where_the_weights_come_from(tmp_path):
    assert resampling_of(None, RESNET) == "pillow"
    assert resampling_of(True, RESNET) == "opencv"
    assert resampling_of(True, SQUEEZENET) == "pillow"  # the bundled ones are not the original's
    assert resampling_of(PUBLISHED, RESNET) == "opencv"
    with tarfile.open(tmp_path / "ResNet50_pretrained.tar", "w") as tar:
        tar.add(PUBLISHED, "ResNet50")
    assert resampling_of(tmp_path / "ResNet50_pretrained.tar", RESNET) == "opencv"
    (tmp_path / "weights.pdparams").write_bytes(b"\x80\x02}.")
    assert resampling_of(tmp_path / "weights.pdparams", RESNET) == "pillow"


@pytest.mark.parametrize(("recorded", "expected"), [("opencv", "opencv"), ("pillow", "pillow"), (None, "pillow")])
def test_weights_of_a_run_keep_those_of_the_run(recorded, expected, tmp_path):
    checkpoint = tmp_path / "checkpoints" / "best"
    checkpoint.mkdir(parents=True)
    (checkpoint / "network.pdparams").write_bytes(b"")
    section = {"size": 32} if recorded is None else {"size": 32, "resampling": recorded}
    (checkpoint / "config.yaml").write_text(OmegaConf.to_yaml({"transform": section}))
    assert resampling_of(tmp_path, RESNET) == expected


@pytest.mark.parametrize(
    ("overrides", "has_opencv", "expected"),
    [
        ((), True, "pillow"),
        (("model.pretrained=true",), True, "opencv"),
        (("model.pretrained=true",), False, "pillow"),
        (("model.pretrained=true", "transform.resampling=pillow"), True, "pillow"),
        (("model.pretrained=true", "data.backend=dali"), True, "pillow"),
        (("transform.resampling=opencv",), True, "opencv"),
    ],
)
def test_what_is_chosen(overrides, has_opencv, expected, monkeypatch):
    config = composition("model=resnet50", *overrides)
    monkeypatch.setattr(pixels.opencv, "is_installed", lambda: has_opencv)
    assert with_pixels(config).transform.resampling == expected


def test_a_training_checkpoint_of_the_original_goes_on_with_its_pixels():
    config = composition("model=shufflenetv2_x0_25")
    assert with_pixels(config, FLUID / "ShuffleNetV2_x0_25_train").transform.resampling == "opencv"


def test_it_is_said_and_what_it_means(caplog, monkeypatch):
    caplog.set_level(logging.INFO, "imgcls")
    monkeypatch.setattr(pixels.opencv, "is_installed", lambda: False)
    tell("opencv", "opencv")
    tell("pillow", "opencv")
    said = [record.getMessage() for record in caplog.records if record.name == "imgcls"]
    assert said[0] == "pictures are resized by OpenCV (transform.resampling=opencv)"
    assert "resized by Pillow (transform.resampling=pillow), for these weights they were by OpenCV" in said[1]
    assert said[1].endswith('own: pip install "imgcls[opencv]", then transform.resampling=opencv.')


def test_refused_together_and_missing(ask, monkeypatch, tmp_path):
    refused = ask("train", "transform.resampling=opencv", "data.backend=dali", cwd=tmp_path)
    assert "transform.resampling=opencv: not with data.backend=dali" in refused.stderr
    monkeypatch.setattr("imgcls.app.combinations.find_spec", lambda name: None)
    refused = ask("train", "transform.resampling=opencv", cwd=tmp_path)
    assert 'pip install "imgcls[opencv]"' in refused.stderr


def test_a_run_from_before_the_choice_goes_on_with_pillow(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = OmegaConf.to_container(composition("model=resnet50", "model.pretrained=true"))
    del config["transform"]["resampling"]
    checkpoint = tmp_path / "outputs" / "x" / "checkpoints" / "epoch-0001-step-00000005"
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.yaml").write_text(OmegaConf.to_yaml(config))
    now = composition("model=resnet50", "model.pretrained=true", f"trainer.resume={checkpoint}")
    assert now.transform.resampling == "pillow"
    assert composition(f"trainer.resume={checkpoint}", "transform=randaugment").transform.resampling == "pillow"


def test_it_travels_from_weights_to_an_export(run_program, tmp_path):
    pytest.importorskip("cv2")
    first = ("model=mobilenetv1_x0_25", f"model.pretrained={PUBLISHED}", "debug=fast", "run.name=first")
    said = run_program("train", *first, cwd=tmp_path).stderr
    assert "pictures are resized by OpenCV (transform.resampling=opencv)" in said
    run = tmp_path / "outputs" / "first"
    assert imgcls.preprocessing(run).resampling == "opencv"
    words = (f"export.source={run}", f"export.dir={tmp_path / 'served'}", "export.check=false")
    assert "resized by OpenCV" in run_program("export", *words, cwd=tmp_path).stderr
    seen = read_contract(tmp_path / "served").preprocessing
    assert (seen.resampling, seen.jpeg_reductions) == ("opencv", ())
