"""Presets, published tables and results of the comparison harness, ``rsmooth.benchmarks``."""
