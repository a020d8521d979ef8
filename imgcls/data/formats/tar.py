"""Images inside tar shards: read where they lie, nothing is unpacked."""

import os
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from imgcls.data.formats.class_names import default_class_names
from imgcls.data.formats.folder import refuse_other_classes
from imgcls.data.formats.samples import Samples, require_samples_in_every_class
from imgcls.data.formats.tar_index import Shard, TarIndex
from imgcls.data.paths import printable
from imgcls.data.pictures.decode import BadImage
from imgcls.errors import UserError

OPEN_SHARDS = 256


@dataclass(frozen=True, eq=False)
class TarSamples(Samples):
    """Samples whose paths are those of members inside shards: ``root/<shard>/<member>``.

    Args:
        shards: the tar files in ``root``.
        shard_of: int32 ``[N]``.
        offsets: int64 ``[N]``, where in its shard each image's content begins.
        sizes: int64 ``[N]``, of the content.
    """

    shards: tuple[Shard, ...]
    shard_of: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray

    def relative_path(self, index: int) -> bytes:
        return os.path.join(os.fsencode(self.shards[self.shard_of[index]].name), super().relative_path(index))

    def relative_paths(self, start: int, stop: int) -> list[bytes]:
        names = [os.fsencode(shard.name) for shard in self.shards]
        members = zip(self.shard_of[start:stop].tolist(), super().relative_paths(start, stop), strict=True)
        return [os.path.join(names[shard], member) for shard, member in members]

    def source(self, index: int) -> bytes:
        """The content of one image.

        Raises:
            BadImage: its shard is gone, has changed since it was indexed, or cannot be read.
        """
        shard = self.shards[self.shard_of[index]]
        offset, size = int(self.offsets[index]), int(self.sizes[index])
        path = os.path.join(self.root, shard.name)
        try:
            content = _open_shard(path, shard).read(offset, size)
        except OSError as error:
            where = printable(self.path(index))
            raise BadImage(f"Cannot read the image {where}: {error.strerror or error}.") from error
        if len(content) < size:
            raise BadImage(f"The shard {printable(path)} was cut off since training began.")
        return content


def tar_samples(
    index: TarIndex,
    root: str | os.PathLike,
    class_names: tuple[str, ...] | None = None,
    num_classes: int | None = None,
    allow_empty_classes: bool = False,
) -> TarSamples:
    """The images of an index of the shards in ``root`` as samples.

    Args:
        class_names: those of the labels. Where the members' directories are the classes, these must
            be among them.
        num_classes: where lists give the labels: these are checked against it. The number of
            ``class_names``, or else the largest label plus one, when left out.
        allow_empty_classes: accept classes without an image.

    Raises:
        UserError: other classes than ``class_names``, a label out of range, or a class without an image.
    """
    where = printable(root)
    if index.folders is None:
        num_classes = num_classes or (len(class_names) if class_names else int(index.classes.max()) + 1)
        if index.classes.max() >= num_classes:
            raise UserError(
                f"The lists in the shards of {where} have the label {index.classes.max()}, which is outside 0 to "
                f"{num_classes - 1} ({num_classes} classes)."
            )
        class_names = class_names or default_class_names(num_classes)
        labels = index.classes
    else:
        class_names = class_names or index.folders
        refuse_other_classes(where, index.folders, class_names)
        label_of = {name: label for label, name in enumerate(class_names)}
        labels = np.array([label_of[folder] for folder in index.folders], np.int32)[index.classes]
    ends = np.cumsum(index.lengths, dtype=np.int64)
    samples = TarSamples(
        os.fspath(root),
        index.names,
        ends - index.lengths,
        ends,
        labels,
        tuple(class_names),
        index.shards,
        index.shard_of,
        index.offsets,
        index.sizes,
    )
    if not allow_empty_classes:
        require_samples_in_every_class(samples, where, "Add images, or set data.allow_empty_classes=true.")
    return samples


class _OpenShard:
    """A tar file that is read by position, so that processes may share it; closed with its last reference."""

    def __init__(self, path: str, shard: Shard):
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        state = os.fstat(self.descriptor)
        if (state.st_size, state.st_mtime_ns) != (shard.size, shard.mtime_ns):
            raise BadImage(f"The shard {printable(path)} has changed since it was indexed. Start again.")

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self.descriptor, size, offset)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


@lru_cache(OPEN_SHARDS)
def _open_shard(path: str, shard: Shard) -> _OpenShard:
    return _OpenShard(path, shard)
