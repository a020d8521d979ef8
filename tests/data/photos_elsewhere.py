"""The bundled photos in other people's formats, and what every format must give."""

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
