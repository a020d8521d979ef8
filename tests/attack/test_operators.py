"""Exports from strangers: graphs that do more than compute are named and refused before anything loads them."""

import os
import pickle
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
import yaml
from locations import ROOT
from paddles import ON_PADDLE_3

import imgcls
from imgcls.deploy import operators, pir_operators
from imgcls.deploy.contract import FILE, Contract
from imgcls.deploy.engines import inference, jit, onnxruntime
from imgcls.deploy.exporter import export
from imgcls.deploy.predictor import open_export
from imgcls.errors import UserError
from imgcls.machine.files import sha256
from imgcls.weights import pir_program
from imgcls.weights.fluid.protobuf import fields, varint

CLIENTS = ROOT / "scripts" / "clients"


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Path:
    """A small export in a directory with spaces and letters of another script."""
    from imgcls.data.formats.class_names import default_class_names
    from imgcls.data.pictures.preprocessing import Preprocessing

    if ON_PADDLE_3:
        pytest.skip("PaddlePaddle 3 writes other programs: see test_pir_programs")
    contract = Contract(
        model="squeezenet1_1",
        input="float",
        preprocessing=Preprocessing.of_model(imgcls.model_info("squeezenet1_1")),
        output="logits",
        class_names=default_class_names(1000),
    )
    directory = tmp_path_factory.mktemp("served") / "我的 export (1)"
    export(imgcls.create_model("squeezenet1_1"), contract, directory)
    return directory


def part(number: int, content: bytes) -> bytes:
    """A field of protobuf that holds text or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def operator(kind: str, **texts: str) -> bytes:
    """An OpDesc with attributes that are texts."""
    attributes = [part(1, name.encode()) + b"\x10\x02" + part(5, text.encode()) for name, text in texts.items()]
    return part(3, kind.encode()) + b"".join(part(4, attribute) for attribute in attributes)


def with_operator(program: bytes, new: bytes) -> bytes:
    """The program with one more operator at the end of its first block."""
    blocks = [(number, bytes(value) if not isinstance(value, int) else value) for number, value in fields(program)]
    first = next(index for index, (number, _) in enumerate(blocks) if number == 1)
    blocks[first] = (1, blocks[first][1] + part(4, new))
    return b"".join(part(n, v) if isinstance(v, bytes) else varint(n << 3) + varint(v) for n, v in blocks)


def changed(served: Path, to: Path, program: bytes, **beside: bytes) -> Path:
    """An export with another program, whose ``inference.yaml`` fits it: what a stranger would send."""
    directory = shutil.copytree(served, to)
    (directory / "inference.pdmodel").write_bytes(program)
    for name, content in beside.items():
        (directory / name).write_bytes(content)
    text = yaml.safe_load((directory / FILE).read_text(encoding="utf-8"))
    text["sha256"]["inference.pdmodel"] = sha256(directory / "inference.pdmodel")
    (directory / FILE).write_text(yaml.safe_dump(text, allow_unicode=True), encoding="utf-8")
    return directory


@pytest.fixture
def saving(served, tmp_path) -> Path:
    """An export that would write a file when it runs."""
    program = (served / "inference.pdmodel").read_bytes()
    return changed(served, tmp_path / "save", with_operator(program, operator("save", file_path=str(tmp_path / "x"))))


NEEDED = """
assign_value batch_norm cast concat conv2d depthwise_conv2d dropout elementwise_add elementwise_mul feed fetch
fill_constant flatten_contiguous_range floor index_select linspace matmul_v2 pad3d pool2d reduce_mean relu
reshape2 scale shape sigmoid slice softmax split squeeze2 stack swish transpose2 unsqueeze2
"""
"""In exports of a network of each family: of floats and of bytes, with every output, of any size of pictures."""


def test_what_our_networks_need_passes(served):
    assert operators.ALLOWED.issuperset(NEEDED.split())
    operators.check_model(served)
    assert open_export(served).logits(np.zeros((1, 224, 224, 3), np.uint8)).shape == (1, 1000)


HARMFUL = "save save_combine load load_combine py_func run_program print read_file while recurrent pylayer send_v2"
HARMFUL += " listen_and_serv c_allreduce_sum tensorrt_engine lite_engine as_strided sgd check_numerics assert of_my_own"


@pytest.mark.parametrize("kind", HARMFUL.split())
def test_operators_that_do_more_than_compute(kind, served, tmp_path):
    program = with_operator((served / "inference.pdmodel").read_bytes(), operator(kind))
    directory = changed(served, tmp_path / "export", program)
    with pytest.raises(
        UserError, match=rf"is not run: inference.pdmodel holds the operator {kind}, and only"
    ) as refusal:
        open_export(directory)
    assert str(directory) in str(refusal.value)


def test_in_a_block_inside_another(served, tmp_path):
    program = (served / "inference.pdmodel").read_bytes() + part(1, b"\x08\x01\x10\x00" + part(4, operator("py_func")))
    with pytest.raises(UserError, match="the operator py_func"):
        inference(changed(served, tmp_path / "export", program))


def hidden(program: bytes, way: str) -> bytes:
    """The operator ``save`` where protobuf's own reader finds it and a careless one does not."""
    block = part(4, operator("save"))
    if way == "a tag of more than 32 bits":  # protobuf cuts it off: 10, the first field
        return program + b"\x8a\x80\x80\x80\x10" + varint(len(block)) + block
    if way == "a tag of two bytes":
        return program + b"\x8a\x00" + varint(len(block)) + block
    if way == "a second name":
        return with_operator(program, operator("relu") + part(3, b"save"))
    assert way == "a group"
    return program + b"\x7b" + part(1, block) + b"\x7c"


@pytest.mark.parametrize("way", ["a tag of more than 32 bits", "a tag of two bytes", "a second name", "a group"])
def test_hiding_places(way, served, tmp_path):
    program = hidden((served / "inference.pdmodel").read_bytes(), way)
    with pytest.raises(UserError, match=r"is not run: inference\.pdmodel"):
        jit(changed(served, tmp_path / "export", program))


def test_garbage_is_refused_or_read(served, tmp_path):
    program = bytearray((served / "inference.pdmodel").read_bytes())
    random.seed(12)
    refused = 0
    for number in range(60):
        damaged = bytearray(program)
        for _ in range(1 + number % 7):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        if number % 5 == 0:
            del damaged[random.randrange(len(damaged)) :]
        (tmp_path / "inference.pdmodel").write_bytes(damaged)
        try:
            operators.check_model(tmp_path)
        except operators.Refused:
            refused += 1
    assert refused >= 12  # those that are cut off


class Touch:
    """A pickle that leaves a file where it is read."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_what_paddle_would_load_besides(served, tmp_path):
    program = (served / "inference.pdmodel").read_bytes()
    pickled = pickle.dumps(Touch(tmp_path / "ran"))
    directory = changed(served, tmp_path / "export", program, **{"inference.pdiparams.info": pickled})
    with pytest.raises(UserError, match=r"beside the model there is inference\.pdiparams\.info"):
        jit(directory)
    other = changed(served, tmp_path / "other", program, **{"inference.more.pdmodel": program})
    with pytest.raises(UserError, match=r"inference\.more\.pdmodel"):
        inference(other)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(TypeError):
        paddle.jit.load(str(directory / "inference"))  # what it would have been
    assert (tmp_path / "ran").exists()


def test_predict_names_it(saving, served, run_program, tmp_path):
    photos = ROOT / "imgcls" / "assets" / "sample_photos" / "val" / "tool"
    words = (f"predict.source={saving}", f"predict.input={photos}", "predict.engine=jit")
    result = run_program("predict", *words, cwd=tmp_path, check=False)
    assert result.returncode != 0
    assert "inference.pdmodel holds the operator save, and only operators that compute are run" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("client", ["jit_client.py", "inference_client.py", "service"])
def test_clients_name_it(client, saving, tmp_path):
    words = [str(saving)] if client == "service" else [str(saving), "photo.jpg"]
    command = [sys.executable, "-I", str(CLIENTS / "without_imgcls.py"), str(CLIENTS / client), *words]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert "inference.pdmodel holds the operator save" in result.stderr
    assert "error: " in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "x").exists()


class Saving(paddle.nn.Layer):
    """A network of one's own that loops until a tensor says so."""

    def __init__(self):
        super().__init__()
        self.head = paddle.nn.Linear(3, 4)

    def forward(self, images):
        seen = images.mean([2, 3])
        while seen.sum() > 1:
            seen = seen * 0.5
        return self.head(seen)


def test_export_refuses_what_nobody_would_run(tmp_path):
    from imgcls.data.pictures.preprocessing import Preprocessing

    names = ("a", "b", "c", "d")
    seen = Preprocessing.of_model(imgcls.model_info("squeezenet1_1"))
    contract = Contract(model="own", input="float", preprocessing=seen, output="logits", class_names=names)
    with pytest.raises(UserError, match=r"the operator (pd_op\.)?while"):
        export(Saving(), contract, tmp_path / "out", np.zeros((1, 224, 224, 3), np.uint8))
    assert not (tmp_path / "out").exists()


def onnx_model(**changes):
    """A graph of one addition, with changes."""
    onnx = pytest.importorskip("onnx")
    helper, tensor = onnx.helper, onnx.TensorProto
    domain = changes.get("domain", "")
    one = helper.make_tensor("one", tensor.FLOAT, [1], [1.0])
    if changes.get("external"):
        one.ClearField("float_data")
        one.data_location = tensor.EXTERNAL
        one.external_data.add(key="location", value="../../etc/passwd")
    node = helper.make_node(changes.get("kind", "Add"), ["images", "one"], ["sum"], domain=domain)
    if changes.get("inside"):
        inner = helper.make_graph([helper.make_node("Evil", [], ["y"], domain="com.evil")], "inner", [], [])
        node.attribute.append(helper.make_attribute("then_branch", inner))
    ends = [helper.make_tensor_value_info(name, tensor.FLOAT, [1]) for name in ("images", "sum")]
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:], [one])
    imports = [helper.make_opsetid("", 14), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=imports)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        pytest.param({"domain": "com.microsoft"}, "the domain com.microsoft", id="another domain"),
        pytest.param({"inside": True}, "the operator com.evil::Evil", id="inside an attribute"),
        pytest.param({"external": True}, "a tensor that lies in another file", id="another file"),
        pytest.param({"kind": "Loop"}, "the operator Loop", id="without end"),
    ],
)
def test_onnx(changes, found, tmp_path):
    (tmp_path / "inference.onnx").write_bytes(onnx_model(**changes).SerializeToString())
    with pytest.raises(UserError, match=found):
        onnxruntime(tmp_path)


def test_onnx_of_the_standard_passes(tmp_path):
    (tmp_path / "inference.onnx").write_bytes(onnx_model().SerializeToString())
    assert onnxruntime(tmp_path)(np.ones(1, np.float32)) == [2]


@pytest.mark.parametrize("module", [operators, pir_operators, pir_program], ids=lambda module: module.__name__)
def test_the_service_checks_as_the_library_does(module):
    """In a file of its own, which finds its neighbours by their names alone."""
    own = re.sub(r"(?m)^from imgcls\.(deploy|weights)\.", "from ", Path(module.__file__).read_text())
    assert (CLIENTS / "service" / Path(module.__file__).name).read_text() == own
