"""Models that run without this library: their export, their contract, and predictions with them."""
