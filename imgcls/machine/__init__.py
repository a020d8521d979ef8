"""The machine: processors, devices, installed packages, files and processes."""
