"""Programs of Paddle 3 from strangers: JSON that does more than compute, or is not what it seems, is refused."""

import copy
import json
import random
import shutil
import tracemalloc

import pytest
from locations import REFERENCE

from imgcls.deploy.operators import Refused, check_model
from imgcls.deploy.pir_operators import ALLOWED
from imgcls.errors import UserError
from imgcls.weights import pir_program
from imgcls.weights.source import read_weights

EXPORT = REFERENCE / "exports" / "paddle3"
PROGRAM = json.loads((EXPORT / "inference.json").read_text())


def check(tmp_path, text: str | bytes) -> None:
    (tmp_path / "inference.json").write_bytes(text.encode() if isinstance(text, str) else text)
    check_model(tmp_path)


def operators(program: dict) -> list[dict]:
    return program["program"]["regions"][0]["blocks"][0]["ops"]


def operator(name: str, **parts) -> dict:
    return {"#": name, "A": [], "I": [], "O": [], "OA": [], **parts}


NEEDED = """
p 0.combine 0.split 1.add 1.assign_value_ 1.batch_norm_ 1.bilinear_interp 1.concat 1.conv2d 1.data 1.depthwise_conv2d
1.divide 1.dropout 1.fetch 1.flatten 1.floor 1.full 1.full_int_array 1.full_like 1.hardsigmoid 1.hardswish 1.matmul
1.mean 1.multiply 1.nearest_interp 1.pad3d 1.pool2d 1.relu 1.relu6 1.reshape 1.scale 1.shape 1.shape64 1.sigmoid 1.slice
1.softmax 1.split 1.split_with_num 1.squeeze 1.stack 1.sum 1.swish 1.transpose 1.unsqueeze 1.uniform 1.if 2.yield
"""


def test_what_networks_need_passes(tmp_path):
    assert ALLOWED.issuperset(NEEDED.split())
    check(tmp_path, json.dumps(PROGRAM))


HARMFUL = (
    "1.while 1.save_combine 1.load_combine 1.print 1.read_file 1.pylayer 1.py_func 1.run_program 1.assert 1.send_v2"
)
HARMFUL += (
    " 1.tensorrt_engine 1.as_strided 1.empty 1.memcpy 1.sgd_ 1.all_reduce 1.decode_jpeg 3.own 4.reshard 0.parameter"
)
HARMFUL += " 0.set_parameter 0.module relu pd_op.relu 1.relu\0 1.Relu 2.while"


@pytest.mark.parametrize("name", HARMFUL.split(" "))
@pytest.mark.parametrize("inside", [False, True])
def test_operators_that_do_more_than_compute(name, inside, tmp_path):
    program, new = copy.deepcopy(PROGRAM), operator(name)
    if inside:
        new = operator("1.if", regions=[{"#": "region_1", "blocks": [{"#": "block_1", "args": [], "ops": [new]}]}])
    operators(program).append(new)
    with pytest.raises(Refused, match=r"inference.json holds the operator .*, and only operators that compute are run"):
        check(tmp_path, json.dumps(program))


def test_it_is_named_as_one_writes_it(tmp_path):
    program = copy.deepcopy(PROGRAM)
    operators(program).append(operator("1.save_combine"))
    with pytest.raises(Refused, match=r"the operator pd_op\.save_combine"):
        check(tmp_path, json.dumps(program))


def test_kinds_of_values(tmp_path):
    program = copy.deepcopy(PROGRAM)
    value = {"AT": {"#": "0.a_array", "D": [{"#": "0.a_pointer", "D": 4096}]}, "N": "address"}
    operators(program)[-1]["A"].append(value)
    with pytest.raises(Refused, match=r"the attribute builtin\.a_pointer"):
        check(tmp_path, json.dumps(program))


def nested(depth: int) -> dict:
    inner = operator("1.relu")
    for _ in range(depth):
        inner = operator("1.if", regions=[{"#": "r", "blocks": [{"#": "b", "args": [], "ops": [inner]}]}])
    program = copy.deepcopy(PROGRAM)
    operators(program).append(inner)
    return program


WHOLE = json.dumps(PROGRAM)
DISGUISES = {
    "a key twice": WHOLE.replace('"program":', '"program": {"regions": []}, "program":', 1),
    "an operator's name twice": WHOLE.replace('{"#": "1.data"', '{"#": "1.save_combine", "#": "1.data"', 1),
    "something after it": WHOLE + WHOLE,
    "another encoding": WHOLE.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + WHOLE.encode(),
    "no text": bytes(range(256)),
    "no JSON": "{program: 1}",
    "a list": "[1, 2]",
    "empty": "",
    "no number": WHOLE.replace('"version": 4', '"version": NaN', 1),
    "a long number": WHOLE.replace('"version": 4', '"version": ' + "4" * 100, 1),
    "parts it does not know": WHOLE.replace('"regions": [', '"more": [], "regions": [', 1),
    "operators that are no list": WHOLE.replace('"ops": [', '"ops": {"a": 1}, "args": [', 1),
    "an operator without a name": WHOLE.replace('"#": "1.data"', '"#": 1', 1),
    "deep programs": json.dumps(nested(pir_program.DEEPEST)),
    "deep lists": '{"program": ' + "[" * 100_000 + "]" * 100_000 + "}",
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_disguises(disguise, tmp_path):
    with pytest.raises(Refused, match=r"inference\.json (is no model file|is empty)"):
        check(tmp_path, DISGUISES[disguise])


def test_programs_inside_each_other_up_to_a_point(tmp_path):
    check(tmp_path, json.dumps(nested(pir_program.DEEPEST - 2)))


@pytest.mark.parametrize(
    "text", ["[" * 600_000, '{"program": [' + "{}," * 600_000 + "{}]}", " " * (pir_program.LARGEST + 1)]
)
def test_it_costs_no_more_than_its_size(text, tmp_path):
    (tmp_path / "inference.json").write_text(text)
    tracemalloc.start()
    with pytest.raises(Refused, match=r"larger than|more than"):
        check_model(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 2 * len(text) + (1 << 20)
    tracemalloc.stop()


def test_garbage_is_refused_or_read(tmp_path):
    whole, rng, refused = WHOLE.encode(), random.Random(5), 0
    for number in range(60):
        damaged = bytearray(whole)
        for _ in range(1 + number % 7):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        if number % 5 == 0:
            del damaged[rng.randrange(len(damaged)) :]
        try:
            check(tmp_path, bytes(damaged))
        except Refused:
            refused += 1
    assert refused >= 12


def test_names_of_weights(tmp_path):
    """Of a parameter that has none, or of another number of values than the other file holds."""
    export = shutil.copytree(EXPORT, tmp_path / "export")
    program = copy.deepcopy(PROGRAM)
    parameter = next(each for each in operators(program) if each["#"] == "p")
    for values, message in (
        ([0, 1, 1], "a parameter without a name"),
        ([0, 1, 1, 7], "a parameter without a name"),
        ([0, 1, 1, "x" * 2000], "has 2,000 characters"),
    ):
        parameter["A"] = values
        (export / "inference.json").write_text(json.dumps(program))
        with pytest.raises(UserError, match=message):
            read_weights(export)
    operators(program).remove(parameter)
    (export / "inference.json").write_text(json.dumps(program))
    with pytest.raises(UserError, match=r"goes on after the 7 variables"):
        read_weights(export)
