"""The networks: a file a family, and the registry that knows them by name."""
