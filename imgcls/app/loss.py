"""From the loss section of a configuration to the loss of a training batch."""

import inspect
import logging
from functools import partial

import numpy as np
import paddle
from omegaconf import DictConfig

from imgcls.app.own import find_own
from imgcls.data.formats.samples import Samples
from imgcls.engine.batch import Loss
from imgcls.errors import UserError
from imgcls.functional.class_balance import balanced_weights, log_priors
from imgcls.functional.losses import focal
from imgcls.machine.modules import call

log = logging.getLogger("imgcls")


def build_loss(section: DictConfig, samples: Samples) -> Loss | None:
    """The loss, for training samples of these classes; ``None`` for plain cross entropy.

    Raises:
        UserError: there is not one weight for each class; see also ``find_own``.
    """
    if section.name == "own":
        found = find_own(section, "loss")
        return (
            call(found, "loss._target_", **section.args) if inspect.isclass(found) else partial(found, **section.args)
        )
    options = {}
    if section.get("gamma"):
        options["gamma"] = section.gamma
    if section.class_weights is not None:
        options["class_weights"] = _tensor(_class_weights(section.class_weights, samples))
    if section.logit_adjustment:
        options["offsets"] = _tensor(section.logit_adjustment * log_priors(samples.class_counts()))
    return partial(focal, **options) if options else None


def _class_weights(given: object, samples: Samples) -> np.ndarray:
    weights = balanced_weights(samples.class_counts()) if given == "balanced" else np.array(list(given), np.float64)
    if len(weights) != samples.num_classes:
        raise UserError(
            f"loss.class_weights has {len(weights)} numbers, and there are {samples.num_classes} classes: give one for "
            "each, in the order of classes.txt, or loss.class_weights=balanced."
        )
    low, high = int(weights.argmin()), int(weights.argmax())
    log.info(
        "class weights from %.3g (%s) to %.3g (%s)",
        *(weights[low], samples.class_names[low], weights[high], samples.class_names[high]),
    )
    return weights


def _tensor(values: np.ndarray) -> paddle.Tensor:
    return paddle.to_tensor(values.astype(np.float32))
