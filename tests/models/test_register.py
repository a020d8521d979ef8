"""A network of the user's own among ours: in the registry, and through the programs as a plain layer."""

import csv
import io
import json
from functools import partial

import numpy as np
import paddle
import pytest
from locations import ROOT
from paddles import PROGRAM
from tiny_run import finish, starter
from values_of_conf import optimizer_options

import imgcls
from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.contract import Contract
from imgcls.deploy.exporter import check_photos, export
from imgcls.deploy.predictor import NetworkPredictor
from imgcls.engine.optimizers import build_optimizer
from imgcls.errors import UserError
from imgcls.models import registry
from imgcls.models.__main__ import main
from imgcls.models.layers import Network, conv2d, fluid_names, linear
from imgcls.models.registry import build_model, list_models, model_info, named, register_model
from imgcls.weights.load import load_into, load_pretrained

SEEN = Preprocessing(size=32, resize_size=36, interpolation="linear", mean=(0.5,) * 3, std=(0.5,) * 3)


class Tiny(paddle.nn.Layer):
    """What anybody would write: no head, no names, a buffer that is not saved."""

    def __init__(self, width: int = 4, num_classes: int = 1000):
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, width, 3, stride=4)
        self.norm = paddle.nn.BatchNorm2D(width)
        self.fc = paddle.nn.Linear(width, num_classes)
        self.register_buffer("scale", paddle.full([1], 2.0), persistable=False)

    def forward(self, x):
        return self.fc(paddle.nn.functional.relu(self.norm(self.conv(x))).mean([2, 3]) * self.scale)


class Whole(Network):
    num_features = 4

    def __init__(self, num_classes: int = 1000):
        super().__init__()
        self.features = paddle.nn.Sequential(conv2d(3, 4, 3, weight="conv_weights", stride=4))
        self.head = linear(4, num_classes, weight="fc_weights", bias="fc_offset")


def test_facts_and_their_defaults():
    register_model("My-Net_2", Tiny)
    info = model_info("my-net_2")
    assert (info.name, info.published_name, info.family) == ("my-net_2", "My-Net_2", "own")
    assert (info.input_size, info.resize_size, info.interpolation) == (224, 256, "linear")
    assert (info.mean, info.std) == (model_info("resnet50").mean, model_info("resnet50").std)
    assert (info.published, info.bundled, info.params, info.macs, info.weights_url) == (False, False, None, None, None)
    register_model("other", Whole, input_size=32, mean=[0.5] * 3, std=(0.5,) * 3, params=7, family="mine", top1=12.5)
    info = imgcls.model_info("OTHER")
    assert (info.input_size, info.resize_size, info.mean, info.params) == (32, 37, (0.5, 0.5, 0.5), 7)
    assert (info.family, info.top1) == ("mine", 12.5)


def test_among_ours():
    ours = list_models()
    register_model("resnet20", Tiny)
    assert list_models("resnet2*") == ["resnet20", "resnet200_vd"]
    assert len(list_models()) == len(ours) + 1
    assert list_models(published=True) == [name for name in ours if model_info(name).published]


def test_build():
    register_model("tiny", Tiny)
    network = imgcls.create_model("Tiny", num_classes=7, width=6)
    assert network(paddle.randn([2, 3, 16, 16])).shape == [2, 7]
    # the same in every process, however many networks it made: optimizer states are filed under them
    assert list(fluid_names(network).items()) == [(key, key) for key in network.state_dict()]
    with pytest.raises(UserError, match=r"tiny takes no argument 'depth'\..* It takes: width\."):
        build_model("tiny", depth=3)
    with pytest.raises(UserError, match="tiny: width='6' is no int"):
        build_model("tiny", width="6")


def test_build_that_takes_anything():
    register_model("tiny", lambda **arguments: Tiny(**arguments))
    assert build_model("tiny", num_classes=3, width=5).conv.weight.shape[0] == 5


def test_a_network_of_ours_in_kind():
    """One that derives from ``Network`` keeps its names and can do what ours can."""
    register_model("whole", Whole)
    network = build_model("whole", num_classes=3, data_format="NHWC")
    assert list(fluid_names(network).values()) == ["conv_weights", "fc_weights", "fc_offset"]
    first, *_ = network.forward_stages(paddle.randn([1, 3, 16, 16]))
    assert first.shape == [1, 4, 4, 4]


MISTAKES = [
    ({"name": "my net"}, "cannot be called 'my net'. Take letters"),
    ({"name": "2net"}, "cannot be called"),
    ({"name": "ResNet50"}, "has a model 'resnet50' already"),
    ({"build": "Tiny"}, "must be a function or a class, not a str"),
    ({"build": lambda: None}, "takes no argument num_classes"),
    ({"input_size": 0}, "input_size=0 is no number of pixels"),
    ({"resize_size": 25.6}, "resize_size=25.6 is no number of pixels"),
    ({"mean": 0.5}, "mean=0.5 is not possible"),
    ({"std": (0.2, 0.2)}, "std=.* three numbers"),
    ({"std": (0.2, 0.2, 0)}, "std=.* three numbers"),
    ({"mean": (float("nan"), 0, 0)}, "mean=.* three numbers"),
    ({"input_size": True}, "input_size=True is no number of pixels"),
    ({"build": dict}, "takes no argument num_classes"),
    ({"weights_url": 5}, "weights_url=5 is no address"),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_what_cannot_be(change, message):
    with pytest.raises(UserError, match=message):
        register_model(**{"name": "net", "build": Tiny, **change})
    assert not registry._own


def test_a_network_in_place_of_its_class():
    with pytest.raises(UserError, match="not a Tiny"):
        register_model("net", Tiny())


def test_a_name_taken_by_another():
    """The same function of the same module, as when a notebook's cell runs again, is no other."""
    register_model("net", Tiny)
    register_model("net", Tiny, input_size=32)
    assert model_info("net").input_size == 32
    with pytest.raises(UserError, match=f"'net' was registered already, in {__name__}"):
        register_model("NET", Whole)
    with pytest.raises(UserError, match="registered already"):
        register_model("net", partial(Tiny))


def test_no_layer():
    register_model("net", lambda num_classes: num_classes)
    with pytest.raises(UserError, match=r"net: what its build returned is no paddle\.nn\.Layer but a int"):
        build_model("net")


def test_what_a_plain_layer_cannot_do_is_said():
    register_model("tiny", Tiny)
    with pytest.raises(UserError, match=r"tiny: Tiny has no set_data_format, which model\.data_format=NHWC needs"):
        build_model("tiny", data_format="NHWC")
    network = build_model("tiny", num_classes=3)
    with pytest.raises(UserError, match="Tiny has no forward_features, which an answer of features needs"):
        NetworkPredictor(network, SEEN).features(np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(UserError, match="Tiny has no 'head'"):
        build_optimizer("momentum", network, 0.1, head_lr_multiplier=2, **optimizer_options("momentum"))
    with pytest.raises(UserError, match="No weights were published for tiny"):
        load_pretrained(network, model_info("tiny"), True)


def test_weights_of_another_class_count():
    register_model("tiny", Tiny)
    network = build_model("tiny", num_classes=3)
    arrays = {key: tensor.numpy() for key, tensor in build_model("tiny", num_classes=5).state_dict().items()}
    with pytest.raises(UserError, match=r"Tiny has no reset_head.*model\.exclude"):
        load_into(network, arrays)
    before = network.fc.weight.numpy()
    load_into(network, arrays, exclude=["fc."])
    assert np.array_equal(network.fc.weight.numpy(), before)
    assert np.array_equal(network.conv.weight.numpy(), arrays["conv.weight"])


def contract(**changes) -> Contract:
    facts = {"model": "tiny", "input": "uint8", "preprocessing": SEEN, "output": "probabilities"}
    return Contract(**{**facts, "class_names": ("a", "b", "c"), **changes})


def test_export(tmp_path):
    """Whose answers are compared with the network's, and whose tensors with the files'."""
    register_model("tiny", Tiny)
    network = build_model("tiny", num_classes=3)
    differences = export(network, contract(), tmp_path / "export", check_photos(contract()))
    assert set(differences) == {"inference", "jit"}
    with pytest.raises(UserError, match="Tiny has no forward_features, which an export of features needs"):
        export(network, contract(output="features", class_names=()), tmp_path / "features")
    assert not (tmp_path / "features").exists()


def test_the_list_of_models(capsys):
    """What is not known is left empty."""
    register_model("tiny", Tiny, input_size=48)
    assert main(["tiny"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "tiny" in line]
    assert line.split() == ["tiny", "own", "48"]
    main(["tiny", "--format", "csv"])
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["name"], row["params"], row["macs"], row["weights_bundled"]) == ("tiny", "", "", "False")
    main(["tiny", "--format", "json"])
    (record,) = json.loads(capsys.readouterr().out)
    assert record["params"] is record["macs"] is None
    main(["tiny", "--format", "markdown"])
    assert "| `tiny` | own |  |  | 48 |" in capsys.readouterr().out


OWN = '''
"""A network of the user's."""

import paddle

from imgcls.models.registry import register_model


class Net(paddle.nn.Layer):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, 8, 3, stride=4)
        self.fc = paddle.nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc(paddle.nn.functional.relu(self.conv(x)).mean([2, 3]))


register_model("own_net", Net, input_size=32)
'''
KNOWING = """
import imgcls, own, runpy, sys

programs = " ".join(sys.argv[1:]).split(" ; ")
for program in programs:
    sys.argv = program.split(" ")
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
"""
"""Programs of ours in a process that has imported the user's module."""


def test_programs(tmp_path):
    """Train, resume, evaluate with its page, predict and export a plain layer, which each builds another time."""
    (tmp_path / "own.py").write_text(OWN)
    train = "imgcls.train model=own_net run.name=first trainer.num_workers=0 trainer.gpus=0"
    programs = (
        f"{train} trainer.epochs=1",
        f"{train} trainer.epochs=2 trainer.resume=auto",
        "imgcls.eval eval.source=outputs/first run.name=eval eval.num_workers=0 eval.report=true",
        f"imgcls.predict predict.source=outputs/first predict.input={ROOT / 'imgcls/assets/sample_photos/val'}",
        "imgcls.export export.source=outputs/first export.dir=exported",
    )
    (tmp_path / "knowing.py").write_text(KNOWING)
    with starter(tmp_path) as start:
        text = finish(start(" ; ".join(programs), program="knowing"))
    assert "continuing from" in text
    assert "Net has no forward_features and forward_head: no Grad-CAM" in text
    page = (tmp_path / "outputs" / "eval" / "report.html").read_text()
    assert '"overlay":null' in page.replace(" ", "")
    assert (tmp_path / "exported" / PROGRAM).is_file()


def test_names_patterns_and_all_that_are_published():
    assert named(["VGG1[13]", "ResNet50", "vgg13"]) == ["vgg11", "vgg13", "resnet50"]
    assert named(["published"]) == list_models(published=True)
    assert named(["published", "resnet18_acnet", "convnext_atto"])[-1] == "convnext_atto"
    with pytest.raises(UserError, match=r"there is no model 'resnt50'\. Did you mean 'resnet50'"):
        named(["resnet18", "resnt50"])
    with pytest.raises(UserError, match="Did you mean 'published'"):
        named(["Publishd"])
