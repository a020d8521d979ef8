"""Hydra's ``model`` group, generated from the registry: one choice per model, no file per model.

A configuration source of its own rather than entries of Hydra's ``ConfigStore``, which copies all
its entries many times in every composition.
"""

from dataclasses import asdict

from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf

from imgcls.app.conf_files import ConfFiles, InPlaceOfFiles
from imgcls.app.keys import ModelConfig
from imgcls.models.registry import ModelInfo, catalogue, list_models

GROUP = "model"
SEARCH_PATH = "registry://models"


class ModelGroup(ConfigSource):
    """Answers for ``model/<name>``; primary configurations name it in ``hydra.searchpath``."""

    @staticmethod
    def scheme() -> str:
        return "registry"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path in ("", GROUP)

    def is_config(self, config_path: str) -> bool:
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        return group == GROUP and name in catalogue()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        names = {"": [GROUP], GROUP: list_models()}.get(config_path, [])
        wanted = ObjectType.GROUP if config_path == "" else ObjectType.CONFIG
        return names if results_filter in (None, wanted) else []

    def load_config(self, config_path: str) -> ConfigResult:
        section = model_section(catalogue()[config_path.removesuffix(".yaml").rpartition("/")[2]])
        return ConfigResult(provider=self.provider, path=SEARCH_PATH, config=section, header={"package": GROUP})


def model_section(info: ModelInfo) -> DictConfig:
    """The section ``model`` of a configuration, as ``model=<name>`` makes it."""
    section = ModelConfig(
        name=info.name,
        pretrained=True if info.bundled else None,
        input_size=info.input_size,
        resize_size=info.resize_size,
        interpolation=info.interpolation,
        mean=list(info.mean),
        std=list(info.std),
    )
    return OmegaConf.create(asdict(section))


def register_sources() -> None:
    """Make ours known to Hydra; once per process is enough, more does no harm."""
    for plugin in (ModelGroup, ConfFiles, InPlaceOfFiles):
        Plugins.instance().register(plugin)
