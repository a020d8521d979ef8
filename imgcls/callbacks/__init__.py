"""Features of a training run, a file each; any of them can be deleted."""
