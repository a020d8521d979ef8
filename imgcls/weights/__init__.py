"""Weights from anywhere into a network."""
