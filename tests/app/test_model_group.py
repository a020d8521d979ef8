"""The group ``model`` as Hydra asks for it: names from the catalogue, facts from its rows."""

import pytest
from hydra.core.object_type import ObjectType

import imgcls
from imgcls.app.model_group import SEARCH_PATH, ModelGroup


@pytest.fixture(scope="module")
def group():
    return ModelGroup("test", SEARCH_PATH)


def test_its_choices_are_the_networks(group):
    assert group.available()
    assert group.list("", ObjectType.GROUP) == ["model"]
    assert group.list("", ObjectType.CONFIG) == []
    assert group.list("model", ObjectType.CONFIG) == group.list("model", None) == imgcls.list_models()
    assert group.list("model", ObjectType.GROUP) == group.list("data", None) == []


@pytest.mark.parametrize(
    ("path", "there"),
    [("model/resnet50", True), ("model/resnet50.yaml", True), ("resnet50", False), ("data/resnet50", False)],
)
def test_what_is_a_configuration(path, there, group):
    assert group.is_config(path) is there
    assert not group.is_config(path.replace("resnet50", "resnet5"))


def test_what_is_a_group(group):
    assert [group.is_group(path) for path in ("", "model", "data", "model/resnet50")] == [True, True, False, False]


@pytest.mark.parametrize("name", ["squeezenet1_1", "inceptionv4"])
def test_a_choice_has_the_facts_of_the_catalogue(name, group):
    info = imgcls.model_info(name)
    loaded = group.load_config(f"model/{name}.yaml")
    assert loaded.header["package"] == "model"
    assert loaded.config.name == name
    assert loaded.config.input_size == info.input_size
    assert list(loaded.config.mean) == list(info.mean)
    assert loaded.config.pretrained == (True if name == "squeezenet1_1" else None), "bundled weights are the default"
