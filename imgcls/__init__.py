"""Image classification on PaddlePaddle: 153 networks, training, evaluation, export.

Importing this package is cheap: it sets the CPU up (see ``imgcls.machine.cpu``) and leaves Paddle to be
imported by the first call that needs it.
"""

from imgcls.api import create_model, list_models, model_info
from imgcls.machine import cpu

cpu.tune()

__version__ = "2.0.0"
__all__ = ["__version__", "create_model", "list_models", "model_info"]
