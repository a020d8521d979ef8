"""The bundled photos in other people's formats, and what every format must give."""

import json
from pathlib import Path

from imgcls.data.formats.build import SAMPLE_PHOTOS, build_samples


def photos(split):
    """Path from the split's directory, class and content of each bundled photo, in the order of the folder."""
    samples = build_samples("sample", split=split)
    for index in range(len(samples)):
        path = Path(samples.path(index))
        yield str(path.relative_to(SAMPLE_PHOTOS / split)), samples.class_names[samples.label(index)], path.read_bytes()


def require_same(samples, split):
    """The samples are the bundled photos: their bytes, classes and order."""
    loose = build_samples("sample", split=split)
    assert samples.class_names == loose.class_names
    assert samples.labels.tolist() == loose.labels.tolist()
    for index in range(len(loose)):
        source = samples.source(index)
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        assert content == Path(loose.source(index)).read_bytes()


def rows_table(split, label=None):
    """The photos in the schema of Hugging Face's library, classes as numbers whose names it says."""
    import pyarrow as arrow

    rows = list(photos(split))
    names = sorted({name for _, name, _ in rows})
    image = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    images = [{"bytes": content, "path": path.rpartition("/")[2]} for path, _, content in rows]
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    numbers = label or [names.index(name) for _, name, _ in rows]
    described = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    kind = arrow.int64() if isinstance(numbers[0], int) else arrow.string()
    schema = arrow.schema([("image", image), ("label", kind)], metadata=described)
    return arrow.table([arrow.array(images, image), arrow.array(numbers, kind)], schema=schema)


def write_arrow(directory, content, rows=30, **options):
    """As save_to_disk does: a stream in several batches, and beside it what names it."""
    import pyarrow as arrow

    directory.mkdir(parents=True)
    with arrow.ipc.new_stream(directory / "data-00000-of-00001.arrow", content.schema, **options) as writer:
        writer.write_table(content, max_chunksize=rows)
    (directory / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))


def write_parquet(path, content, rows=20):
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(content, path, row_group_size=rows)


def write_rows(root):
    """As push_to_hub and save_to_disk write them: ``parquet`` in three files, and ``arrow``."""
    train = rows_table("train")
    write_parquet(root / "parquet" / "data" / "train-00000-of-00002.parquet", train.slice(0, 50))
    write_parquet(root / "parquet" / "data" / "train-00001-of-00002.parquet", train.slice(50))
    write_parquet(root / "parquet" / "data" / "validation-00000-of-00001.parquet", rows_table("val"))
    write_arrow(root / "arrow" / "train", train)
    write_arrow(root / "arrow" / "validation", rows_table("val"))
