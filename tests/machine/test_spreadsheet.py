"""Tables for spreadsheets: their mark, and texts that must not be computed."""

import csv

import pytest

from imgcls.machine.spreadsheet import write_spreadsheet


def test_excel_knows_it_and_computes_nothing(tmp_path):
    file = tmp_path / "table.csv"
    texts = ["=1+1", "+49", "-x.jpg", "@sum", "＝1", '猫, "x"', "a\nline", "a=b", "caf\udce9"]
    write_spreadsheet(file, ["=name", "number"], [(text, -1.5) for text in texts])
    assert file.read_bytes().startswith("\ufeff'=name,number\r\n".encode())
    with file.open(encoding="utf-8-sig", newline="") as lines:
        _, *rows = csv.reader(lines)
    assert [row[0] for row in rows] == [*(f"'{text}" for text in texts[:5]), texts[5], "a\\nline", "a=b", "caf\\xe9"]
    assert {row[1] for row in rows} == {"-1.5"}


def test_a_table_is_whole_or_absent(tmp_path):
    def rows():
        yield [1]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_spreadsheet(tmp_path / "table.csv", ["a"], rows())
    assert list(tmp_path.iterdir()) == []
