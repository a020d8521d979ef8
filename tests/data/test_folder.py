"""A directory per class: order, nesting, odd names, and what is refused."""

import os

import pytest

from imgcls.data.formats.folder import class_folders, read_folder
from imgcls.errors import UserError


def make(root, *paths):
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


def as_pairs(samples):
    return [(os.path.relpath(samples.path(i), samples.root), samples.label(i)) for i in range(len(samples))]


def refusal(root, *arguments, **options):
    with pytest.raises(UserError) as caught:
        read_folder(root, *arguments, **options)
    return str(caught.value)


def test_order_nesting_and_what_is_left_out(tmp_path):
    make(tmp_path, "dog/b.PNG", "dog/a.jpeg", "cat/deep/er/x y.JPG", "cat/z.webp")
    make(tmp_path, "cat/notes.txt", "cat/._z.jpg", ".cache/c.jpg", "loose.jpg", "cat/.thumbs/t.jpg")
    samples = read_folder(tmp_path)
    assert samples.class_names == ("cat", "dog")
    assert as_pairs(samples) == [("cat/deep/er/x y.JPG", 0), ("cat/z.webp", 0), ("dog/a.jpeg", 1), ("dog/b.PNG", 1)]


def test_names_in_any_script_and_none(tmp_path):
    make(tmp_path, "кот/猫.jpg")
    raw = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(raw)
    open(os.path.join(raw, b"\xff.jpg"), "w").close()
    samples = read_folder(tmp_path)
    assert samples.class_names == (r"caf\xe9", "кот")
    assert all(os.path.isfile(samples.path(i)) for i in range(2))


def test_symbolic_links_are_followed_but_not_in_circles(tmp_path):
    make(tmp_path / "store", "x.jpg")
    make(tmp_path / "data", "cat/a.jpg")
    (tmp_path / "data" / "dog").symlink_to(tmp_path / "store")
    (tmp_path / "data" / "cat" / "loop").symlink_to(tmp_path / "data" / "cat")
    assert as_pairs(read_folder(tmp_path / "data")) == [("cat/a.jpg", 0), ("dog/x.jpg", 1)]


def test_each_directory_once_whatever_leads_to_it(tmp_path, caplog):
    root = tmp_path / "我的照片"
    make(root, "cat/a.jpg", "cat/b/c.jpg", "dog/d.jpg", *(f"cat/n{number}/x.jpg" for number in range(12)))
    for number in range(12):  # each leads to all others: as many paths as there are orders of twelve
        for other in range(12):
            (root / "cat" / f"n{number}" / f"to{other}").symlink_to(root / "cat" / f"n{other}")
    (root / "cat" / "0 link").symlink_to(root / "cat" / "b")
    (root / "cat" / "dogs").symlink_to(root / "dog")
    (root / "cat" / "up").symlink_to(root)
    nested = [(f"cat/n{number}/x.jpg", 0) for number in sorted(range(12), key=str)]
    expected = [("cat/a.jpg", 0), ("cat/b/c.jpg", 0), *nested, ("dog/d.jpg", 1)]
    assert as_pairs(read_folder(root)) == expected
    assert f"{root}/cat/dogs leads to {root}/dog" in caplog.text
    assert "and 142 more" in caplog.text  # of 147 links


def test_links_between_directories_elsewhere(tmp_path, caplog):
    make(tmp_path / "store", *(f"n{number}/x.jpg" for number in range(50)))
    for number in range(50):
        (tmp_path / "store" / f"n{number}" / "next").symlink_to(tmp_path / "store" / f"n{(number + 1) % 50}")
    make(tmp_path / "data", "cat/a.jpg", "dog/d.jpg")
    (tmp_path / "data" / "cat" / "in").symlink_to(tmp_path / "store" / "n0")
    (tmp_path / "data" / "dog" / "in").symlink_to(tmp_path / "store" / "n0")
    (tmp_path / "data" / "cat" / "itself").symlink_to(tmp_path / "data" / "cat" / "itself")
    (tmp_path / "data" / "itself").symlink_to(tmp_path / "data" / "itself")
    found = as_pairs(read_folder(tmp_path / "data"))
    assert found[0] == ("cat/a.jpg", 0)
    assert [label for _, label in found].count(1) == 1  # n0 belongs to the class that is first
    assert f"{tmp_path}/data/dog/in leads to {tmp_path}/data/cat/in" in caplog.text
    assert f"{tmp_path}/data/cat/itself leads nowhere" in caplog.text


def test_a_class_that_is_a_link_to_another(tmp_path, caplog):
    make(tmp_path, "dog/d.jpg")
    (tmp_path / "cat").symlink_to(tmp_path / "dog")
    assert "cat" in refusal(tmp_path)
    assert f"{tmp_path}/cat leads to {tmp_path}/dog" in caplog.text


def test_labels_follow_the_given_class_names(tmp_path):
    make(tmp_path, "a/1.jpg", "b/2.jpg")
    assert as_pairs(read_folder(tmp_path, ("b", "a"))) == [("b/2.jpg", 0), ("a/1.jpg", 1)]


def test_other_classes_than_expected(tmp_path):
    make(tmp_path, "cats/1.jpg", "dog/2.jpg")
    message = refusal(tmp_path, ("cat", "dog"))
    assert "'cats' is not a class of the training images. Did you mean 'cat'?" in message
    assert "'cat' is missing" in message


def test_missing_empty_and_wrong_roots(tmp_path):
    assert "/none does not exist. Set data.root" in refusal(tmp_path / "none")
    assert "No data directory is given. Set data.root" in refusal(None)
    assert "holds no class directories" in refusal(tmp_path)
    make(tmp_path, "flat/a.jpg", "bare/cat/readme.txt")
    assert "holds no class directories" in refusal(tmp_path / "flat")
    assert "is not a directory" in refusal(tmp_path / "flat" / "a.jpg")
    assert "No image in the 1 class directories" in refusal(tmp_path / "bare")


def test_empty_class_is_named(tmp_path):
    make(tmp_path, "cat/a.jpg", "dog/readme.txt")
    assert "class 1 'dog'" in refusal(tmp_path)
    assert read_folder(tmp_path, allow_empty_classes=True).class_counts().tolist() == [1, 0]


def test_class_folders_are_sorted(tmp_path):
    make(tmp_path, "b/1", "a/1", "C/1", ".hidden/1", "file")
    assert class_folders(tmp_path) == ("C", "a", "b")


def test_a_class_is_one_however_its_accents_are_composed(tmp_path):
    """A Mac writes an é as two characters, Linux and Windows as one."""
    make(tmp_path / "mac", "cafe\u0301/1.jpg", "cafz/2.jpg")
    make(tmp_path / "linux", "caf\xe9/1.jpg", "cafz/2.jpg")
    assert class_folders(tmp_path / "mac") == class_folders(tmp_path / "linux") == ("cafz", "caf\xe9")
    there = read_folder(tmp_path / "mac", class_folders(tmp_path / "linux"))
    assert as_pairs(there) == [("cafz/2.jpg", 0), ("cafe\u0301/1.jpg", 1)]


def test_two_directories_of_one_class_are_told_apart(tmp_path):
    make(tmp_path, "cafe\u0301/1.jpg", "caf\xe9/2.jpg")
    message = refusal(tmp_path)
    assert "two directories of the class 'café': 'cafe\\u0301' and 'caf\\xe9'" in message
    assert "Move the pictures of one into the other" in message


def test_a_root_whose_accents_are_composed_otherwise_is_pointed_out(tmp_path):
    make(tmp_path, "caf\xe9/a/1.jpg")
    message = refusal(tmp_path / "cafe\u0301")
    assert "does not exist" in message
    assert "/caf\\xe9', which looks the same" in message
    assert "looks the same" not in refusal(tmp_path / "tea")


def test_names_with_line_breaks_and_escapes_are_classes_of_one_line(tmp_path):
    make(tmp_path, "a\nb/1.jpg", "\x1b[31m/2.jpg", "u\u2028/3.jpg")
    samples = read_folder(tmp_path)
    assert samples.class_names == ("\\x1b[31m", "a\\nb", "u\\u2028")
    assert all(os.path.isfile(samples.path(i)) for i in range(3))
