"""What a file from a stranger may cost: the one home of the bounds that the readers keep.

Beyond these a file is refused in one message. A reader takes no more memory than the file's own size and some
100 MB, and about a second of work, before it refuses.
"""

TEXT_BYTES = 4 << 20
"""A small text: ``classes.txt``, a saved answer of a server."""

LIST_BYTES = 4 << 30
"""A list of samples or of pictures: some 80 million lines."""

LISTING_BYTES = 64 << 20
"""What a server says of one directory: some hundred thousand files."""

LABEL_BYTES = 1 << 20
"""What stands beside an image in a shard and holds its label."""

TABLE_BYTES = 64 << 20
"""What a run logged and noted, ``train.log`` and ``metrics.csv``, for those that draw it."""

LINE_BYTES = 1 << 20
"""A line of what a prediction goes on with."""

JSON_BYTES = 6 << 20
JSON_CONTAINERS = 200_000
"""``manifest.json``, ``state.json``; the history of a run takes some 300 bytes an epoch."""

YAML_BYTES = 8 << 20
YAML_NODES = 200_000
"""``inference.yaml``; a list of class names takes a node a class."""

CONFIG_NODES = 10_000
"""``config.yaml`` of a run, of the same size in bytes; the largest of ours has some 300."""

PLAIN_CHARACTERS = 4096
"""Of one YAML value without quotes, which is tried as a number."""

NUMBER_DIGITS = 40
"""Of a whole number in JSON or YAML."""

DEPTH = 100
"""Containers within containers, in YAML, JSON and pickles."""

NAME_BYTES = 1024
"""The name of a tensor, or of a member of an archive."""

DIMENSIONS = 32
"""Of one tensor; numpy has no more."""

TENSORS = 100_000
"""In one file, archive or directory. The longest published file has some 2,000."""

WEIGHTS_BYTES = 8 << 30
"""Of an archive, a directory or a download. The largest published file takes 3.3 GB."""

ARGUMENT = 1_000_000
"""A number among what a record gives its network: layers, channels, classes."""

IMAGE_SIDE = 8192
"""Pixels; what a checkpoint or an export may want of an image's height and width."""

PICKLE_STEPS = 600_000
"""Instructions of a pickle. A tensor takes about 40."""

COPIES_BYTES = 64 << 20
"""What decoding may make of a file beyond the file's own size."""

EXPANSION = 4
"""Tensors of a compressed archive may be so many times its size, and ``COPIES_BYTES`` more."""

SAMPLES_EXPANSION = 64
"""The list of a checkpoint's samples, which repeats itself, may be so many times its file's size, and as much more."""

DIRECTORY_BYTES = 4 << 20
"""Of the table at the end of a zip file."""

HEADER_BYTES = 4096
"""The description of one tensor, in ``.npy`` and in a fluid record."""

ZIP_TABLE_BYTES = 1 << 30
"""The table of contents of a zip of images: some ten million."""

PACKED_BYTES = 256 << 20
"""An image that is packed may become so long."""

ROW_GROUP_BYTES = 4 << 30
"""What a parquet file keeps together, before it is compressed."""

IMAGES_EXPANSION = 16
"""The images of parquet files may take so many times the files, and ``COPIES_BYTES`` more, once they are unpacked."""

TAR_HEADER_BYTES = 16 << 20
"""The long names and pax headers of a tar, together; one takes 64 KiB at most."""

PROGRAM_BYTES = 256 << 20
PROGRAM_FIELDS = 300_000
"""A saved program: variables, operators, and what is looked at within them."""
