"""Pixels of the outside world: files in, files out, nothing else."""
