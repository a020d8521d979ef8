"""YAML and JSON that grow when they are read: in exports, in what a run recorded, by themselves."""

import json
import os
import random
import runpy

import pytest
import yaml
from locations import ROOT

from imgcls.data.pictures.preprocessing import Preprocessing
from imgcls.deploy.contract import FILE, MODEL_FILES, Contract, write_contract
from imgcls.models.registry import model_info

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
YAMLS = {
    "a milliard laughs": LAUGHS,
    "one anchor": "a: &a [x]\n",
    "an alias of itself": "a: &a [*a]\n",
    "merges": "a: {<<: {b: 1}}\n",
    "a tag": "a: !!python/object/apply:os.system [touch executed]\n",
    "a tag of a number": f"a: !!int '{'1' * 100_000}'\n",
    "brackets": "a: " + "[" * 400_000,
    "braces": "{a: " * 100_000,
    "dashes": "- " * 400_000,
    "indentation": "".join(f"{' ' * depth}a:\n" for depth in range(3000)),
    "keys of keys": "? " * 100_000,
    "empty lists": "a: [" + "[]," * 2_000_000 + "]",
    "empty maps": "a: [" + "{}," * 2_000_000 + "]",
    "numbers": "a: [" + "0," * 4_000_000 + "]",
    "a long number": "a: " + "1" * 4000,
    "a long number in hexadecimal": "a: 0x" + "f" * 4000,
    "a long number to the base of 60": "a: 1" + ":59" * 1300,
    "keys that hash alike": "".join(f"{number * (2**61 - 1)}: 1\n" for number in range(1, 100_000)),
    "the same key twice": "a: 1\na: 2\n",
    "documents": "--- {a: 1}\n" * 100_000,
    "directives": "%TAG ! tag:x\n" * 100_000 + "--- a",
    "quotes": "'" * 4_000_001,
    "megabytes": "a: '" + "x" * 9_000_000 + "'",
    "a control character": "a: \0",
    "bytes": "\udcff\udcfe",
    "nothing": "",
    "a list": "- a\n",
    "a word": "a\n",
}


@pytest.mark.parametrize("name", YAMLS)
def test_yaml_that_grows_is_refused(refused, tmp_path, name):
    (tmp_path / FILE).write_bytes(YAMLS[name].encode(errors="surrogateescape"))
    assert FILE in refused("read_contract", tmp_path)
    assert not os.path.exists("executed")


JSONS = {
    "brackets": "[" * 1_000_000,
    "brackets that close": "[" * 900 + "]" * 900,
    "objects": '{"a":' * 100_000,
    "empty lists": "[" + "[]," * 1_000_000 + "0]",
    "small objects": "[" + '{"":0},' * 500_000 + "0]",
    "a long number": "1" * 100_000,
    "megabytes": '"' + "x" * 7_000_000 + '"',
    "bytes": "\udcff",
    "nothing": "",
}


@pytest.mark.parametrize("name", JSONS)
def test_json_that_grows_is_refused(refused, tmp_path, name):
    (tmp_path / "state.json").write_bytes(JSONS[name].encode(errors="surrogateescape"))
    assert "state.json" in refused("read_json", tmp_path / "state.json")


def test_what_this_library_writes_is_read(ask_bounded, tmp_path):
    (tmp_path / "state.json").write_text(json.dumps({"rows": [{"epoch": n, "loss": 0.1} for n in range(20_000)]}))
    assert ask_bounded("read_json", tmp_path / "state.json") == ["read"]
    names = tuple(f"类 {number}: 'quoted', \"twice\" - [a] {{b}} #c &d *e !f" for number in range(22_000))
    write_contract(contract_with(names), tmp_path)
    assert ask_bounded("read_contract", tmp_path) == ["read"]


def contract_with(names):
    return Contract(
        model="squeezenet1_1",
        input="float",
        preprocessing=Preprocessing.of_model(model_info("squeezenet1_1")),
        output="logits",
        sha256=dict.fromkeys(MODEL_FILES, "0" * 64),
        versions={"imgcls": "1"},
        class_names=names,
    )


VALUES = [None, True, 0, -1, 1, 10**9, 10**35, -(10**35), 0.5, 1e308, float("inf"), float("nan"), "", "x", "x" * 70]
VALUES += [[], {}, [1, 2, 3], [10**35] * 3, [[]], {"a": {}}, [None, None, None], {1: 2}, {None: None}]


def test_an_export_with_any_value_at_any_key_is_read_or_refused(ask_bounded, tmp_path):
    write_contract(contract_with(("cat", "dog")), tmp_path)
    whole = yaml.safe_load((tmp_path / FILE).read_text())
    paths = []
    for key in whole:
        for number, value in enumerate(VALUES):
            paths.append(tmp_path / f"{key}-{number}")
            paths[-1].mkdir()
            (paths[-1] / FILE).write_text(yaml.dump(whole | {key: value}, Dumper=yaml.SafeDumper))
    answers = dict(zip(paths, ask_bounded("read_contract", *paths), strict=True))
    for key in ("image_size", "mean", "std", "versions", "source", "sha256", "class_names"):
        huge = [answers[tmp_path / f"{key}-{VALUES.index(value)}"] for value in (10**9, 10**35, [10**35] * 3)]
        assert all(f"{key} is " in answer for answer in huge), huge


def test_changed_exports_are_read_or_refused(ask_bounded, tmp_path):
    write_contract(contract_with(("cat", "dog")), tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    generator = random.Random(2)
    paths = []
    for number in range(300):
        changed = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            changed[generator.randrange(len(changed))] = generator.choice(b"\0\n\t :-[]{}&*!|>'\"%@`0129.ex\x80\xff")
        paths.append(tmp_path / str(number))
        paths[-1].mkdir()
        (paths[-1] / FILE).write_bytes(changed)
    ask_bounded("read_contract", *paths)


@pytest.mark.parametrize("name", ["a milliard laughs", "an alias of itself", "a tag", "merges of merges"])
def test_clients_without_this_library_refuse_it_too(tmp_path, name):
    read = runpy.run_path(str(ROOT / "scripts" / "clients" / "service" / "plain_yaml.py"))["read"]
    (tmp_path / FILE).write_text(YAMLS.get(name) or "a: &a {b: 1}\nc: {<<: [*a, *a]}\n")
    with pytest.raises(ValueError, match="YAML"):
        read(tmp_path / FILE)
    write_contract(contract_with(("cat", "dog")), tmp_path)
    assert read(tmp_path / FILE) == yaml.safe_load((tmp_path / FILE).read_text())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: '" + "x" * (8 << 20) + "'", "has more than 8,388,608 bytes"),
        ("a: [" + "0," * 200_000 + "]", "more than 200,000 values"),
        ("a: " + "[" * 2000 + "]" * 2000, "nested too deeply"),
        ("a: [", "is not YAML"),
    ],
)
def test_clients_without_this_library_bound_it_too(tmp_path, content, message):
    read = runpy.run_path(str(ROOT / "scripts" / "clients" / "service" / "plain_yaml.py"))["read"]
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / FILE)


TOO_MUCH = {
    "read_list": ("train.txt", 4 << 30, "larger than 4,294,967,296 bytes"),
    "read_class_map": ("names.txt", 5 << 20, "larger than 4,194,304 bytes"),
    "read_history": ("metrics.csv", 65 << 20, "larger than 67,108,864 bytes"),
    "find_images": ("pictures.txt", 4 << 30, "larger than 4,294,967,296 bytes"),
}
"""Reader to a file's name and bytes; it is all holes, and takes no room."""


@pytest.mark.parametrize("reader", TOO_MUCH)
def test_lists_and_tables_have_an_end(refused, tmp_path, reader):
    name, size, message = TOO_MUCH[reader]
    with (tmp_path / name).open("wb") as file:
        file.truncate(size + 1)
    assert message in refused(reader, tmp_path / name)
    if reader == "find_images":  # what is no file is no list to it
        return
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    assert "a device, a pipe or a socket" in refused(reader, tmp_path / name)


@pytest.mark.parametrize("line", ["9" * 5000 + " cat", "x" * 100_000, "0 " + "x" * 1_000_000 + "\n0 y", "\0 \0"])
def test_odd_lines_of_a_class_map(refused, tmp_path, line):
    (tmp_path / "names.txt").write_text(line)
    assert "names.txt" in refused("read_class_map", tmp_path / "names.txt")


@pytest.mark.parametrize(
    "text", ["a" * 200_000 + ",b\n1,2\n", "epoch,loss\n\0,1\n", 'epoch,"' + "x" * 200_000 + "\n", "epoch," * 100_000]
)
def test_odd_tables_are_read_or_refused(ask_bounded, tmp_path, text):
    (tmp_path / "metrics.csv").write_text(text)
    ask_bounded("read_history", tmp_path / "metrics.csv")


LINES = {
    "no object": b"{]}\n",
    "braces": b"{" + b'"a":{' * 100_000 + b"}\n",
    "a long line": b'{"a": "' + b"x" * (2 << 20) + b'"}\n',
    "no end": b'{"path": "a"}\n' + b"{" * 10,
    "numbers": b'{"path": 3, "end": "x"}\n{"path": [1], "end": -5}\n{"a": 1e999}\n',
}


@pytest.mark.parametrize("name", LINES)
def test_what_a_prediction_goes_on_with_is_read_or_refused(ask_bounded, tmp_path, name):
    """A record that is not whole ends what is kept; the two files of features then have as many rows."""
    (tmp_path / "features.paths.jsonl").write_bytes(LINES[name])
    (tmp_path / "features.rows").write_bytes(bytes(64))
    ask_bounded("resume_features", tmp_path)
