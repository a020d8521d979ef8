"""Pack a data set into plain tar shards for data=tar.

    python scripts/make_shards.py photos shards                    photos/train/<class>/..., photos/val/<class>/...
    python scripts/make_shards.py imagenet shards --format list    imagenet/train_list.txt, imagenet/val_list.txt

Makes shards/train/00000.tar, ... and shards/val/00000.tar, ... with an index beside them. The images
keep their order, so that training from the shards shows the same batches. The same data set gives
the same bytes.
"""

import argparse
import io
import os
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from imgcls.data.choices import SPLITS
from imgcls.data.formats.build import build_samples
from imgcls.data.formats.samples import Samples
from imgcls.data.formats.tar_index import LIST, read_index
from imgcls.data.paths import printable
from imgcls.errors import USER_ERROR_STATUS, UserError
from imgcls.machine.files import atomic_write
from imgcls.machine.limits import WEIGHTS_BYTES
from imgcls.machine.progress import progress_bar
from imgcls.machine.reading import read_bytes
from imgcls.machine.signals import status_of
from imgcls.machine.streams import prepare_streams


def main(arguments: list[str]) -> int:
    prepare_streams()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="the data set, data.root of the other formats")
    parser.add_argument("output", type=Path, help="directory for the shards")
    parser.add_argument("--format", choices=("folder", "list"), default="folder")
    parser.add_argument("--train-list", help="relative to root; train_list.txt")
    parser.add_argument("--val-list", help="relative to root; val_list.txt")
    parser.add_argument("--shard-mb", type=float, default=1000.0, help="of images in a shard, about")
    options = parser.parse_args(arguments)
    try:
        for split in SPLITS:
            samples = build_samples(
                options.format,
                options.root,
                train_list=options.train_list,
                val_list=options.val_list,
                split=split,
                allow_empty_classes=True,
            )
            shards = write_shards(samples, options.output / split, options.shard_mb, listed=options.format == "list")
            print(f"{printable(options.output / split)}: {len(samples):,} images in {shards:,} shards")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR_STATUS
    except OSError as error:
        where = f"{printable(error.filename)}: {error.strerror}" if error.filename else error
        print(f"error: {where}.", file=sys.stderr)
        return USER_ERROR_STATUS
    return 0


def write_shards(samples: Samples, directory: Path, shard_mb: float, listed: bool) -> int:
    """Write ``directory/00000.tar``, ... and their index; returns how many.

    Args:
        listed: each shard says in a list what its images are; otherwise their directory does.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.glob("*.tar")):
        raise UserError(f"{printable(directory)} holds shards already. Remove them, or name another directory.")
    count = 0
    for count, indices in enumerate(_groups(samples, int(shard_mb * 1e6)), start=1):
        with atomic_write(directory / f"{count - 1:05d}.tar", durable=True) as partial:
            _write_shard(samples, indices, partial, listed)
    read_index(directory)
    return count


def _groups(samples: Samples, limit: int) -> Iterator[list[int]]:
    """Consecutive samples whose files fit into one shard."""
    group: list[int] = []
    total = 0
    for index in progress_bar(range(len(samples)), unit=" pictures"):
        size = tarfile.BLOCKSIZE + os.path.getsize(samples.path(index))
        if group and total + size > limit:
            yield group
            group, total = [], 0
        group.append(index)
        total += size
    if group:
        yield group


def _write_shard(samples: Samples, indices: list[int], path: Path, listed: bool) -> None:
    lines: list[bytes] = []
    origin_of: dict[bytes, bytes] = {}
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for index in indices:
            origin = samples.relative_path(index)
            name = _name_beside_list(origin) if listed else _name_in_class(origin)
            lines.append(b"%s %d\n" % (name, samples.label(index)))
            if name not in origin_of:
                origin_of[name] = origin
                _add(tar, name, read_bytes(samples.path(index), WEIGHTS_BYTES))
            elif origin_of[name] != origin:
                raise UserError(f"{printable(origin)} and {printable(origin_of[name])} would have one name in a shard.")
        if listed:
            _add(tar, LIST, b"".join(lines))


def _name_in_class(path: bytes) -> bytes:
    """``class/sub/1.jpg`` as ``class/sub_1.jpg``: the directory of an image is its class."""
    folder, _, rest = path.partition(b"/")
    return folder + b"/" + rest.replace(b"/", b"_")


def _name_beside_list(path: bytes) -> bytes:
    """A relative path that stays below where the tar is unpacked."""
    parts = os.path.normpath(path).split(b"/")
    return b"/".join(part for part in parts if part not in (b"", b".."))


def _add(tar: tarfile.TarFile, name: bytes, content: bytes) -> None:
    member = tarfile.TarInfo(os.fsdecode(name))
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    sys.exit(status_of(partial(main, sys.argv[1:])))
