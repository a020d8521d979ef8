"""From the configuration to augmentations: off by default, in the right order, one key to stop mixing."""

import hydra
import pytest

from imgcls.app.callbacks import optional_callbacks
from imgcls.app.data import training_transform
from imgcls.app.model_group import register_sources
from imgcls.app.program import conf_directory, typed
from imgcls.app.source import preprocessing
from imgcls.errors import UserError

EVERYTHING = [f"callbacks.{name}.enabled=true" for name in ("mixup", "cutmix", "random_erasing")]


def composed(*overrides: str):
    register_sources()
    with hydra.initialize_config_dir(str(conf_directory()), version_base="1.3"):
        return typed(hydra.compose("train", overrides=list(overrides)), "train")


def kinds(things) -> list[str]:
    return [type(thing).__name__ for thing in things]


def test_off_by_default():
    config = composed()
    assert optional_callbacks(config.callbacks) == []
    transform = training_transform(config.transform)
    assert kinds(transform.transforms) == ["RandomCropResize", "HorizontalFlip"]


def test_erasing_comes_before_mixing_and_cutmix_before_mixup():
    assert kinds(optional_callbacks(composed(*EVERYTHING).callbacks)) == ["RandomErasing", "CutMix", "Mixup"]


def test_one_key_stops_both():
    config = composed(*EVERYTHING, "callbacks.mixup.stop_epoch=7")
    assert [callback.stop_epoch for callback in optional_callbacks(config.callbacks)[1:]] == [7, 7]
    config = composed(*EVERYTHING, "callbacks.mixup.stop_epoch=7", "callbacks.cutmix.stop_epoch=3")
    assert [callback.stop_epoch for callback in optional_callbacks(config.callbacks)[1:]] == [3, 7]


@pytest.mark.parametrize(("choice", "kind"), [("autoaugment", "AutoAugment"), ("randaugment", "RandAugment")])
def test_choices_of_the_transform_group(choice, kind):
    config = composed(f"transform={choice}")
    assert kinds(training_transform(config.transform).transforms)[-1] == kind
    assert kind not in kinds(preprocessing(config.transform, config.model).transform().transforms)


MISTAKES = {
    "transform.autoaugment=imagnet": "transform.autoaugment=imagnet: must be false or imagenet",
    "transform.autoaugment=imagenet transform.randaugment.num_layers=2": "are alternatives",
    "transform.randaugment.magnitude=11": "transform.randaugment.magnitude=11.0: must be between 0 and 10",
    "callbacks.cutmix.switch_prob=2": "callbacks.cutmix.switch_prob=2.0: must be between 0 and 1",
    "callbacks.mixup.stop_epoch=0": "callbacks.mixup.stop_epoch=0: must be at least 1",
    "callbacks.random_erasing.probability=-1": "callbacks.random_erasing.probability=-1.0: must be between",
    "callbacks.random_erasing.area=[0.1,1.5]": "callbacks.random_erasing.area=[0.1, 1.5]: must be shares",
    "callbacks.random_erasing.area=[0.1]": "callbacks.random_erasing.area=[0.1]: must be two positive numbers",
    "callbacks.random_erasing.ratio=[3,1]": "callbacks.random_erasing.ratio=[3.0, 1.0]: must be two positive numbers",
    "callbacks.random_erasing.fill=black": "callbacks.random_erasing.fill=black: must be one of noise, mean",
}


@pytest.mark.parametrize("overrides", MISTAKES)
def test_mistakes_are_named(overrides):
    with pytest.raises(UserError) as error:
        composed(*overrides.split())
    assert MISTAKES[overrides] in str(error.value)
