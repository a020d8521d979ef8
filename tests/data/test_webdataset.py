"""WebDataset shards: the samples, labels and order of the folder they were made from."""

import json
import os

import pytest
from photos_elsewhere import photos, require_same
from test_tar import pack

from imgcls.data.formats import webdataset
from imgcls.data.formats.build import build_samples
from imgcls.data.formats.table_list import Columns
from imgcls.errors import UserError


def refusal(root, **options):
    with pytest.raises(UserError) as caught:
        build_samples("webdataset", root, **options)
    return str(caught.value)


def write(directory, label_of):
    """Shards of 40 photos, as webdataset's ShardWriter lays them out."""
    for split in ("train", "val"):
        members = []
        for number, (_, name, content) in enumerate(photos(split)):
            members.append([(f"{number:06}.jpg", content), label_of(number, name)])
        for shard in range(0, len(members), 40):
            flat = [member for sample in members[shard : shard + 40] for member in sample]
            pack(directory / f"photos-{split}-{shard // 40:04}.tar", *flat)


@pytest.mark.parametrize("split", ["train", "val"])
def test_names_in_cls_are_the_classes_of_the_folder(tmp_path, split):
    write(tmp_path, lambda number, name: (f"{number:06}.cls", f"{name}\n".encode()))
    require_same(build_samples("webdataset", tmp_path, split=split), split)


def test_numbers_count_the_names_of_a_class_map(tmp_path):
    names = sorted({name for _, name, _ in photos("train")})
    write(tmp_path, lambda number, name: (f"{number:06}.json", json.dumps({"label": names.index(name)}).encode()))
    (tmp_path / "classes.txt").write_text("".join(f"{number} {name}\n" for number, name in enumerate(names)))
    for split in ("train", "val"):
        require_same(build_samples("webdataset", tmp_path, split=split, class_map=tmp_path / "classes.txt"), split)
    assert build_samples("webdataset", tmp_path).class_names == tuple("01234")
    write(tmp_path, lambda number, name: (f"{number:06}.json", json.dumps({"label": str(9 + number % 2)}).encode()))
    assert build_samples("webdataset", tmp_path).class_names == ("9", "10")
    write(tmp_path, lambda number, name: (f"{number:06}.json", json.dumps({"label": names.index(name)}).encode()))
    assert "the label 4, which is outside 0 to 2" in refusal(tmp_path, num_classes=3)


def test_a_class_map_says_which_names_there_are_and_their_order(tmp_path):
    write(tmp_path, lambda number, name: (f"{number:06}.cls", name.encode()))
    names = tuple(sorted({name for _, name, _ in photos("train")}, reverse=True))
    (tmp_path / "classes.txt").write_text("".join(f"{number} {name}\n" for number, name in enumerate(names)))
    for split in ("train", "val"):
        samples = build_samples("webdataset", tmp_path, split=split, class_map=tmp_path / "classes.txt")
        assert samples.class_names == names
        expected = [names.index(name) for _, name, _ in photos(split)]
        assert samples.labels.tolist() == expected
    (tmp_path / "classes.txt").write_text("0 fish\n1 fisch\n")
    assert "'land_animal'" in refusal(tmp_path, class_map=tmp_path / "classes.txt")


def test_fields_and_pictures_that_are_named(tmp_path):
    content = json.dumps({"species": "cat", "caption": "a cat", "label": 7}).encode()
    members = [("a/1.jpg", b"x"), ("a/1.seg.png", b"y"), ("a/1.json", content), ("a/2.txt", b"left out")]
    pack(tmp_path / "train" / "0.tar", *members)
    assert "1 samples of" in (message := refusal(tmp_path))
    assert "a/1 has several pictures, jpg and seg.png" in message
    samples = build_samples("webdataset", tmp_path, columns=Columns(image="seg.png", label="species"))
    assert (samples.class_names, samples.source(0), samples.path(0)) == (
        ("cat",),
        b"y",
        f"{tmp_path}/train/0.tar/a/1.seg.png",
    )
    assert "has no field 'specie'. Did you mean 'species'?" in refusal(tmp_path, columns=Columns("jpg", "specie"))


def test_what_is_wrong_with_a_sample_is_said(tmp_path):
    shard = pack(tmp_path / "train" / "0.tar", ("1.jpg", b"x"), ("2.jpg", b"x"), ("2.cls", b" "), ("3.jpg", b"x"))
    message = refusal(tmp_path)
    assert "3 samples of" in message
    assert "1: there is no .cls and no .json beside .jpg" in message
    assert "2.cls is empty" in message
    for content in (b"[" * 5000, b'{"label": 1.5}', b"3", b"\xff", b'{"label": %s}' % (b"9" * 5000)):
        pack(shard, ("1.jpg", b"x"), ("1.json", content))
        assert "1 samples of" in refusal(tmp_path)
    pack(shard, ("1.jpg", b"x"), ("1.cls", b"9" * 9))
    assert "the label 999999999 is no class number" in refusal(tmp_path)
    assert "has no shards for 'val'" in refusal(tmp_path, split="val")


def test_the_index_is_kept_for_the_same_question_alone(tmp_path, monkeypatch):
    write(tmp_path, lambda number, name: (f"{number:06}.json", json.dumps({"label": name, "n": number % 2}).encode()))
    build_samples("webdataset", tmp_path)
    scans = []
    scan = webdataset._scan
    monkeypatch.setattr(webdataset, "_scan", lambda path, *rest: scans.append(path.name) or scan(path, *rest))
    build_samples("webdataset", tmp_path)
    assert scans == []
    assert build_samples("webdataset", tmp_path, columns=Columns(label="n")).num_classes == 2
    assert scans == ["photos-train-0000.tar", "photos-train-0001.tar", "photos-train-0002.tar"]
    os.utime(tmp_path / "photos-train-0001.tar", ns=(1, 1))
    build_samples("webdataset", tmp_path, columns=Columns(label="n"))
    assert len(scans) == 6
