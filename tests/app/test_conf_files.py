"""``conf/`` as Hydra is shown it: what its own source of files would give, parsed once."""

import os
from pathlib import Path

import hydra
import pytest
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigSource
from omegaconf import OmegaConf

from imgcls.app.conf import conf_directory
from imgcls.app.conf_files import SCHEME, ConfFiles, parsed
from imgcls.app.model_group import register_sources

CONF = conf_directory()


def typed_leaves(value: object, place: str = "") -> dict[str, tuple[type, object]]:
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        leaves = (typed_leaves(one, f"{place}.{key}") for key, one in entries)
        return {place: (type(value), len(value))} | {key: leaf for found in leaves for key, leaf in found.items()}
    return {place: (type(value), value)}


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda file: str(file.relative_to(CONF)))
def test_a_file_is_read_as_omegaconf_reads_it(file):
    content, package = parsed(str(file), 0)
    assert typed_leaves(content) == typed_leaves(OmegaConf.to_container(OmegaConf.load(file)))
    assert package == ConfigSource._get_header_dict(file.read_text(encoding="utf-8"))["package"]


@pytest.mark.parametrize(
    "text", ["1e-3", "1e3", "-2E+5", ".5", "1.", "1_000", "1_0.5", ".inf", "0x1f", "2020-01-01", "12:30", "1e", "on"]
)
def test_numbers_and_what_looks_like_them(text, tmp_path):
    (tmp_path / "x.yaml").write_text(f"key: {text}\n")
    content, _ = parsed(str(tmp_path / "x.yaml"), 0)
    assert typed_leaves(content) == typed_leaves(OmegaConf.to_container(OmegaConf.load(tmp_path / "x.yaml")))


def test_a_second_composition_parses_nothing():
    register_sources()
    for first in (True, False):
        before = parsed.cache_info()
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            hydra.compose("train", ["optimizer=adamw"])
        after = parsed.cache_info()
        assert after.hits + after.misses > before.hits + before.misses, "it is asked"
        assert first or after.misses == before.misses


def test_a_file_that_has_changed_is_read_again(tmp_path):
    source = ConfFiles("main", f"{SCHEME}://{tmp_path}")
    (tmp_path / "group").mkdir()
    file = tmp_path / "group" / "choice.yaml"
    for number in (1, 2):
        file.write_text(f"# @package there\nkey: {number}\n")
        os.utime(file, ns=(number, number))
        found = source.load_config("group/choice")
        assert (found.config.key, found.header) == (number, {"package": "there"})
    assert source.list("", None) == source.list("", ObjectType.GROUP) == ["group"]
    assert source.list("group", ObjectType.CONFIG) == ["choice"]
    assert source.is_group("group")
    assert not source.is_config("group")
    with pytest.raises(ConfigLoadError, match="none"):
        source.load_config("group/none")
    assert not ConfFiles("main", f"{SCHEME}://{Path('/nowhere')}").available()
