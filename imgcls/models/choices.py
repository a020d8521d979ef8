"""Names that settings of a network can have; importable without Paddle, to check a command."""

DATA_FORMATS = ("NCHW", "NHWC")
