"""YAML as this library writes it comes back as it was."""

import time

import pytest
from omegaconf import OmegaConf

from imgcls.errors import UserError
from imgcls.machine.reading import read_yaml


@pytest.mark.parametrize("name", ["我的照片", "a\udcce\udcd2", r"a\uDCFE", "a\\\udcfe'\"", "\x1b[31m", "a\nb"])
def test_names_of_any_bytes_are_read_back(name, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(OmegaConf.to_yaml({"data": {"root": name}, name: [name]}), encoding="utf-8")
    assert read_yaml(file) == {"data": {"root": name}, name: [name]}


def test_half_a_character_does_not_lead_a_large_file_to_a_slow_reader(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text('a: "\\uDCFE"\n' + "".join(f"key{number}: 1\n" for number in range(100_000)), encoding="utf-8")
    before = time.process_time()
    with pytest.raises(UserError, match="line 1: this is not YAML as imgcls writes it"):
        read_yaml(file)
    assert time.process_time() - before < 5
