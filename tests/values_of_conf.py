"""Values of conf/ for tests of what has no defaults of its own, where any values would do."""

from typing import Any

import yaml

from imgcls.app.program import conf_directory
from imgcls.data.pictures import transforms
from imgcls.functional.schedules import WAITING


def values(file: str) -> dict[str, Any]:
    """What a file of conf/ says itself."""
    return yaml.safe_load((conf_directory() / f"{file}.yaml").read_text())


def train_transform(size: int, **options: Any) -> transforms.Transform:
    """Crops and flips as the programs make them."""
    usual = {key: values("transform/default")[key] for key in ("scale", "ratio", "flip")}
    return transforms.train_transform(size, **(usual | options))


def optimizer_options(name: str) -> dict[str, Any]:
    """Those of ``build_optimizer`` that are the optimizer's own."""
    shared = ("defaults", "name", "lr", "weight_decay", "no_decay_on_norm_and_bias")
    return {key: value for key, value in values(f"optimizer/{name}").items() if key not in shared}


def schedule_options(name: str) -> dict[str, Any]:
    """Those of ``build_schedule`` that are the schedule's own; a plateau drops twice."""
    found = values(f"lr_schedule/{name}").items()
    own = {key: value for key, value in found if key not in ("defaults", "name", *WAITING)}
    return {**own, "drops": [40, 90]} if name == "plateau" else own
