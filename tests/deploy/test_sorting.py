"""Pictures in folders by class: names kept, nothing overwritten, nothing moved, gone on with."""

import os

import pytest

from imgcls.deploy.sorting import Folders
from imgcls.errors import UserError

NAMES = ["cat/dog", "unknown", "..", "猫"]


@pytest.fixture
def album(tmp_path):
    """Four files, two of one name, two of one name and content."""
    root = tmp_path / "我的照片"
    for path, content in {"a/1.jpg": "one", "b/1.jpg": "another", "a/2.jpg": "two", "b/2.jpg": "two"}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return root


def answers(album):
    return [
        (str(album / "a/1.jpg"), 0),
        (str(album / "b/1.jpg"), 0),
        (str(album / "a/1.jpg"), 0),  # named twice
        (str(album / "a/2.jpg"), None),
        (str(album / "b/2.jpg"), None),
    ]


SORTED = {
    "cat_dog/1.jpg": "one",
    "cat_dog/1 (2).jpg": "another",
    "unknown/2.jpg": "two",
    "unknown/2 (2).jpg": "two",
}


def content(root):
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def refuse(path, error):
    raise AssertionError((path, error))


@pytest.mark.parametrize("link", [False, True])
def test_again_and_again(link, album, tmp_path):
    before, root = content(album), tmp_path / "sorted"
    Folders(root, NAMES, link).prepare([str(album)], [path for path, _ in answers(album)])
    for _ in range(2):
        Folders(root, NAMES, link).sort(answers(album), refuse)
        assert content(root) == SORTED
    os.unlink(root / "cat_dog" / "1 (2).jpg")  # where an interruption left off
    Folders(root, NAMES, link).sort(answers(album), refuse)
    assert content(root) == SORTED
    assert {path.is_symlink() for path in root.rglob("*.jpg")} == {link}
    assert content(album) == before


def test_what_is_there_stays(album, tmp_path):
    root = tmp_path / "sorted"
    (root / "cat_dog").mkdir(parents=True)
    (root / "cat_dog" / "1.jpg").write_text("mine")
    (root / "cat_dog" / "1 (2).jpg").symlink_to("nothing")
    Folders(root, NAMES, link=False).sort([(str(album / "a/1.jpg"), 0)], refuse)
    assert content(root) == {"cat_dog/1.jpg": "mine", "cat_dog/1 (3).jpg": "one"}
    assert os.readlink(root / "cat_dog" / "1 (2).jpg") == "nothing"


def sort(album, root, pictures, report=refuse, link=False):
    folders = Folders(root, NAMES, link)
    folders.prepare([str(album)], [])
    folders.sort([(str(album / path), number) for path, number in pictures], report)
    return content(root)


def test_a_class_called_unknown_has_a_folder_of_its_own(album, tmp_path):
    found = sort(album, tmp_path / "sorted", [("a/1.jpg", 1), ("b/1.jpg", None), ("a/2.jpg", 2)])
    assert found == {"unknown (2)/1.jpg": "one", "unknown/1.jpg": "another", "_/2.jpg": "two"}


@pytest.mark.parametrize("link", [False, True])
def test_a_picture_that_has_gone_is_named_and_the_rest_go_on(link, album, tmp_path):
    told = []
    pictures = [("gone.jpg", 0), ("a/1.jpg", 3)]
    found = sort(album, tmp_path / "sorted", pictures, lambda path, error: told.append((path, str(error))), link)
    gone = str(album / "gone.jpg")
    assert told == [(gone, f"Cannot sort {gone}: No such file or directory.")]
    assert found == {"猫/1.jpg": "one"}


def test_places_that_cannot_be_sorted_into(album, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"predict\.sort_to=.*file: File exists"):
        Folders(tmp_path / "file", NAMES, link=False).prepare([], [])
    for root in (album, album / "sorted", album / "a"):
        with pytest.raises(UserError, match="lie in one another"):
            Folders(root, NAMES, link=False).prepare([str(album)], [str(album / "a/1.jpg")])
    assert not (album / "sorted").exists()
    (tmp_path / "sorted").mkdir()
    (tmp_path / "sorted" / "cat_dog").write_text("")
    with pytest.raises(UserError, match=r"sorted/cat_dog: File exists\..*predict\.resume=true"):
        sort(album, tmp_path / "sorted", [("a/1.jpg", 0)])
