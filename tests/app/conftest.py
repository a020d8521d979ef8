"""What Hydra tells the programs of their command line, without one."""

import pytest
from hydra.conf import HydraConf, OverridesConf
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from omegaconf import OmegaConf


@pytest.fixture
def command_line():
    """Makes Hydra say that these overrides were given."""
    state = Singleton.get_state()

    def given(*overrides: str) -> None:
        settings = HydraConf(overrides=OverridesConf(task=list(overrides)))
        HydraConfig.instance().set_config(OmegaConf.create({"hydra": settings}))

    yield given
    Singleton.set_state(state)
