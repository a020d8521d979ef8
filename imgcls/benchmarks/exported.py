"""A network of random weights as an export, for the measurements of what an export costs."""

from pathlib import Path

from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.contract import Contract
from imgcls.deploy.exporter import export
from imgcls.models.layers import Network
from imgcls.models.registry import model_info


def export_for_measuring(network: Network, model: str, size: int, directory: Path, graph: str = "paddle") -> Contract:
    """Write the float graph that gives logits, unchecked."""
    contract = Contract(
        model=model,
        input="float",
        preprocessing=Preprocessing.of_model(model_info(model), size),
        output="logits",
        class_names=tuple(map(str, range(1000))),
    )
    export(network, contract, directory, graph=graph)
    return contract
