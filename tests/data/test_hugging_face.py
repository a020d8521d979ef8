"""Data sets of Hugging Face: the bundled photos as save_to_disk and push_to_hub write them."""

import json
import pickle

import pytest
from photos_elsewhere import photos, require_same, write_arrow, write_parquet
from photos_elsewhere import rows_table as table

from imgcls.data.formats import hugging_face
from imgcls.data.formats.build import build_samples
from imgcls.data.formats.table_list import Columns
from imgcls.errors import UserError

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

IMAGE = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def read(root, split="train", columns=None, **options):
    return build_samples("huggingface", root, split=split, columns=columns, **options)


def refusal(*arguments, **options):
    with pytest.raises(UserError) as caught:
        read(*arguments, **options)
    return str(caught.value)


def test_what_save_to_disk_writes_is_the_folder(tmp_path, cache):
    write_arrow(tmp_path / "photos" / "train", table("train"))
    write_arrow(tmp_path / "photos" / "validation", table("val"))
    for split in ("train", "val"):
        samples = read(tmp_path / "photos", split)
        require_same(samples, split)
        require_same(pickle.loads(pickle.dumps(samples)), split)
    assert samples.path(3) == f"{tmp_path}/photos/validation/data-00000-of-00001.arrow/00000003"
    assert not cache.exists()


def test_batches_without_rows_are_passed_over(tmp_path):
    """As a filter leaves them: they have no memory that an image could lie in."""
    rows, directory = table("train").to_batches()[0], tmp_path / "train"
    directory.mkdir()
    with arrow.ipc.new_stream(directory / "data-00000-of-00001.arrow", rows.schema) as writer:
        for batch in (rows.slice(0, 0), rows.slice(0, 40), rows.slice(0, 0), rows.slice(40)):
            writer.write_batch(batch)
    (directory / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    require_same(read(tmp_path), "train")


def test_parquet_files_of_the_hub_are_the_folder(tmp_path, cache, monkeypatch):
    content = table("train")
    write_parquet(tmp_path / "photos" / "data" / "train-00000-of-00002.parquet", content.slice(0, 50))
    write_parquet(tmp_path / "photos" / "data" / "train-00001-of-00002.parquet", content.slice(50))
    write_parquet(tmp_path / "photos" / "data" / "validation-00000-of-00001.parquet", table("val"))
    for split in ("train", "val"):
        require_same(read(tmp_path / "photos", split), split)
    copies = []
    copy = hugging_face._copy
    monkeypatch.setattr(hugging_face, "_copy", lambda *rest: copies.append(rest) or copy(*rest))
    require_same(read(tmp_path / "photos", "train"), "train")
    assert copies == []  # made once
    next(cache.glob("data/photos-train-*/images.bin")).write_bytes(b"cut off")
    require_same(read(tmp_path / "photos", "train"), "train")
    assert len(copies) == 1
    assert "has pictures for 'val' already" in refusal(tmp_path / "photos", val_share=0.2)
    (tmp_path / "photos" / "data" / "validation-00000-of-00001.parquet").unlink()
    whole = read(tmp_path / "photos", "train", val_share=0.2)
    assert len(whole) + len(read(tmp_path / "photos", "val", val_share=0.2)) == 85


def test_names_as_labels_and_columns_that_are_named(tmp_path):
    names = [name for _, name, _ in photos("train")]
    content = table("train", names).rename_columns(["photo", "species"]).append_column("note", [["x"] * 85])
    write_parquet(tmp_path / "0.parquet", content)
    samples = read(tmp_path, columns=Columns("photo", "species"))
    require_same(samples, "train")
    assert "Which column of" in (message := refusal(tmp_path))
    assert "data.label_column=<name>. There are: photo, species, note" in message
    assert "has no such column" in refusal(tmp_path, columns=Columns("foto", "species"))
    assert "holds no bytes of pictures" in refusal(tmp_path, columns=Columns("note", "species"))
    assert "has no split for 'val'" in refusal(tmp_path, "val", columns=Columns("photo", "species"))


def test_rows_without_pictures_or_classes_are_named(tmp_path):
    rows = arrow.array([{"bytes": b"x", "path": None}, {"bytes": None, "path": "/there/1.jpg"}], IMAGE)
    content = arrow.table({"image": rows, "label": [0, 1]})
    for write, name in ((write_arrow, "a"), (lambda root, rows: write_parquet(root / "0.parquet", rows), "b")):
        write(tmp_path / name, content)
        assert "row 2: there is no picture, only the path of one" in refusal(tmp_path / name)
    whole = arrow.array([{"bytes": b"x", "path": None}] * 2, IMAGE)
    for number, (labels, words) in enumerate([([0, None], "row 2: no class"), ([0, -1], "row 2: the class '-1'")]):
        write_parquet(tmp_path / f"c{number}" / "0.parquet", arrow.table({"image": whole, "label": labels}))
        assert words in refusal(tmp_path / f"c{number}")


def test_damaged_and_hostile_files_are_refused(tmp_path):
    write_arrow(tmp_path / "a" / "train", table("train"))
    file = tmp_path / "a" / "train" / "data-00000-of-00001.arrow"
    whole = file.read_bytes()
    for damaged in (whole[:5000], b"", b"x" * 1000):
        file.write_bytes(damaged)
        assert str(tmp_path) in refusal(tmp_path / "a")
    state = tmp_path / "a" / "train" / "state.json"
    for names in ([{"filename": "../../secret.arrow"}], [{"filename": "/etc/passwd"}], [3], 3):
        state.write_text(json.dumps({"_data_files": names}))
        assert "state.json names" in refusal(tmp_path / "a")
    packed = arrow.ipc.IpcWriteOptions(compression="zstd")
    write_arrow(tmp_path / "b", table("train"), options=packed)
    assert "is compressed" in refusal(tmp_path / "b")
    write_parquet(tmp_path / "c" / "0.parquet", table("train"))
    content = (tmp_path / "c" / "0.parquet").read_bytes()
    (tmp_path / "c" / "0.parquet").write_bytes(content[:-100])
    assert "cannot be read" in refusal(tmp_path / "c")


def test_without_pyarrow_one_line_says_what_to_install(tmp_path, monkeypatch):
    write_parquet(tmp_path / "0.parquet", table("train"))
    monkeypatch.setattr(hugging_face, "is_installed", lambda: False)
    assert refusal(tmp_path) == 'data=huggingface needs the package pyarrow: pip install "imgcls[huggingface]"'
