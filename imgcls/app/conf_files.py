"""``conf/`` for Hydra: each file is parsed once in a process, and by libyaml.

A program composes its configuration twice, before and after its directory is made. Hydra's own source of files parses
every one of them each time, with a parser in Python, which took most of that time.
"""

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from imgcls.app.conf import conf_directory

SCHEME = "imgcls"
PACKAGE = re.compile(r"#\s*@package\s+(\S+)")
"""In the first line of a file: where in the configuration its keys belong."""


class ConfFiles(ConfigSource):
    """Answers for the files below ``path``."""

    @staticmethod
    def scheme() -> str:
        return SCHEME

    def available(self) -> bool:
        return os.path.isdir(self.path)

    def is_group(self, config_path: str) -> bool:
        return os.path.isdir(os.path.join(self.path, config_path))

    def is_config(self, config_path: str) -> bool:
        return os.path.isfile(self._file(config_path))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        directory = Path(self.path, config_path)
        groups = [entry.name for entry in directory.iterdir() if entry.is_dir()]
        configs = [entry.stem for entry in directory.glob("*.yaml")]
        return sorted({ObjectType.GROUP: groups, ObjectType.CONFIG: configs}.get(results_filter, {*groups, *configs}))

    def load_config(self, config_path: str) -> ConfigResult:
        file = self._file(config_path)
        if not os.path.isfile(file):
            raise ConfigLoadError(f"Config not found : {file}")
        content, package = parsed(file, os.stat(file).st_mtime_ns)
        where = f"{SCHEME}://{self.path}"
        return ConfigResult(self.provider, where, OmegaConf.create(content), header={"package": package})

    def _file(self, config_path: str) -> str:
        return os.path.join(self.path, config_path if config_path.endswith(".yaml") else f"{config_path}.yaml")


class InPlaceOfFiles(SearchPathPlugin):
    """Lets ``ConfFiles`` answer where Hydra is told of ``conf/``."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for element in search_path.get_path():
            if element.path == str(conf_directory()):
                element.path = f"{SCHEME}://{element.path}"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads what OmegaConf's reads: 1e-3 is a number too, and a date is a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d[\d_]*)?\.?[\d_]+[eE][-+]?\d+$"), list("-+0123456789.")
)


@cache
def parsed(file: str, changed: int) -> tuple[Any, str | None]:
    """The content of a file as it was at that time, and its package, if it names one."""
    text = Path(file).read_text(encoding="utf-8")
    package = PACKAGE.match(text)
    return yaml.load(text, _Loader) or {}, package and package[1]
