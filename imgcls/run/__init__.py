"""A run on disk and in processes: its directory, checkpoints, launcher, log and signals."""
