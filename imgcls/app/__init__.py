"""From configurations to objects: the only place that knows Hydra."""
