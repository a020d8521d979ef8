"""An export as a source of weights: what its contract says becomes sections of the configuration.

So an export is written again by another Paddle, in another form, or evaluated.
"""

from omegaconf import DictConfig, OmegaConf

from imgcls.app.model_group import model_section
from imgcls.app.run_record import overlay
from imgcls.data.pictures.channels import RGB
from imgcls.deploy.contract import Contract, read_contract, verify_files
from imgcls.errors import UserError
from imgcls.models.registry import catalogue


def merge_export(config: DictConfig, source: str, given: list[str]) -> tuple[DictConfig, tuple[str, ...], str]:
    """The export's network, its weights and how it sees an image, under whatever the command line says itself.

    Args:
        given: keys of the command line.

    Returns:
        The configuration, the names of the classes, and the resampling that belongs to the weights.

    Raises:
        UserError: it is damaged, holds no whole network, or is of a network that is not registered.
    """
    contract = read_contract(source)
    verify_files(source, contract)
    _require_network(contract, source)
    if "model" in given and config.model.name != contract.model:
        raise UserError(
            f"model={config.model.name}: {source} is an export of {contract.model}. Leave model out, or name other "
            "weights."
        )
    recorded = OmegaConf.create({"model": model_section(catalogue()[contract.model])})
    result = overlay(config, recorded, given, ("model",))
    seen = contract.preprocessing
    if seen.channels.count != RGB.count:
        OmegaConf.update(result, "model.args.in_channels", seen.channels.count, force_add=True)
    for key in ("size", "fit", "resize_size", "interpolation", "mean", "std", "depth"):
        if f"transform.{key}" not in given and "transform" not in given:
            value = getattr(seen, key)
            OmegaConf.update(result, f"transform.{key}", list(value) if isinstance(value, tuple) else value)
    result.model.pretrained = str(source)
    result.model.exclude = []
    return result, contract.class_names, seen.resampling


def _require_network(contract: Contract, source: str) -> None:
    if contract.graph in ("onnx", "openvino"):
        kind = {"onnx": "ONNX", "openvino": "OpenVINO"}[contract.graph]
        raise UserError(
            f"{source} is an {kind} export: no network is read from one. Name the run that it was made from."
        )
    if contract.output == "features":
        raise UserError(f"{source} gives features: it has no last layer. Name the run that it was made from.")
    if contract.activation != "softmax":
        raise UserError(
            f"{source} gives several classes a picture, and its thresholds belong to the run. Name the run that it was "
            "made from."
        )
    if contract.model not in catalogue():
        raise UserError(
            f"{source} is an export of the network {contract.model}, which is not known here. If it is your own, name "
            "the module that registers it: imports=my_networks."
        )
