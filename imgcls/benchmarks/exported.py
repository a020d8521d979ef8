"""A network of random weights as an export, for the measurements of what an export costs."""

from pathlib import Path

from imgcls.deploy.contract import LAYOUTS, Contract
from imgcls.deploy.exporter import export
from imgcls.models.layers import Network
from imgcls.models.registry import model_info


def export_for_measuring(network: Network, model: str, size: int, directory: Path, graph: str = "paddle") -> Contract:
    """Write the float graph that gives logits, unchecked."""
    info = model_info(model)
    contract = Contract(
        model=model,
        input="float",
        layout=LAYOUTS["float"],
        image_size=size,
        resize_size=round(size * info.resize_size / info.input_size),
        interpolation=info.interpolation,
        mean=info.mean,
        std=info.std,
        output="logits",
        class_names=tuple(map(str, range(1000))),
    )
    export(network, contract, directory, graph=graph)
    return contract
