"""Pictures and labels: from files on disk to batches of uint8 images."""
