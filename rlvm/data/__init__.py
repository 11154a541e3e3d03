"""Data sets by name, packed and memory-mapped; see rlvm/data/dataset.py."""
