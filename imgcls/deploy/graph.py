"""What goes into an exported graph: a network, and around it what its contract asks for."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.static import InputSpec

from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.contract import NAME, Contract
from imgcls.errors import UserError
from imgcls.machine.paddle_internals import fast_convolutions, methods_translated_once, own_forward
from imgcls.models.checks import require_methods

INPUT = "images"
OTHER_SIZE = (32, 64)
"""How much higher and wider than its own a picture is that a graph of dynamic size is tried with."""


class Served(nn.Layer):
    """A network with its normalisation in front and softmax or sigmoid behind, or without its head.

    Args:
        preprocessing: whose normalisation is part of the graph, for uint8 ``[N, H, W, C]`` as input; ``None``
            for normalised float32 ``[N, C, H, W]``.
        output: ``logits``, ``probabilities`` or ``features``.
        activation: one of ``ACTIVATIONS``, for probabilities.
    """

    def __init__(
        self, network: nn.Layer, preprocessing: Preprocessing | None, output: str, activation: str = "softmax"
    ):
        super().__init__()
        self.network = network
        self.preprocessing = preprocessing
        self.output = output
        self.activation = activation

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        if self.preprocessing is not None:
            images = self.preprocessing.normalize(images)
        if self.output == "features":
            return self.network.forward_features(images).mean([2, 3])
        logits = self.network(images)
        if self.output == "logits":
            return logits
        return F.sigmoid(logits) if self.activation == "sigmoid" else F.softmax(logits, axis=1)


def save_graph(network: nn.Layer, contract: Contract, directory: Path) -> None:
    """Write ``inference.pdmodel`` and ``inference.pdiparams``; the network is left as it was.

    Paddle 3 writes ``inference.json`` in place of the first. The batch size is left open, and the image
    size with ``contract.dynamic_size``.

    Raises:
        UserError: ``contract.dynamic_size`` of a network that is for one size only, or features of one
            that gives none.
    """
    if contract.output == "features":
        require_methods(network, "an export of features", "forward_features")
    seen = contract.preprocessing
    height, width = (None, None) if contract.dynamic_size else (seen.height, seen.width)
    with evaluation_mode(network):
        if contract.dynamic_size:
            _require_any_size(network, contract)
        if contract.input == "uint8":
            graph = Served(network, contract.preprocessing, contract.output, contract.activation)
            spec = InputSpec([None, height, width, seen.channels.count], "uint8", INPUT)
        else:
            plain = contract.output == "logits"
            graph = network if plain else Served(network, None, contract.output, contract.activation)
            spec = InputSpec([None, seen.channels.count, height, width], "float32", INPUT)
        save_layer(graph, network, directory, spec)


def save_layer(graph: nn.Layer, network: nn.Layer, directory: str | Path, spec: InputSpec) -> None:
    """Write the model files of a layer around a network, which is left as it was; in evaluation mode.

    Args:
        graph: the network itself, or a layer that holds it.
    """
    with (
        evaluation_mode(network),
        own_forward(network),
        fast_convolutions(),
        methods_translated_once(),
        _ascii_names(network),
    ):
        graph.eval()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"The Attr\(force_cpu\)", UserWarning)  # of Paddle's own operators
            paddle.jit.save(graph, str(Path(directory) / NAME), input_spec=[spec])
    # Paddle adds a pickle of the parameters' names and does without it when it loads. A directory
    # that goes to other machines should hold nothing that has to be unpickled.
    (Path(directory) / f"{NAME}.pdiparams.info").unlink(missing_ok=True)


def _require_any_size(network: nn.Layer, contract: Contract) -> None:
    own = contract.preprocessing
    if not takes_any_size(network, own):
        height, width = _other_size(own)
        raise UserError(
            f"{contract.model} is for pictures of {own.width} x {own.height} pixels: it cannot take "
            f"{width} x {height}. Leave out export.dynamic_size."
        )


def takes_any_size(network: nn.Layer, preprocessing: Preprocessing) -> bool:
    """Whether a network in evaluation mode takes pictures of another size than its own."""
    try:
        with paddle.no_grad():
            network(paddle.zeros([1, preprocessing.channels.count, *_other_size(preprocessing)]))
    except (ValueError, RuntimeError, UserError):
        return False
    return True


def _other_size(preprocessing: Preprocessing) -> tuple[int, int]:
    return preprocessing.height + OTHER_SIZE[0], preprocessing.width + OTHER_SIZE[1]


def name_in_graph(name: str) -> str:
    r"""Of a tensor: other than ASCII characters become ``\xNN`` or ``\uNNNN``."""
    return name.encode("ascii", "backslashreplace").decode()


@contextlib.contextmanager
def evaluation_mode(network: nn.Layer) -> Iterator[None]:
    """Every layer in evaluation mode inside this context, and as it was after it."""
    modes = [(layer, layer.training) for layer in network.sublayers(include_self=True)]
    network.eval()
    try:
        yield
    finally:
        for layer, training in modes:
            layer.training = training


@contextlib.contextmanager
def _ascii_names(network: nn.Layer) -> Iterator[None]:
    """Every tensor is called by its ``name_in_graph`` inside this context.

    ``paddle.jit.load`` fails on such names, and the fluid names of Res2Net200_vd_26w_4s are of that kind.
    """
    names = {key: tensor.name for key, tensor in network.state_dict().items() if not tensor.name.isascii()}
    state = network.state_dict()
    try:
        for key, name in names.items():
            state[key].name = name_in_graph(name)
        yield
    finally:
        for key, name in names.items():
            state[key].name = name
