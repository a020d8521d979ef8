"""CSV files with columns: which column is what, what classes are called, and what is wrong with a line."""

import os

import pytest
from photos_elsewhere import photos, require_same

from imgcls.data.formats.build import SAMPLE_PHOTOS, build_samples
from imgcls.data.formats.table_list import Columns
from imgcls.errors import UserError


def write(path, *lines, encoding="utf-8"):
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def files(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def read(root, split="train", columns=None, **options):
    lists = {"train_list": "train.csv", "val_list": "val.csv", **options}
    return build_samples("list", root, split=split, columns=columns, **lists)


def refusal(*arguments, **options):
    with pytest.raises(UserError) as caught:
        read(*arguments, **options)
    return str(caught.value)


def test_one_table_of_both_splits_is_the_folder(tmp_path):
    lines = [f"{split},{split}/{path},{name}" for split in ("train", "val") for path, name, _ in photos(split)]
    table = write(tmp_path / "all.csv", "part,file,species", *lines)
    columns = Columns(label="species", split="part")
    for split in ("train", "val"):
        require_same(read(SAMPLE_PHOTOS, split, columns, train_list=str(table)), split)
    assert "no such column. Did you mean 'species'?" in refusal(
        SAMPLE_PHOTOS, columns=Columns(label="specie", split="part"), train_list=str(table)
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_names_blanks_quotes_and_delimiters(tmp_path, encoding):
    files(tmp_path, "我的 照片/a, b.jpg", "2.jpg")
    write(tmp_path / "train.csv", "image,label", '"我的 照片/a, b.jpg","chat, noir"', "2.jpg, café", encoding=encoding)
    samples = read(tmp_path)
    assert samples.class_names == ("café", "chat, noir")
    assert os.path.isfile(samples.path(0))
    for mark in (";", "\t"):
        write(tmp_path / "train.csv", f"x{mark}Label", f"2.jpg{mark}b", f"2.jpg{mark}a", encoding=encoding)
        assert read(tmp_path).class_names == ("a", "b")


def test_files_without_their_ending_and_with_backslashes(tmp_path):
    files(tmp_path, "images/1.JPG", "images/2.JPG")
    write(tmp_path / "train.csv", "id_code,diagnosis", "images/1,0", "images/2,1")
    columns = Columns("id_code")
    assert read(tmp_path, columns=columns).relative_paths(0, 9) == [b"images/1.JPG", b"images/2.JPG"]
    write(tmp_path / "train.csv", "image,diagnosis", "images\\1.JPG,0", "images\\2.JPG,1")
    assert read(tmp_path).relative_path(1) == b"images/2.JPG"


def test_numbers_are_names_in_their_order_unless_it_is_known_what_they_count(tmp_path):
    files(tmp_path, "1.jpg")
    write(tmp_path / "train.csv", "image,label", "1.jpg,10", "1.jpg,9", "1.jpg,2")
    write(tmp_path / "val.csv", "image,label", "1.jpg,9")
    assert read(tmp_path).class_names == ("2", "9", "10")
    assert read(tmp_path, "val").labels.tolist() == [1]
    named = read(tmp_path, num_classes=12, allow_empty_classes=True)
    assert (named.num_classes, named.labels.tolist()) == (12, [10, 9, 2])
    assert "there is no class '10'" in refusal(tmp_path, num_classes=10)
    names = tuple("abcdefghijkl")
    assert read(tmp_path, class_names=names, split="val").labels.tolist() == [9]
    (tmp_path / "classes.txt").write_text("".join(f"{number} {name}\n" for number, name in enumerate(names)))
    mapped = read(tmp_path, class_map=tmp_path / "classes.txt", allow_empty_classes=True)
    assert mapped.class_names[mapped.label(0)] == "k"


def test_the_classes_of_a_checkpoint_are_matched_by_name(tmp_path):
    files(tmp_path, "1.jpg")
    write(tmp_path / "val.csv", "image,label", "1.jpg,dog", "1.jpg,cat")
    assert read(tmp_path, "val", class_names=("cat", "cow", "dog")).labels.tolist() == [2, 0]
    message = refusal(tmp_path, "val", class_names=("cat", "fog"))
    assert "line 2: there is no class 'dog'. Did you mean 'fog'?" in message


def test_shares_and_folds_of_a_table(tmp_path):
    files(tmp_path, *(f"{number}.jpg" for number in range(10)))
    write(tmp_path / "train.csv", "image,label", *(f"{number}.jpg,{'ab'[number % 2]}" for number in range(10)))
    parts = [read(tmp_path, "val", folds=5, fold=fold).relative_paths(0, 9) for fold in range(5)]
    assert sorted(path for part in parts for path in part) == [b"%d.jpg" % number for number in range(10)]
    assert len(read(tmp_path, "val", val_share=0.2)) == 2


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["image,label", "1.jpg"], "line 2: 1 columns, where the header has 2"),
        (["image,label", "1.jpg,"], "line 2: no class: '1.jpg,'"),
        (["image,label", '"1.jpg,a'], "is no CSV file, at line 2"),
        (["image"], "needs a header and two columns"),
        (["image,label"], "has no lines below its header"),
        (["a,b,c", "1.jpg,x,y"], "Which column of"),
        (["image,a,b", "1.jpg,x,y"], "has the classes? Say it with data.label_column=<name>. There are: image, a, b"),
        (["image,label", "2.jpg,a", "1.jpg,b"], "line 2: "),
        (["1.jpg,a", "1.jpg,b"], "names a picture, and no columns. Let it be image,label"),
        (["PK\3\4"], "is a workbook or another packed file"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, lines, words):
    files(tmp_path, "1.jpg")
    write(tmp_path / "train.csv", *lines)
    assert words in refusal(tmp_path)


def test_a_wrong_line_is_noted_where_that_is_asked_for(tmp_path):
    files(tmp_path, "1.jpg")
    write(tmp_path / "train.csv", "image,label", "1.jpg,a", "1.jpg", "1.jpg,b")
    noted = []
    samples = read(tmp_path, on_wrong_line=lambda number, fault: noted.append((number, fault)))
    assert (len(samples), [number for number, _ in noted]) == (2, [3])


def test_a_table_of_wrong_classes_is_looked_through_once(tmp_path):
    """What could be meant is looked for of the few that are shown, whatever the number of lines and classes."""
    files(tmp_path, "1.jpg")
    names = [f"class {number}" for number in range(2000)]
    write(tmp_path / "train.csv", "image,label", *(f"1.jpg,{name}" for name in names))
    write(tmp_path / "val.csv", "image,label", *(f"1.jpg,{name.upper()}" for name in names))
    message = refusal(tmp_path, "val")
    assert "2,000 lines of the table" in message
    assert message.count("Did you mean") == 5
    assert "there is no class 'CLASS 0'. Did you mean 'class 0'" in message


def test_numbers_of_any_length_have_an_order(tmp_path):
    files(tmp_path, "1.jpg")
    write(tmp_path / "train.csv", "image,label", f"1.jpg,{'9' * 5000}", "1.jpg,10", "1.jpg,007", "1.jpg,7")
    assert read(tmp_path).class_names == ("007", "7", "10", "9" * 5000)
