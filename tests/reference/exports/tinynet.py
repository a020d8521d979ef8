"""A network of three layers, exported by both Paddles: python tests/reference/exports/tinynet.py <directory>."""

import sys
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

import imgcls

CLASSES = ("red", "green", "blue")
SIZE = 32


class TinyNet(nn.Layer):
    def __init__(self, num_classes=3):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2D(3, 4, 3, stride=4), nn.BatchNorm2D(4), nn.ReLU())
        self.head = nn.Linear(4, num_classes)

    def forward(self, images):
        return self.head(paddle.mean(self.features(images), axis=[2, 3]))


imgcls.register_model("TinyNetOfBoth", TinyNet, input_size=SIZE)


def images() -> np.ndarray:
    """Three images, uint8 ``[3, SIZE, SIZE, 3]``."""
    return np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)


def export(directory: Path) -> None:
    """Write the network with its weights of the seed 0 as a graph of floats, and its logits for ``images``."""
    from imgcls.data.pictures.preprocessing import Preprocessing
    from imgcls.deploy.contract import Contract
    from imgcls.deploy.exporter import export

    rng = np.random.default_rng(0)
    network = imgcls.create_model("tinynetofboth", num_classes=len(CLASSES))
    for name, tensor in network.state_dict().items():
        values = rng.random(tensor.shape) if "variance" in name else rng.normal(size=tensor.shape)
        tensor.set_value(values.astype(np.float32))
    contract = Contract(
        model="tinynetofboth",
        input="float",
        preprocessing=Preprocessing.of_model(imgcls.model_info("tinynetofboth")),
        output="logits",
        versions={"imgcls": imgcls.__version__, "paddle": paddle.__version__},
        class_names=CLASSES,
    )
    export(network, contract, directory, images())
    network.eval()
    logits = network(contract.preprocessing.normalize(paddle.to_tensor(images()))).numpy()
    np.savetxt(directory.with_name("logits.txt"), logits)


if __name__ == "__main__":
    export(Path(sys.argv[1]))
