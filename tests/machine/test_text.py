"""What no name can break: a line, JSON, a terminal; and every text file of the library says that it is UTF-8."""

import ast
import json
import subprocess

import pytest
from locations import ROOT

from imgcls.machine.text import escape_controls, json_text, printable_text, shell_line, write_json

HOSTILE = [
    *("line\nbreak", "return\rx", "u2028\u2028x", "next\x85line", "\x1b[31mred\x1b[0m", "\x9b31m", "\u202egnp.exe"),
    *("tab\there", "\u2066isolate", "zero\x00", "bell\x07", "mark\ufeff", "half\udcff", "\x1c\x1d\x1e"),
]
ORDINARY = [
    "猫 и кот",
    "café",
    "cafe\u0301",
    "हिन्दी",
    "می\u200cخواهم",
    "👩\u200d👩\u200d👧",
    "a\\b",
    "[red]",
    "$x$",
    "a,b;'\"",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_becomes_one_line_of_plain_characters(name):
    shown = printable_text(name)
    assert len(shown.splitlines()) == 1
    assert shown.isprintable()
    assert shown.encode("utf-8")
    assert printable_text(shown) == shown


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_name_stays_as_it_is(name):
    assert printable_text(name) == name
    assert name in json_text({"name": name}) or set(name) & set('\\"')


@pytest.mark.parametrize("name", [*HOSTILE, *ORDINARY])
def test_json_is_one_line_that_reads_back(name, tmp_path):
    text = json_text({name: [name]})
    assert len(text.splitlines()) == 1
    assert "\x1b" not in text
    assert json.loads(text) == {name: [name]}
    write_json(tmp_path / "x.json", {name: 1})
    assert json.loads((tmp_path / "x.json").read_bytes().decode("utf-8")) == {name: 1}


def test_lines_of_a_message_stay_lines():
    assert escape_controls("one\n  two\x1b[2J", lines=True) == "one\n  two\\x1b[2J"


def _without_encoding(tree: ast.AST):
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        owner = getattr(getattr(call.func, "value", None), "id", None)
        options = {keyword.arg for keyword in call.keywords}
        texts = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
        if name in ("run", "Popen", "check_output") and options & {"text", "universal_newlines"}:
            yield call
        elif (
            owner in ("Image", "archive", "os", "tarfile", "webbrowser")
            or "encoding" in options
            or "formats" in options
        ):
            continue
        elif (name == "read_text" and isinstance(call.func, ast.Attribute) and not texts) or name in (
            "write_text",
            "FileHandler",
        ):
            yield call
        elif name == "open" and "timeout" not in options:  # of a URL
            mode = [one for one in texts if isinstance(one, str) and set(one) <= set("rwaxbt+")]
            chosen = any(isinstance(argument, ast.IfExp) for argument in call.args)  # "ab" if start else "wb"
            if not (mode and "b" in mode[0]) and not (chosen and "b" in ast.unparse(call)):
                yield call


def test_every_text_file_names_its_encoding():
    """Without one it is the locale's, and what is written under one cannot be read under another."""
    found = []
    for directory in ("imgcls", "scripts"):
        for path in (ROOT / directory).rglob("*.py"):
            calls = _without_encoding(ast.parse(path.read_text(encoding="utf-8")))
            found += [f"{path.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)}" for call in calls]
    assert not found


@pytest.mark.parametrize(
    "line",
    ["open(p)", "p.open('w')", "p.read_text()", "p.write_text(x)", "subprocess.run(c, text=True)", "FileHandler(p)"],
)
def test_the_rule_finds_what_it_is_for(line):
    assert list(_without_encoding(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    ["open(p, 'rb')", "p.open('a+b')", "p.read_text('ascii')", "p.write_text(x, encoding='utf-8')", "os.open(p)"],
)
def test_the_rule_lets_bytes_and_encodings_be(line):
    assert not list(_without_encoding(ast.parse(line)))


@pytest.mark.parametrize("name", [*(name for name in HOSTILE if "\0" not in name), "it's \udcfe\\'", *ORDINARY])
def test_a_command_comes_out_of_a_shell_as_it_was(name):
    line = shell_line(["printf", "%s", f"run.name={name}"])
    assert printable_text(line) == line
    shown = subprocess.run(["bash", "-c", line], capture_output=True).stdout
    assert shown == f"run.name={name}".encode("utf-8", "surrogateescape")
