"""Class-map files."""

import pytest

from imgcls.data.formats.class_names import (
    class_name,
    class_names_text,
    default_class_names,
    read_class_map,
    read_class_names,
)
from imgcls.errors import UserError


def test_imagenets_names():
    names = default_class_names(1000)
    assert len(names) == 1000
    assert names[0] == "tench, Tinca tinca"
    assert names[999].startswith("toilet tissue")
    assert default_class_names(3) == ("0", "1", "2")


def test_any_order_blank_lines_and_scripts(tmp_path):
    path = tmp_path / "map.txt"
    path.write_text("\ufeff1 кот, cat\r\n\r\n0  猫 \n", encoding="utf-8")
    assert read_class_map(path) == ("猫", "кот, cat")
    path.write_text("\ufeff0\ttench, Tinca\r\n1 \t 大 猫\t\r\n", encoding="utf-8")
    assert read_class_map(path) == ("tench, Tinca", "大 猫")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0 a\ncat 1\n", r"map\.txt, line 2: expected 'index name', found 'cat 1'"),
        (b"0 a\n1\n", "line 2: expected 'index name', found '1'"),
        (b"-1 a\n", "line 1: expected 'index name'"),
        (b"0 a\n\n0 b\n", "line 3: index 0 was given before, in line 1"),
        (b"0 a\n2 b\n", r"index 1 is missing; 2 lines must hold the indices 0 to 1"),
        (b"0 a\n1 caf\xe9\n", "line 2: not UTF-8"),
        (b"\n \n", "is empty"),
    ],
)
def test_wrong_files(tmp_path, content, message):
    path = tmp_path / "map.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_class_map(path)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"Cannot read the class map .*none\.txt: No such file"):
        read_class_map(tmp_path / "none.txt")


@pytest.mark.parametrize(
    "name", ["line\nbreak", "u2028\u2028x", "\x1b[31mred", "\u202egnp", "cafe\u0301", "a\x85b", "猫"]
)
def test_names_survive_the_file_of_a_run(tmp_path, name):
    names = [class_name(name), class_name("other")]
    (tmp_path / "classes.txt").write_text(class_names_text(names), encoding="utf-8")
    assert read_class_names(tmp_path / "classes.txt") == names
    assert class_name(names[0]) == names[0]


def test_names_that_an_earlier_version_wrote_in_another_locale(tmp_path, monkeypatch):
    """It wrote as its locale did; under that one the run is read, under others the message says which way out."""
    (tmp_path / "classes.txt").write_bytes("虾\n鱼\n".encode("gbk"))
    with pytest.raises(UserError, match=r"classes\.txt is damaged: it is not UTF-8.*LC_ALL"):
        read_class_names(tmp_path / "classes.txt")
    monkeypatch.setattr("locale.getencoding", lambda: "gbk")
    assert read_class_names(tmp_path / "classes.txt") == ["虾", "鱼"]


def test_names_of_older_runs_are_read_whole(tmp_path):
    """They were written as they came; a separator of lines of Unicode's is no end of a line of the file."""
    (tmp_path / "classes.txt").write_text("a\u2028b\ncafe\u0301\ntench, Tinca tinca\n", encoding="utf-8")
    assert read_class_names(tmp_path / "classes.txt") == ["a\\u2028b", "café", "tench, Tinca tinca"]
