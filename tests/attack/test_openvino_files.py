"""OpenVINO's files from strangers: descriptions that are more than operators that compute are refused before it."""

import re
import shutil

import pytest

from imgcls.deploy import operators
from imgcls.deploy.openvino_engine import openvino_core
from imgcls.deploy.operators import Refused, check_model

GRAPH = """<?xml version="1.0"?>
<net name="Model0" version="11">
	<layers>
		<layer id="0" name="images" type="Parameter" version="opset1">
			<data shape="?,4" element_type="f32" />
			<output><port id="0" precision="FP32" names="images"><dim>-1</dim><dim>4</dim></port></output>
		</layer>
		<layer id="1" name="a &lt;name&gt;" type="Const" version="opset1">
			<data element_type="f32" shape="4, 2" offset="0" size="32" />
			<output><port id="0" precision="FP32"><dim>4</dim><dim>2</dim></port></output>
		</layer>
		<layer id="2" name="product" type="MatMul" version="opset1">
			<data transpose_a="false" transpose_b="false" />
			<input><port id="0"><dim>-1</dim><dim>4</dim></port><port id="1"><dim>4</dim><dim>2</dim></port></input>
			<output><port id="2" precision="FP32"><dim>-1</dim><dim>2</dim></port></output>
		</layer>
		<layer id="3" name="result" type="Result" version="opset1">
			<input><port id="0" precision="FP32"><dim>-1</dim><dim>2</dim></port></input>
		</layer>
	</layers>
	<edges>
		<edge from-layer="0" from-port="0" to-layer="2" to-port="0" />
		<edge from-layer="1" from-port="0" to-layer="2" to-port="1" />
		<edge from-layer="2" from-port="2" to-layer="3" to-port="0" />
	</edges>
	<rt_info />
</net>
"""


@pytest.fixture
def graph(tmp_path):
    """Write a description with 32 bytes of tensors, and look through it."""

    def written(text: str | bytes, tensors: int = 32):
        (tmp_path / "inference.bin").write_bytes(bytes(tensors))
        (tmp_path / "inference.xml").write_bytes(text.encode() if isinstance(text, str) else text)
        check_model(tmp_path)
        return tmp_path

    return written


def test_a_whole_one_passes_and_runs(graph):
    directory = graph(GRAPH)
    pytest.importorskip("openvino")
    model = openvino_core().read_model(directory / "inference.xml")
    assert [node.get_type_name() for node in model.get_ordered_ops()].count("MatMul") == 1


@pytest.mark.parametrize(
    "name", ["Loop", "TensorIterator", "If", "Assign", "ReadValue", "StringTensorUnpack", "Evil", ""]
)
def test_operators_that_do_more(name, graph):
    with pytest.raises(Refused, match=f"holds the operator {name}"):
        graph(GRAPH.replace('type="MatMul"', f'type="{name}"'))


@pytest.mark.parametrize("version", ["extension", "experimental", "opset", "opset1x", ""])
def test_sets_of_operators_of_others(version, graph):
    with pytest.raises(Refused, match=f"operators of the set {version}"):
        graph(GRAPH.replace('type="MatMul" version="opset1"', f'type="MatMul" version="{version}"'))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<net", '<!DOCTYPE net [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><net'),
        ("<net", '<!DOCTYPE net SYSTEM "file:///etc/passwd"><net'),
        ("<rt_info />", "<!-- a remark -->"),
        ("<rt_info />", "<![CDATA[<layer/>]]>"),
        ("<rt_info />", "<?php ?>"),
        ("&lt;", "&b;"),
        ("product", "pro\0duct"),
        ('<?xml version="1.0"?>', '<?xml version="1.0" encoding="UTF-16"?>'),
        ('<?xml version="1.0"?>', ""),
    ],
)
def test_what_two_readers_could_see_differently(old, new, graph):
    with pytest.raises(Refused, match="is no model file: it is not XML as OpenVINO writes it"):
        graph(GRAPH.replace(old, new, 1))


def test_text_of_another_encoding(graph):
    with pytest.raises(Refused, match="is no model file"):
        graph(GRAPH.replace("product", "größe").encode("latin-1"))
    with pytest.raises(Refused, match="is no model file"):
        graph(GRAPH.encode("utf-16"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('offset="0" size="32"', 'offset="4" size="32"', "a tensor that is not in its file"),
        ('offset="0" size="32"', 'offset="-4" size="32"', "a tensor that is not in its file"),
        ('offset="0" size="32"', 'offset="0" size="1e9"', "a tensor that is not in its file"),
        ('shape="4, 2" offset', 'shape="4, 2000" offset', "a tensor that is longer than its place"),
        ('shape="4, 2" offset', 'shape="-1, 2" offset', "a tensor of another kind"),
        ('element_type="f32" shape="4, 2"', 'element_type="string" shape="4, 2"', "a tensor of another kind"),
        ('version="11"', 'version="10"', "a description of another version than 11"),
        ("<rt_info />", "<pre-process mean='a.bin' />", "a part pre-process"),
    ],
)
def test_parts_that_do_not_fit(old, new, words, graph):
    with pytest.raises(Refused, match=re.escape(words)):
        graph(GRAPH.replace(old, new, 1))


def test_depth_number_and_size_are_bounded(graph, monkeypatch):
    with pytest.raises(Refused, match="inside each other"):
        graph(GRAPH.replace("<rt_info />", "<a>" * 100_000))
    monkeypatch.setattr(operators, "OPENVINO_ELEMENTS", 100)
    with pytest.raises(Refused, match="more than 100 elements"):
        graph(GRAPH.replace("<rt_info />", "<a />" * 101))
    monkeypatch.setattr(operators, "OPENVINO_XML_BYTES", 1000)
    with pytest.raises(Refused, match="it has more than"):
        graph(GRAPH)


@pytest.mark.parametrize("cut", [0, 1, 30, 500, 1000, len(GRAPH) - 20])
def test_a_file_that_ends_early(cut, graph):
    with pytest.raises(Refused):
        graph(GRAPH[:cut])


def test_no_tensors_beside_it(graph, tmp_path):
    directory = graph(GRAPH)
    (directory / "inference.bin").unlink()
    with pytest.raises(OSError, match=r"inference\.bin"):
        check_model(directory)


def test_the_engine_asks_first(graph, tmp_path_factory):
    pytest.importorskip("openvino")
    from imgcls.deploy.openvino_engine import openvino
    from imgcls.errors import UserError

    directory = shutil.copytree(graph(GRAPH), tmp_path_factory.mktemp("copy") / "export")
    (directory / "inference.xml").write_text(GRAPH.replace('type="MatMul"', 'type="Evil"'))
    with pytest.raises(UserError, match=r"is not run: inference\.xml holds the operator Evil"):
        openvino(directory)
