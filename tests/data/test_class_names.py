"""Class-map files."""

import pytest

from imgcls.data.formats.class_names import default_class_names, read_class_map
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
