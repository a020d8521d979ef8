"""Rows of CSV files: line ends, marks between columns, and what is no row that a person makes."""

import pytest

from imgcls.data.formats.csv_rows import Faults, csv_rows, delimiter_of
from imgcls.errors import UserError
from imgcls.machine.limits import LINE_BYTES


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_any_line_end_and_a_mark_at_the_start(end, start):
    text = f'{start}image,label{end}{end}"a, ""b"".jpg",猫{end}"two\nlines",x{end}'
    rows = list(csv_rows(text.encode(), "t.csv", ","))
    assert [row for _, row in rows] == [["image", "label"], ['a, "b".jpg', "猫"], ["two\nlines", "x"]]
    assert [number for number, _ in rows][:2] == [1, 3]


def test_the_mark_that_the_header_has_most_of():
    assert [delimiter_of(text) for text in (b"a;b;c,d\n1,2,3,4", b"a\tb", b"a,b", b"a")] == [";", "\t", ",", ","]
    assert delimiter_of(b"path\ttags;more", ",\t") == "\t"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n" + b"," * (LINE_BYTES + 1), f"at line 2: a row of more than {LINE_BYTES:,} characters"),
        (b"a,b\n" + b'"\n",' * LINE_BYTES, f"a row of more than {LINE_BYTES:,} characters"),
        (b"a,b\n" + b"x" * 200_000, "field larger than field limit"),
        (b'a,b\n"x', "is no CSV file, at line 2"),
        (b"a,b\nx,\xff\n", "t.csv is not UTF-8 (byte 6)"),
    ],
    ids=["wide", "many lines", "a long cell", "a quote", "bytes"],
)
def test_what_is_no_table_ends_in_one_message(content, words):
    with pytest.raises(UserError) as caught:
        list(csv_rows(content, "t.csv", ","))
    assert words in str(caught.value)


def test_faults_are_counted_or_reported():
    counted = Faults("t.csv", None)
    for number in range(10):
        counted.add(number, "wrong")
    assert (counted.count, len(counted.first)) == (10, 5)
    heard = []
    reported = Faults("t.csv", lambda *fault: heard.append(fault))
    reported.add(3, "wrong")
    assert (reported.count, reported.first, heard) == (1, [], [(3, "wrong")])
