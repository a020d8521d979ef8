"""Measurements: each prints its figures side by side in one run, since machines are noisy."""
