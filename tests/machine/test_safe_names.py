"""Names of directories out of any text: what no system takes is changed, and no two become one."""

import unicodedata

import pytest

from imgcls.machine.safe_names import numbered, safe_name, safe_names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("tabby, tabby cat", "tabby, tabby cat"),
        ("花猫 (2)", "花猫 (2)"),
        ("a/b\\c:d*e?f", "a_b_c_d_e_f"),
        ("two\nlines\u2028three\x1b[31m", "two_lines_three_[31m"),
        ("..", "_"),
        (".hidden", "_hidden"),
        ("", "_"),
        ("ends. . ", "ends"),
        ("aux", "aux_"),
        ("COM1.x", "COM1.x_"),
        ("caf\udce9", "caf_"),
    ],
)
def test_a_name(text, name):
    assert safe_name(text) == name


def test_no_two_are_one_on_any_system():
    decomposed = unicodedata.normalize("NFD", "café")
    names = safe_names(["a/b", "a:b", "A_B", "café", decomposed, "a_b (2)"])
    assert names == ["a_b", "a_b (2)", "A_B (3)", "café", f"{decomposed} (2)", "a_b (2) (2)"]


def test_long_names_are_cut_between_characters():
    name = safe_name("猫" * 100)
    assert name == "猫" * 66
    twice = numbered("猫" * 83 + ".jpg", 12)
    assert twice == "猫" * 82 + " (12).jpg"
    assert len(twice.encode()) <= 255
