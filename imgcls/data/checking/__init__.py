"""Whether the files of a data set are fit to be trained on."""
