"""Networks of other channels than three: what a command of them is, and what it is refused."""

import re

import hydra
import pytest
from omegaconf import OmegaConf

from imgcls.app.channels import colour_problems, spread
from imgcls.app.model_group import register_sources
from imgcls.app.pixels import channels_of, with_pixels
from imgcls.app.program import conf_directory, typed
from imgcls.data.pictures import opencv
from imgcls.data.pictures.channels import Channels
from imgcls.errors import UserError

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def composed(program, *overrides):
    register_sources()
    with hydra.initialize_config_dir(str(conf_directory()), version_base="1.3"):
        return typed(hydra.compose(program, overrides=list(overrides)), program)


@pytest.mark.parametrize(
    ("count", "mean"),
    [(1, [sum(MEAN) / 3]), (2, [sum(MEAN) / 3] * 2), (4, [*MEAN, MEAN[0]]), (7, [*MEAN * 2, MEAN[0]])],
)
def test_means_for_as_many_channels_as_there_are(count, mean):
    for program in ("train", "preview"):
        config = composed(program, f"++model.args.in_channels={count}")
        assert list(config.model.mean) == list(config.transform.mean) == mean == spread(MEAN, count)
        assert len(config.transform.std) == count
        assert channels_of(config.transform) == Channels(count, 16)
        assert (
            channels_of(composed(program, f"++model.args.in_channels={count}", "transform.depth=8").transform).depth
            == 8
        )
    own = composed("train", "++model.args.in_channels=2", "transform.mean=[0.1,0.2]", "transform.std=[1,2]")
    assert (own.transform.mean, own.transform.std) == ([0.1, 0.2], [1, 2])
    again = composed("train", "++model.args.in_channels=2", "model.mean=[0.1,0.2]")
    assert again.transform.mean == [0.1, 0.2]
    assert again.transform.std == [sum(STD) / 3] * 2


def test_three_are_what_they_were():
    config = composed("train", "++model.args.in_channels=3")
    assert config.transform.mean == MEAN
    assert channels_of(config.transform).are_usual
    assert channels_of(composed("train", "transform.depth=8").transform).are_usual
    assert channels_of(composed("train", "transform.depth=16").transform) == Channels(3, 16)
    del config.transform.depth  # of a run that knew nothing of it
    assert channels_of(config.transform).are_usual


FOUR = "++model.args.in_channels=4"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([FOUR, "transform.color_jitter=[0.4,0,0,0]"], "model.args.in_channels=4: transform.color_jitter changes red"),
        (
            [FOUR, "transform=autoaugment"],
            "transform.autoaugment changes red, green and blue of 8 bits. Switch it off.",
        ),
        ([FOUR, "transform=randaugment"], "transform.randaugment.num_layers changes"),
        (["transform.depth=16", "transform.extra=[{_target_: a.B}]"], "transform.depth=16: transform.extra changes"),
        ([FOUR, "transform.resampling=opencv"], "model.args.in_channels=4: not with transform.resampling=opencv"),
        ([FOUR, "data.backend=dali"], "not with data.backend=dali; leave it out."),
        ([FOUR, "transform.mean=[0.5]"], "transform.mean=[0.5]: must be 4 numbers, one for each channel"),
        ([FOUR, "model.std=[1,1]"], "transform.std=[1.0, 1.0]: must be 4 numbers"),
        (["transform.mean=[0.5,0.5,0.5,0.5]"], "must be three numbers, for red, green and blue."),
        (["++model.args.in_channels=0"], "model.args.in_channels=0: must be a whole number, at least 1."),
        (["++model.args.in_channels=many"], "model.args.in_channels=many: must be a whole number, at least 1."),
        (["transform.depth=12"], "transform.depth=12: must be 8 or 16."),
    ],
)
def test_what_cannot_be(overrides, words):
    with pytest.raises(UserError, match=re.escape(words)):
        composed("train", *overrides)


def test_other_programs():
    with pytest.raises(UserError, match=r"imgcls\.benchmark measures networks for red, green and blue"):
        composed("benchmark", FOUR)
    with pytest.raises(UserError, match="must be 4 numbers"):
        composed("predict", FOUR, "transform.mean=[0.5]", "predict.input=photo.jpg")
    composed("predict", "transform.mean=[0.1,0.2,0.3,0.4]", "predict.input=a.png", "predict.source=outputs/four")
    assert composed("eval", FOUR).transform.mean == [*MEAN, MEAN[0]]


def test_pillow_resizes_them(monkeypatch):
    """Whatever the weights' own pixels are."""
    monkeypatch.setattr(opencv, "is_installed", lambda: True)
    config = composed("train", "model=resnet50", "model.pretrained=true", FOUR)
    assert with_pixels(config).transform.resampling == "pillow"
    assert with_pixels(composed("train", "model=resnet50", "model.pretrained=true")).transform.resampling == "opencv"


def test_a_record_that_contradicts_itself():
    wrong = {"mean": [0.5], "std": STD}, {"args": {"in_channels": 2}}
    assert len(list(colour_problems(*map(OmegaConf.create, wrong)))) == len(list(colour_problems(*wrong))) == 2
    assert list(colour_problems({"mean": MEAN, "std": STD}, {})) == []
