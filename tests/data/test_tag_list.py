"""Pictures with any number of classes: lists, tables and folders of tags."""

import numpy as np
import pytest
from PIL import Image

from imgcls.data.formats.build import build_samples
from imgcls.data.formats.record import differences, known, write_samples
from imgcls.errors import UserError


def picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)).save(path)


@pytest.fixture
def root(tmp_path):
    for number in range(4):
        picture(tmp_path / "我的照片" / f"photo ({number}).jpg", number)
    return tmp_path


def build(root, split="train", **options):
    return build_samples("list", root=str(root), split=split, multi_label=True, **options)


def tags(samples):
    return [np.flatnonzero(samples.target(index)).tolist() for index in range(len(samples))]


LINES = (
    "我的照片/photo (0).jpg 0,3\r\n\n我的照片/photo (1).jpg\t1\n"
    "我的照片/photo (2).jpg 3,0,2\n我的照片/photo (3).jpg -\n"
)


def test_numbers_with_commas(root):
    (root / "train_list.txt").write_text(LINES, encoding="utf-8")
    (root / "val_list.txt").write_text(LINES.splitlines()[0], encoding="utf-8")
    samples = build(root)
    assert tags(samples) == [[0, 3], [1], [0, 2, 3], []]
    assert samples.class_names == ("0", "1", "2", "3")
    assert samples.class_counts().tolist() == [2, 1, 1, 2]
    assert samples.target(0).dtype == np.float32
    assert samples.path(1).endswith("我的照片/photo (1).jpg")
    assert tags(samples.subset(np.array([2, 0]))) == [[0, 2, 3], [0, 3]]
    assert tags(build(root, "val")) == [[0, 3]]
    assert build(root, "val").num_classes == 4


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("path,tags\nA,sea; boat\nB,\nC,boat|sun|boat\n", ("boat", "sea", "sun")),
        ("\ufefffile,boat,sea,sun\r\nA,1,1,0\r\nB,0,,0\r\nC,1,0,true\r\n", ("boat", "sea", "sun")),
    ],
)
def test_tables(root, table, names):
    for number, letter in enumerate("ABC"):
        table = table.replace(f"\n{letter},", f"\n我的照片/photo ({number}).jpg,")
    (root / "all.csv").write_text(table, encoding="utf-8", newline="")
    samples = build(root, train_list="all.csv")
    assert samples.class_names == names
    assert tags(samples) == [[0, 1], [], [0, 2]]
    other = build(root, train_list="all.csv", class_names=("sun", "moon", "sea", "boat"), allow_empty_classes=True)
    assert tags(other) == [[2, 3], [], [0, 3]]
    with pytest.raises(UserError, match="there is no class 'boat'"):
        build(root, train_list="all.csv", class_names=("sun", "sea"), allow_empty_classes=True)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "a.jpg 0, 3\n", "line 1: 'a.jpg 0, 3'|files|do not exist|whole numbers"),
        ("a.txt", "a.jpg 0,x\n", "line 1: '0,x' are no whole numbers"),
        ("a.txt", "a.jpg\n", "line 1: no labels after the path"),
        ("a.txt", "a.jpg 0,7\n", "line 1: the label 7 is outside 0 to 3"),
        ("a.txt", "a.jpg 0,123456789\n", "line 1: '0,123456789' are no whole numbers"),
        ("a.txt", "\n\n", "has no lines"),
        ("a.txt", "a.jpg 0,1,2,3\n", "line 1: .*a.jpg"),
        ("a.csv", "path,tags\n", "no lines below its header"),
        ("a.csv", "path\na.jpg\n", "has one column"),
        ("a.csv", "path,a,b\na.jpg,1\n", "line 2: 2 columns, where the header has 3"),
        ("a.csv", "path,a,b\na.jpg,1,maybe\n", "line 2: 'maybe' where 1 or 0 should be"),
        ("a.csv", "path,a,a\na.jpg,1,0\n", "two columns of one name"),
        ("a.csv", 'path,a\na.jpg,"1\n', "is no CSV file"),
    ],
)
def test_what_is_wrong_is_named(root, name, content, words):
    (root / name).write_text(content)
    with pytest.raises(UserError, match=words):
        build(root, train_list=name, num_classes=4)


def test_a_table_of_another_encoding_is_refused(root):
    (root / "a.csv").write_bytes("path,tags\na.jpg,Bär\n".encode("latin-1"))
    with pytest.raises(UserError, match="is not UTF-8"):
        build(root, train_list="a.csv")


def test_wrong_lines_can_be_reported_instead(root):
    (root / "train_list.txt").write_text(LINES + "b.jpg ?\n", encoding="utf-8")
    noted = []
    samples = build(root, on_wrong_line=lambda number, fault: noted.append(number), check_files="none")
    assert (noted, len(samples)) == ([6], 4)


def test_a_picture_in_several_folders_has_several_tags(tmp_path):
    for place, seed in (("train/sea/1.jpg", 1), ("train/boat/1.jpg", 1), ("train/sea/2.jpg", 2), ("val/sea/3.jpg", 3)):
        picture(tmp_path / place, seed)
    samples = build_samples("folder", root=str(tmp_path), multi_label=True)
    assert samples.class_names == ("boat", "sea")
    assert tags(samples) == [[0, 1], [1]]
    assert tags(build_samples("folder", root=str(tmp_path), split="val", multi_label=True)) == [[1]]
    picture(tmp_path / "train" / "boat" / "2.jpg", 7)
    with pytest.raises(UserError, match=r"1 pictures have the name of another one(.|\n)*2\.jpg"):
        build_samples("folder", root=str(tmp_path), multi_label=True)


def test_formats_that_have_one_class_a_picture_say_so():
    with pytest.raises(UserError, match=r"data\.multi_label=true is for data=folder, data=list, data=sample"):
        build_samples("synthetic", multi_label=True)


def test_a_share_for_validation(root):
    (root / "train_list.txt").write_text(LINES, encoding="utf-8")
    parts = [build(root, split, val_share=0.5, allow_empty_classes=True) for split in ("train", "val")]
    assert sorted(own for part in parts for own in tags(part)) == sorted([[0, 3], [1], [0, 2, 3], []])
    assert min(map(len, parts)) == 1


def test_a_checkpoint_notices_other_tags(root, tmp_path):
    (root / "train_list.txt").write_text(LINES, encoding="utf-8")
    before = build(root)
    write_samples(before, tmp_path / "samples.gz")
    (root / "train_list.txt").write_text(LINES.replace("3,0,2", "3,0,2,1"), encoding="utf-8")
    now = build(root)
    assert known(now) != known(before)
    assert differences(tmp_path / "samples.gz", before) == []
    assert "1 of another class" in differences(tmp_path / "samples.gz", now)[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "path;sea;boat\n{0};1;0\n{1};1;1\n"),
        ("a.tsv", "path\tsea\tboat\n{0}\t1\t0\n{1}\t1\t1\n"),
        ("a.tsv", "path\ttags\n{0}\tsea\n{1}\tsea; boat\n"),
        ("a.csv", "path;tags\n{0};sea\n{1};sea|boat\n"),
    ],
)
def test_other_marks_between_the_columns(root, name, content):
    (root / name).write_text(
        content.format(*(f"我的照片/photo ({number}).jpg" for number in range(2))), encoding="utf-8"
    )
    samples = build(root, train_list=name)
    assert [sorted(samples.class_names[tag] for tag in own) for own in tags(samples)] == [["sea"], ["boat", "sea"]]
