"""A run on disk and in processes: its directory, checkpoints, launcher and log."""
