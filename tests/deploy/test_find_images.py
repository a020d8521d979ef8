"""Which pictures a path, a pattern or a list stands for."""

import os

import pytest

from imgcls.deploy.inputs import find_images
from imgcls.errors import UserError


@pytest.fixture
def tree(tmp_path):
    for name in ("b.jpg", "a.PNG", "notes.md", ".hidden.jpg", "sub/deep/c.jpeg", ".cache/d.jpg", "odd[1].jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(root, pictures):
    return [os.path.relpath(picture, root) for picture in pictures]


def test_one_picture_whatever_it_is_called(tree):
    assert find_images(str(tree / "notes.md")) == [str(tree / "notes.md")]
    assert find_images(str(tree / "odd[1].jpg")) == [str(tree / "odd[1].jpg")]


def test_directory_and_those_below(tree):
    assert names(tree, find_images(str(tree))) == ["a.PNG", "b.jpg", "odd[1].jpg", "sub/deep/c.jpeg"]


def test_links_to_directories_are_followed_once(tree, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "e.jpg").write_bytes(b"x")
    (tree / "sub" / "link").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(tree)
    found = names(tree, find_images(str(tree)))
    assert found == ["a.PNG", "b.jpg", "odd[1].jpg", "sub/deep/c.jpeg", "sub/link/e.jpg"]


def test_pattern(tree):
    assert names(tree, find_images(f"{tree}/*.jpg")) == ["b.jpg", "odd[1].jpg"]
    assert names(tree, find_images(f"{tree}/**/*.jp*g")) == ["b.jpg", "odd[1].jpg", "sub/deep/c.jpeg"]


def test_list_file_is_relative_to_its_place(tree):
    (tree / "sub" / "list.txt").write_bytes(b"\xef\xbb\xbfdeep/c.jpeg\r\n\r\n../b.jpg\n  %s \n" % bytes(tree / "a.PNG"))
    found = find_images(str(tree / "sub" / "list.txt"))
    assert [os.path.realpath(path) for path in found] == [
        str(tree / name) for name in ("sub/deep/c.jpeg", "b.jpg", "a.PNG")
    ]


def test_several_in_their_order(tree):
    found = find_images([str(tree / "sub"), f"{tree}/a*", str(tree / "b.jpg"), str(tree / "b.jpg")])
    assert names(tree, found) == ["sub/deep/c.jpeg", "a.PNG", "b.jpg", "b.jpg"]


def test_names_that_are_not_utf8(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.jpg\n")
    for source in (tmp_path, tmp_path / "list.txt"):
        (path,) = find_images(str(source))
        assert os.path.isfile(path)


def test_a_list_of_windows(tmp_path):
    (tmp_path / "猫").mkdir()
    (tmp_path / "猫" / "1.jpg").touch()
    (tmp_path / "it\\is.jpg").touch()
    (tmp_path / "list.txt").write_text("\ufeff猫\\1.jpg\r\nit\\is.jpg\r\n", encoding="utf-8")
    assert names(tmp_path, find_images(str(tmp_path / "list.txt"))) == ["猫/1.jpg", "it\\is.jpg"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("nowhere.jpg", "nothing at .*nowhere.jpg"),
        ("*.tiff", "No file matches the pattern"),
        ("empty", "no pictures in .*empty"),
        ("empty.txt", "names no pictures"),
    ],
)
def test_nothing_found(entry, message, tree, monkeypatch):
    monkeypatch.chdir(tree)
    (tree / "empty").mkdir()
    (tree / "empty.txt").write_text("\n \n")
    with pytest.raises(UserError, match=message):
        find_images(entry)
    with pytest.raises(UserError, match=message):
        find_images(["b.jpg", entry])


def test_no_entries():
    with pytest.raises(UserError, match=r"Set predict\.input to a picture"):
        find_images([], key="predict.input")
    with pytest.raises(UserError, match=r"There is nothing at .*/nix\.jpg\. Check search\.input\."):
        find_images("nix.jpg", key="search.input")
