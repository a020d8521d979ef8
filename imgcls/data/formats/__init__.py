"""How samples are found: folders, lists, tar files."""
