"""PaddleClas's networks by our names, without what importing the whole of PaddleClas asks for."""

import importlib
import os
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import paddle

SPELLINGS = {"pplcnet": "PPLCNet", "pplcnetv2": "PPLCNetV2", "pphgnet": "PPHGNet", "pphgnetv2": "PPHGNetV2"}
sys.path.append(os.environ.get("IMGCLS_PEERS_SITE", ""))  # behind this environment's own packages
FILES = {"pplcnet": "pp_lcnet", "pplcnetv2": "pp_lcnet_v2", "pphgnet": "pp_hgnet", "pphgnetv2": "pp_hgnet_v2"}


def build(name: str) -> paddle.nn.Layer:
    """For instance ``pplcnet_x0_25``."""
    family, _, size = name.partition("_")
    module = importlib.import_module(f"{packages()}.ppcls.arch.backbone.legendary_models.{FILES[family]}")
    size = size.upper() if family == "pphgnetv2" else size
    return getattr(module, f"{SPELLINGS[family]}_{size}")(pretrained=False)


def packages() -> str:
    """Empty packages in the place of those whose ``__init__`` imports everything; gives the outermost's name."""
    for name in ("paddleclas", "paddleclas.ppcls", "paddleclas.ppcls.arch", "paddleclas.ppcls.arch.backbone",
                 "paddleclas.ppcls.arch.backbone.legendary_models", "paddleclas.ppcls.utils"):  # fmt: skip
        if name not in sys.modules:
            root = Path(find_spec("paddleclas").origin).parent if name == "paddleclas" else None
            package = types.ModuleType(name)
            parent, _, last = name.rpartition(".")
            package.__path__ = [str(root or Path(sys.modules[parent].__path__[0]) / last)]
            sys.modules[name] = package
    return "paddleclas"
